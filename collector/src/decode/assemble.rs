//! Records to documents, documents to batches; records that lack a name wait here for a while.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use podflow_ipfix::collect::DataRecord;

use crate::account::Account;
use crate::document::shape::{Draft, Origin};
use crate::document::{Builder, Drafted, Lined};
use crate::sink::{Batch, Batches};

/// How long records wait for names, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AssemblerSettings {
    /// How long one waits.
    pub(crate) wait: Duration,
    /// How many wait at once; further ones go unnamed.
    pub(crate) records: usize,
}

/// Makes documents and gathers them.
pub(crate) struct Assembler {
    builder: Builder,
    batches: Batches,
    account: Account,
    settings: AssemblerSettings,
    open: Batch,
    full: VecDeque<Batch>,
    waiting: VecDeque<Waiting>,
    /// Records taken, and copies of the other side dropped, that the account does not know of yet.
    records: u64,
    other_side: u64,
    next_question: Instant,
}

/// A draft that waits for the owner of an address.
struct Waiting {
    until: Instant,
    draft: Draft<'static>,
}

impl Assembler {
    /// An assembler with nothing in it.
    pub(crate) fn new(
        builder: Builder,
        batches: Batches,
        account: Account,
        settings: AssemblerSettings,
    ) -> Self {
        Self {
            builder,
            open: batches.empty(),
            batches,
            account,
            settings,
            full: VecDeque::new(),
            waiting: VecDeque::new(),
            records: 0,
            other_side: 0,
            next_question: Instant::now(),
        }
    }

    /// Takes a record.
    pub(crate) fn take(&mut self, origin: &Origin, record: &DataRecord<'_>) {
        self.records += 1;
        match self.batches.add_record(&mut self.open, &mut self.builder, origin, record) {
            (Lined::Written(adjustments), full) => {
                self.account.adjusted(&adjustments);
                if full {
                    self.close();
                }
                return;
            }
            (Lined::OtherSide, _) => return self.other_side += 1,
            (Lined::NotPlain, _) => {}
        }
        match self.builder.draft(origin, record.fields()) {
            Drafted::Ready(draft) => self.add(draft),
            Drafted::OtherSide => self.other_side += 1,
            Drafted::Unnamed(draft) => {
                if self.settings.wait.is_zero() || self.waiting.len() >= self.settings.records {
                    self.account.unnamed();
                    self.add(draft);
                    return;
                }
                self.account.waits_for_names();
                let until = Instant::now() + self.settings.wait;
                self.waiting.push_back(Waiting { until, draft: draft.into_owned() });
            }
        }
    }

    /// Asks for the names that records wait for; those that waited long enough go without, all do if `last`.
    pub(crate) fn ask_again(&mut self, last: bool) {
        let now = Instant::now();
        if self.waiting.is_empty() || (now < self.next_question && !last) {
            return;
        }
        self.next_question = now + QUESTION;
        for _ in 0..self.waiting.len() {
            let Some(Waiting { until, draft }) = self.waiting.pop_front() else { return };
            match self.builder.name_again(draft) {
                Drafted::Ready(draft) => self.add(draft),
                Drafted::OtherSide => self.other_side += 1,
                Drafted::Unnamed(draft) if last || now >= until => {
                    self.account.unnamed();
                    self.add(draft);
                }
                Drafted::Unnamed(draft) => self.waiting.push_back(Waiting { until, draft }),
            }
        }
    }

    /// Enters into the account what was taken since the last entry; before a batch is handed on.
    pub(crate) fn account(&mut self) {
        self.account.received(std::mem::take(&mut self.records), std::mem::take(&mut self.other_side));
    }

    /// Closes the open batch if it waited long enough.
    pub(crate) fn close_due(&mut self) {
        if self.batches.is_due(&self.open) {
            self.close();
        }
    }

    /// Closes the open batch.
    pub(crate) fn close(&mut self) {
        if !self.open.is_empty() {
            let batch = std::mem::replace(&mut self.open, self.batches.empty());
            self.full.push_back(batch);
        }
    }

    /// A batch that is to go to the sink.
    pub(crate) fn next_full(&mut self) -> Option<Batch> {
        self.full.pop_front()
    }

    /// How long may pass before something here is due.
    pub(crate) fn patience(&self) -> Duration {
        if self.waiting.is_empty() { self.batches.age() / 4 } else { QUESTION.min(self.batches.age() / 4) }
    }

    fn add(&mut self, draft: Draft<'_>) {
        let (document, adjustments) = self.builder.finish(draft);
        self.account.adjusted(&adjustments);
        if self.batches.add(&mut self.open, &document) {
            self.close();
        }
    }
}

/// How often waiting records' names are asked for.
const QUESTION: Duration = Duration::from_millis(100);
