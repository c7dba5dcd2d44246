//! What one observation domain of a session has told: its templates and its sequence numbers.

use std::collections::HashMap;
use std::sync::Arc;

use super::options::ExporterOptions;
use super::sequence::Sequencer;
use crate::message::Version;
use crate::registry::Registry;
use crate::template::{CompiledTemplate, Templates};

/// One observation domain of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Domain {
    pub(super) templates: Templates,
    /// When each template was last sent, by its id.
    pub(super) refreshed: HashMap<u16, u64>,
    /// Templates that died for want of a refresh: data that comes all the same is theirs, and not of another template
    /// that gets the id later.
    pub(super) dead: Templates,
    pub(super) sequence: Sequencer,
    pub(super) options: ExporterOptions,
}

/// What became of a template that was defined.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Learned {
    /// The id was free.
    New,
    /// The same template again.
    Refreshed,
    /// Another template under the same id.
    Redefined,
    /// Another template under the id of one that had died for want of a refresh.
    Replaced,
}

impl Domain {
    /// Takes a template in.
    pub(super) fn learn(&mut self, template: Arc<CompiledTemplate>, now_ms: u64) -> Learned {
        let id = template.id().number();
        self.refreshed.insert(id, now_ms);
        let dead = self.dead.remove(&id);
        let learned = match self.templates.get(&id) {
            None if dead.is_some_and(|dead| dead.wire() != template.wire()) => Learned::Replaced,
            None => Learned::New,
            Some(known) if known.wire() == template.wire() => return Learned::Refreshed,
            Some(_) => Learned::Redefined,
        };
        self.templates.insert(id, template);
        learned
    }

    /// Forgets a template; false where it was not known.
    pub(super) fn withdraw(&mut self, id: u16) -> bool {
        self.refreshed.remove(&id);
        self.templates.remove(&id).is_some()
    }

    /// Forgets the templates that were not refreshed in time; answers how many.
    pub(super) fn expire(&mut self, now_ms: u64, lifetime_ms: u64) -> usize {
        let before = self.templates.len();
        let Self { templates, refreshed, dead, .. } = self;
        refreshed.retain(|_, at| at.saturating_add(lifetime_ms) >= now_ms);
        if dead.len() >= MOST_DEAD {
            dead.clear();
        }
        dead.extend(templates.extract_if(|id, _| !refreshed.contains_key(id)));
        before - templates.len()
    }

    /// Looks the fields of templates with unknown elements up once more, when elements have become known.
    pub(super) fn compile_again(&mut self, version: Version, registry: &Registry) {
        for template in self.templates.values_mut().filter(|template| template.has_unknown()) {
            *template = Arc::new(CompiledTemplate::new(template.wire().clone(), version, registry));
        }
    }
}

/// Dead templates that are remembered; beyond, all are forgotten. An exporter has a few.
const MOST_DEAD: usize = 256;
