//! Whole lines onto stdout, many at once, and all that there are before the program waits for more input.

use std::cell::RefCell;
use std::io::{self, StdoutLock, Write as _};
use std::rc::Rc;

use crate::decode::progress::Progress;

/// The lines that are still to be written; clones share them.
#[derive(Clone)]
pub(in crate::decode) struct Lines<'p> {
    shared: Rc<RefCell<Shared<'p>>>,
}

struct Shared<'p> {
    progress: &'p Progress,
    stdout: StdoutLock<'static>,
    waiting: Vec<u8>,
    records: u64,
    failed: Option<io::Error>,
}

impl<'p> Lines<'p> {
    pub(super) fn new(progress: &'p Progress) -> Self {
        let waiting = Vec::with_capacity(WRITE_AT_ONCE);
        let shared = Shared { progress, stdout: io::stdout().lock(), waiting, records: 0, failed: None };
        Self { shared: Rc::new(RefCell::new(shared)) }
    }

    /// Takes the line above all others.
    pub(super) fn take_heading(&self, line: &mut Vec<u8>) {
        self.shared.borrow_mut().take(line);
    }

    /// Takes the line of a record, which is empty afterwards.
    pub(super) fn take(&self, line: &mut Vec<u8>) {
        let mut shared = self.shared.borrow_mut();
        shared.take(line);
        shared.records += 1;
        if shared.waiting.len() >= WRITE_AT_ONCE {
            shared.write();
        }
    }

    /// Writes what waits.
    pub(in crate::decode) fn write(&self) {
        self.shared.borrow_mut().write();
    }

    /// Whether writing has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.borrow().failed.is_some()
    }

    /// Why writing failed, once.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.shared.borrow_mut().failed.take()
    }
}

impl Shared<'_> {
    fn take(&mut self, line: &mut Vec<u8>) {
        self.waiting.append(line);
        self.waiting.push(b'\n');
    }

    /// Beside the progress bar, which never stands within a line.
    fn write(&mut self) {
        let Self { progress, stdout, waiting, records, failed } = self;
        progress.printed(*records);
        if failed.is_none() && !waiting.is_empty() {
            *failed = progress.beside(|| stdout.write_all(waiting).and_then(|()| stdout.flush())).err();
        }
        waiting.clear();
    }
}

/// Octets that are written at once.
const WRITE_AT_ONCE: usize = 64 * 1_024;
