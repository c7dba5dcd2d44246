//! Flows as they come, for whoever watches: `GET /api/flows` streams documents as server-sent events while they are on
//! their way to the store.
//!
//! ```text
//! batches ─► tap ─► ring of the newest ─► each watcher: chosen by its query ─► events, a few a second
//! ```
//! Watching may never slow the way into the store: what comes too fast is left out here, and said.

mod choose;

mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, broadcast};

use crate::document::model::Document;

pub(crate) use stream::router;

/// Where documents pass by; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    ring: broadcast::Sender<Arc<Document<'static>>>,
    /// The current second, and how many documents it let through: 32 bits each.
    second: Arc<AtomicU64>,
    /// Documents that nobody could look at, since the start.
    passed_by: Counter,
    /// Documents that a watcher wanted and did not get, since the start.
    missed: Counter,
    watchers: Arc<Semaphore>,
}

impl Tap {
    /// A tap whose counters are shown by `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let tap = Self {
            ring: broadcast::Sender::new(RING),
            second: Arc::default(),
            passed_by: Counter::default(),
            missed: Counter::default(),
            watchers: Arc::new(Semaphore::new(MOST_WATCHERS)),
        };
        let registry = registry.sub_registry_with_prefix("podflow_collector_live");
        registry.register(
            "passed_records",
            "Records that came too fast to be offered to live views; they are stored all the same",
            tap.passed_by.clone(),
        );
        registry.register(
            "missed_records",
            "Records that a live view asked for and did not show: there were too many, or it was too slow",
            tap.missed.clone(),
        );
        tap
    }

    /// Whether anybody watches; where nobody does, a document costs this question.
    pub(crate) fn is_watched(&self) -> bool {
        self.ring.receiver_count() > 0
    }

    /// Offers a document to those who watch. `now_ms` is the collector's clock.
    pub(crate) fn offer(&self, document: &Document<'_>, now_ms: i64) {
        if self.admit(now_ms) {
            // Nobody may be left by now.
            self.ring.send(Arc::new(document.clone().into_owned())).unwrap_or_default();
        } else {
            self.passed_by.inc();
        }
    }

    /// Whether this second may let one more through. Two threads may err by one at the turn of a second.
    fn admit(&self, now_ms: i64) -> bool {
        let second = u64::try_from(now_ms / 1000).unwrap_or(0) << 32;
        let before = self.second.load(Ordering::Relaxed);
        if before >> 32 != second >> 32 {
            self.second.store(second | 1, Ordering::Relaxed);
            return true;
        }
        // The copy is made where records are decoded, so most are let pass.
        self.second.fetch_add(1, Ordering::Relaxed) & u64::from(u32::MAX) < PER_SECOND
    }
}

/// Documents that a slow watcher may be behind: about 4 MB.
const RING: usize = 2048;

/// Documents offered in a second, by all decoders together: a copy costs about a microsecond, so 1 % of a processor.
const PER_SECOND: u64 = 10_000;

/// Watchers at once: each reads the whole ring.
const MOST_WATCHERS: usize = 16;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::document::model::{DocumentId, Value};

    /// A document of a flow between two Pods.
    pub(crate) fn document(source: &str, octets: u64) -> Document<'static> {
        Document {
            id: DocumentId([1; 15]),
            timestamp: 1_795_377_600_000,
            host: "10.0.0.5".parse().unwrap(),
            fields: vec![
                ("sourcePodName".into(), Value::String(source.to_owned().into())),
                ("sourceIP".into(), Value::Address("10.10.0.7".parse().unwrap())),
                ("octetDeltaCount".into(), Value::Unsigned(octets)),
                ("flowEndSeconds".into(), Value::Time(1_795_377_540_000)),
                ("isMulticast".into(), Value::Boolean(false)),
                ("labels".into(), Value::List(vec![Value::Unsigned(7), Value::String("x".into())])),
            ],
        }
    }

    #[test]
    fn a_second_lets_through_so_many_and_the_rest_is_counted() {
        let tap = Tap::register(&mut Registry::default());
        assert!(!tap.is_watched());
        let mut watcher = tap.ring.subscribe();
        assert!(tap.is_watched());
        let document = document("cart", 1);
        for _ in 0..PER_SECOND + 5 {
            tap.offer(&document, 5_000);
        }
        assert_eq!(tap.passed_by.get(), 5);
        tap.offer(&document, 6_000);
        assert_eq!(tap.passed_by.get(), 5, "a new second");
        // Nobody read meanwhile: the ring holds the newest, and says how many it does not.
        match watcher.try_recv() {
            Err(broadcast::error::TryRecvError::Lagged(lost)) => {
                assert_eq!(lost, PER_SECOND + 1 - RING as u64);
            }
            other => panic!("{other:?}"),
        }
    }
}
