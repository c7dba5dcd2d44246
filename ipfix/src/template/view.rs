//! The templates that hold at one place of a message: those known before, and those the message itself brought.
//!
//! A message is checked whole before anything of it takes effect; until then what it defines or withdraws is
//! staged here.

use std::collections::HashMap;
use std::sync::Arc;

use super::CompiledTemplate;

/// Templates of one observation domain by id; data and options templates share the ids (RFC 7011 section 3.4.1).
pub(crate) type Templates = HashMap<u16, Arc<CompiledTemplate>>;

/// What a message defines (or, with none, withdraws).
pub(crate) type StagedTemplates = HashMap<u16, Option<Arc<CompiledTemplate>>>;

/// Staged templates over known ones.
#[derive(Clone, Copy)]
pub(crate) struct TemplateView<'a> {
    pub(crate) staged: Option<&'a StagedTemplates>,
    pub(crate) known: &'a Templates,
}

impl<'a> TemplateView<'a> {
    pub(crate) fn lookup(&self, id: u16) -> Option<&'a Arc<CompiledTemplate>> {
        match self.staged.and_then(|staged| staged.get(&id)) {
            Some(staged) => staged.as_ref(),
            None => self.known.get(&id),
        }
    }
}
