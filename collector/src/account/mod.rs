//! The collector's account: every record received is stored, a duplicate, rejected, dropped for a reason, or in
//! flight. Each place where a record's way ends says so here, once.

mod shown;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::document::shape::Adjustments;

use shown::Shown;

/// Counters of the whole collector; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Held while an entry is made and while the books are read, so that they balance at every moment.
    books: Arc<Mutex<()>>,
    messages: Counter,
    records: Counter,
    recovered: Counter,
    options_records: Counter,
    stored: Counter,
    duplicates: Counter,
    rejected: Counter,
    dropped: Family<DropLabel, Counter>,
    dropped_messages: Family<MessageDropLabel, Counter>,
    in_flight: Gauge,
    waited_for_names: Counter,
    unnamed: Counter,
    adjusted: Family<AdjustedLabel, Counter>,
    moved_exporters: Counter,
    evicted_sessions: Counter,
}

/// Why a decoded record was not stored.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Drop {
    /// The source's own agent exports the same flow.
    OtherSide,
    /// The collector stopped before the store would take it.
    Shutdown,
    /// The spool was full.
    SpoolFull,
    /// The spool's disk failed.
    SpoolFailed,
    /// A fault of the collector itself.
    Internal,
}

/// Why a message was not decoded.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MessageDrop {
    /// The decoder's queue was full (UDP; over TCP the reader waits instead).
    QueueFull,
    /// Malformed.
    Malformed,
    /// The kernel's receive buffer was full.
    Kernel,
}

impl Drop {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::OtherSide, Self::Shutdown, Self::SpoolFull, Self::SpoolFailed, Self::Internal];

    /// The word of metrics and of `/status`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OtherSide => "other_side",
            Self::Shutdown => "shutdown",
            Self::SpoolFull => "spool_full",
            Self::SpoolFailed => "spool_failed",
            Self::Internal => "internal",
        }
    }
}

impl MessageDrop {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::Malformed, Self::Kernel];

    /// The word of metrics and of `/status`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Malformed => "malformed",
            Self::Kernel => "kernel",
        }
    }
}

