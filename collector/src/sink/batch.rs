//! Documents gathered until there are enough of them, in the form that their store takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use podflow_ipfix::collect::DataRecord;

use crate::config::{BatchLimits, Config, Store as StoreConfig};
use crate::document::model::Document;
use crate::document::shape::Origin;
use crate::document::{Builder, Lined};
use crate::live::Tap;
use crate::store;

use super::Sink;
use super::elasticsearch::Body;

/// Documents on their way to the store.
pub(crate) struct Batch {
    pub(super) content: Content,
    pub(super) documents: usize,
    opened: Option<Instant>,
}

pub(super) enum Content {
    Embedded(Box<store::Batch>),
    Bulk(Body),
}

/// Makes batches and says when one is full.
#[derive(Clone)]
pub(crate) struct Batches {
    sink: Sink,
    limits: BatchLimits,
    index_prefix: Arc<str>,
    tap: Tap,
}

impl Batches {
    /// Batches for a store, of documents that pass by this tap.
    pub(crate) fn new(sink: Sink, config: &Config, tap: Tap) -> Self {
        let index_prefix = match &config.store {
            StoreConfig::Embedded(_) => "flow-".into(),
            StoreConfig::Elasticsearch(servers) => servers.index_prefix.as_str().into(),
        };
        Self { sink, limits: config.batch, index_prefix, tap }
    }

    /// An empty batch.
    pub(crate) fn empty(&self) -> Batch {
        let content = match &self.sink {
            Sink::Embedded(store) => Content::Embedded(Box::new(store.batch())),
            Sink::Elasticsearch(_) => Content::Bulk(Body::default()),
        };
        Batch { content, documents: 0, opened: None }
    }

    /// Adds a document; answers whether the batch is full now.
    pub(crate) fn add(&self, batch: &mut Batch, document: &Document<'_>) -> bool {
        batch.opened.get_or_insert_with(Instant::now);
        batch.documents += 1;
        if self.tap.is_watched() {
            self.tap.offer(document, crate::receive::now_ms());
        }
        let octets = match &mut batch.content {
            Content::Embedded(batch) => {
                batch.add(document);
                0
            }
            Content::Bulk(body) => {
                body.add(&self.index_prefix, document);
                body.octets()
            }
        };
        batch.documents >= self.limits.documents || octets >= self.limits.octets
    }

    /// Adds a record's document without making it, where the store takes lines and the record is plain; answers also
    /// whether the batch is full now.
    pub(crate) fn add_record(
        &self,
        batch: &mut Batch,
        builder: &mut Builder,
        origin: &Origin,
        record: &DataRecord<'_>,
    ) -> (Lined, bool) {
        let Content::Bulk(body) = &mut batch.content else { return (Lined::NotPlain, false) };
        if self.tap.is_watched() {
            // Who watches needs the document itself; made from it, the line is the same.
            return (Lined::NotPlain, false);
        }
        let lined = body.add_record(&self.index_prefix, builder, origin, record);
        if !matches!(lined, Lined::Written(_)) {
            return (lined, false);
        }
        batch.opened.get_or_insert_with(Instant::now);
        batch.documents += 1;
        (lined, batch.documents >= self.limits.documents || body.octets() >= self.limits.octets)
    }

    /// Whether a batch waited long enough.
    pub(crate) fn is_due(&self, batch: &Batch) -> bool {
        batch.opened.is_some_and(|opened| opened.elapsed() >= self.limits.age)
    }

    /// How long the oldest document of a batch may wait.
    pub(crate) const fn age(&self) -> Duration {
        self.limits.age
    }
}

impl Batch {
    /// When its first document came.
    pub(super) fn born(&self) -> Instant {
        self.opened.unwrap_or_else(Instant::now)
    }

    /// Whether there is nothing in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.documents == 0
    }
}
