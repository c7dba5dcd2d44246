//! From a decoded record to the document that is stored (design: documents and indices).
//!
//! [`Builder::draft`] shapes the record and names its ends, [`Builder::finish`] adds what is derived. In between
//! a draft whose addresses have no owner yet can be kept and asked about again ([`Builder::name_again`]).

pub mod model;

mod facts;
mod keys;
mod role;

pub mod shape;
pub mod unknown;

mod lookups;
pub mod names;

mod complete;
mod derive;

mod plan;
mod record;

mod line;

pub mod id;
pub mod json;
pub mod time;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod same;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use podflow_cluster::Directory;
use podflow_ipfix::collect::DataRecord;
use podflow_ipfix::template::TemplateField;
use podflow_ipfix::value as wire;

use line::Lines;
use lookups::Lookups;
use model::{Document, DocumentId, Value};
use names::{Members, Naming};
use plan::Plans;
use shape::{Adjustments, Draft, Origin, Window};
use unknown::UnknownNames;

pub use line::Lined;

/// Makes documents of records.
#[derive(Debug)]
pub struct Builder {
    lookups: Lookups,
    members: Members,
    window: Window,
    unknown: Arc<UnknownNames>,
    plans: Plans,
    lines: Lines,
}

/// What became of a draft.
#[derive(Debug)]
pub enum Drafted<'a> {
    /// Its ends are named as well as they ever will be.
    Ready(Draft<'a>),
    /// An address of the cluster has no owner yet: asking again in a moment may help.
    Unnamed(Draft<'a>),
    /// The source's own agent exports this flow; this copy is to be dropped.
    OtherSide,
}

impl Builder {
    /// A builder that names ends from `directory` for the exporters in `members`.
    pub fn new(
        directory: Arc<Directory>,
        members: Members,
        window: Window,
        unknown: Arc<UnknownNames>,
    ) -> Self {
        Self {
            lookups: Lookups::new(directory),
            members,
            window,
            unknown,
            plans: Plans::default(),
            lines: Lines::default(),
        }
    }

    /// Appends a plain record's whole document to `out` as one line of JSON without its end, after `begin` has
    /// written what stands before it; a record that is not plain is left to [`Builder::draft`].
    pub fn line(
        &mut self,
        origin: &Origin,
        record: &DataRecord<'_>,
        out: &mut Vec<u8>,
        begin: impl FnOnce(i64, DocumentId, &mut Vec<u8>),
    ) -> Lined {
        let Some(plan) = self.plans.of(record) else { return Lined::NotPlain };
        let (members, lookups) = (&mut self.members, &mut self.lookups);
        self.lines.write(plan, origin, record, members, lookups, self.window, out, begin)
    }

    /// Shapes a record and names its ends.
    pub fn draft<'a, 't: 'a>(
        &mut self,
        origin: &Origin,
        record: impl Iterator<Item = (&'t TemplateField, wire::Value<'a>)>,
    ) -> Drafted<'a> {
        let fields: Vec<(Cow<'a, str>, Value<'a>)> = Vec::with_capacity(FIELDS);
        self.name_again(shape::shape(origin, record, fields, self.window, &self.unknown))
    }

    /// Names the ends of a draft, once more.
    pub fn name_again<'a>(&mut self, mut draft: Draft<'a>) -> Drafted<'a> {
        match names::fill(&mut draft, &mut self.members, &mut self.lookups) {
            Naming::Complete => Drafted::Ready(draft),
            Naming::Incomplete => Drafted::Unnamed(draft),
            Naming::OtherSide => Drafted::OtherSide,
        }
    }

    /// Adds what is derived.
    pub fn finish<'a>(&self, draft: Draft<'a>) -> (Document<'a>, Adjustments) {
        let adjustments = draft.adjustments;
        (complete::complete(draft), adjustments)
    }
}

/// Fields of a document of the `full` template, so that its vector is allocated once.
const FIELDS: usize = 64;