/// The account at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Statement {
    /// Messages taken from sockets.
    pub messages: u64,
    /// Data records decoded from them, and those that an earlier run left in the spool.
    pub records: u64,
    /// Stored for the first time.
    pub stored: u64,
    /// Had been stored before.
    pub duplicates: u64,
    /// Refused by the store for good.
    pub rejected: u64,
    /// Dropped, by reason; all reasons, also those that never happened.
    pub dropped: Vec<(&'static str, u64)>,
    /// Messages that were not decoded, by reason.
    pub dropped_messages: Vec<(&'static str, u64)>,
    /// On their way.
    pub in_flight: u64,
}

impl Statement {
    /// What the books are off by: received less everything that became of it.
    pub fn difference(&self) -> i128 {
        let dropped: u64 = self.dropped.iter().map(|(_, count)| count).sum();
        let accounted = [self.stored, self.duplicates, self.rejected, dropped, self.in_flight];
        i128::from(self.records) - accounted.iter().map(|count| i128::from(*count)).sum::<i128>()
    }
}

impl Account {
    /// An account whose counters are shown by `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let account = Self::default();
        let shown = Box::new(Shown(account.clone()));
        registry.sub_registry_with_prefix("podflow_collector").register_collector(shown);
        account
    }

    /// A message was taken from a socket.
    pub fn message(&self) {
        self.messages.inc();
    }

    /// A message was not decoded.
    pub fn message_dropped(&self, reason: MessageDrop, count: u64) {
        self.dropped_messages.get_or_create(&MessageDropLabel { reason }).inc_by(count);
    }

    /// Data records were decoded; those that are not the other side's copies are on their way.
    pub fn received(&self, records: u64, other_side: u64) {
        if records == 0 && other_side == 0 {
            return;
        }
        let _entry = self.entry();
        self.records.inc_by(records);
        self.in_flight.inc_by(i64::try_from(records).unwrap_or(i64::MAX));
        if other_side > 0 {
            self.dropped.get_or_create(&DropLabel { reason: Drop::OtherSide }).inc_by(other_side);
            self.landed(other_side);
        }
    }

    /// Records that an earlier run left in the spool are on their way again.
    pub fn recovered(&self, count: u64) {
        let _entry = self.entry();
        self.recovered.inc_by(count);
        self.records.inc_by(count);
        self.in_flight.inc_by(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// An options record was decoded.
    pub fn options_records(&self, count: u64) {
        self.options_records.inc_by(count);
    }

    /// A UDP exporter went on under another port, and its templates with it.
    pub fn exporter_moved(&self) {
        self.moved_exporters.inc();
    }

    /// UDP sessions were forgotten at the limit.
    pub fn sessions_evicted(&self, count: u64) {
        self.evicted_sessions.inc_by(count);
    }

    /// Records were stored for the first time.
    pub fn stored(&self, count: u64) {
        let _entry = self.entry();
        self.stored.inc_by(count);
        self.landed(count);
    }

    /// Records had been stored before.
    pub fn duplicates(&self, count: u64) {
        let _entry = self.entry();
        self.duplicates.inc_by(count);
        self.landed(count);
    }

    /// The store refused records for good.
    pub fn rejected(&self, count: u64) {
        let _entry = self.entry();
        self.rejected.inc_by(count);
        self.landed(count);
    }

    /// Records were dropped.
    pub fn dropped(&self, reason: Drop, count: u64) {
        let _entry = self.entry();
        self.dropped.get_or_create(&DropLabel { reason }).inc_by(count);
        self.landed(count);
    }

    /// A record waits for the owner of an address.
    pub fn waits_for_names(&self) {
        self.waited_for_names.inc();
    }

    /// A record goes without the owner of an address.
    pub fn unnamed(&self) {
        self.unnamed.inc();
    }

    /// Values had to be changed.
    pub fn adjusted(&self, adjustments: &Adjustments) {
        if *adjustments == Adjustments::default() {
            return;
        }
        for (what, count) in [
            ("saturated", adjustments.saturated),
            ("left_out", adjustments.left_out),
            ("unindexed", adjustments.unindexed),
            ("export_time_replaced", adjustments.outside_window),
            ("ill_formed_text", adjustments.ill_formed),
        ] {
            if count > 0 {
                self.adjusted.get_or_create(&AdjustedLabel { what }).inc_by(count.into());
            }
        }
    }

    /// The account now.
    pub fn statement(&self) -> Statement {
        let _entry = self.entry();
        Statement {
            messages: self.messages.get(),
            records: self.records.get(),
            stored: self.stored.get(),
            duplicates: self.duplicates.get(),
            rejected: self.rejected.get(),
            dropped: Drop::ALL
                .iter()
                .map(|reason| {
                    (reason.word(), self.dropped.get_or_create(&DropLabel { reason: *reason }).get())
                })
                .collect(),
            dropped_messages: MessageDrop::ALL
                .iter()
                .map(|reason| {
                    let counter = self.dropped_messages.get_or_create(&MessageDropLabel { reason: *reason });
                    (reason.word(), counter.get())
                })
                .collect(),
            in_flight: u64::try_from(self.in_flight.get()).unwrap_or_default(),
        }
    }

    /// Answers for records on a way that may fail in itself: unless told otherwise, they count as dropped.
    pub fn answer_for(&self, count: u64) -> Answerable {
        Answerable { account: self.clone(), count }
    }

    fn entry(&self) -> MutexGuard<'_, ()> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn landed(&self, count: u64) {
        self.in_flight.dec_by(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Records on a way that may fail in itself.
#[derive(Debug)]
#[must_use = "dropped at once, it counts the records as lost"]
pub struct Answerable {
    account: Account,
    count: u64,
}

impl Answerable {
    /// Their fate is counted elsewhere.
    pub fn settled(mut self) {
        self.count = 0;
    }
}

impl std::ops::Drop for Answerable {
    fn drop(&mut self) {
        if self.count > 0 {
            tracing::error!(documents = self.count, "a fault of the collector itself lost documents");
            self.account.dropped(Drop::Internal, self.count);
        }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DropLabel {
    reason: Drop,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct MessageDropLabel {
    reason: MessageDrop,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AdjustedLabel {
    what: &'static str,
}

impl EncodeLabelValue for Drop {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.word().encode(encoder)
    }
}

impl EncodeLabelValue for MessageDrop {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.word().encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_balance_at_every_step() {
        let account = Account::default();
        account.received(10, 1);
        assert_eq!(account.statement().in_flight, 9);
        account.stored(4);
        account.duplicates(1);
        account.rejected(2);
        let statement = account.statement();
        assert_eq!(statement.difference(), 0);
        assert_eq!((statement.records, statement.stored, statement.in_flight), (10, 4, 2));
        let dropped: Vec<_> = statement.dropped.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(dropped, [&("other_side", 1)]);
        assert_eq!(statement.dropped.len(), Drop::ALL.len(), "reasons that never happened are told too");
        drop(account.answer_for(1));
        account.answer_for(1).settled();
        let statement = account.statement();
        assert_eq!(
            (statement.in_flight, statement.difference()),
            (1, 0),
            "a way that failed in itself is counted"
        );
    }
}
