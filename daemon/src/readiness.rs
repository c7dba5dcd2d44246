//! Who must be up before traffic comes: each holds a guard and drops it when it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The parts that are still awaited. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    awaited: Arc<Mutex<BTreeSet<&'static str>>>,
    notes: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

/// Held by a part until it is ready.
#[derive(Debug)]
#[must_use = "dropping the guard says that the part is ready"]
pub struct ReadyGuard {
    part: &'static str,
    awaited: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Readiness {
    /// From now on `part` is awaited, until its guard is dropped.
    pub fn wait_for(&self, part: &'static str) -> ReadyGuard {
        self.list().insert(part);
        ReadyGuard { part, awaited: Arc::clone(&self.awaited) }
    }

    /// The parts that are still awaited; none when the process is ready.
    pub fn awaited(&self) -> Vec<&'static str> {
        self.list().iter().copied().collect()
    }

    /// Something to know beside being ready or not; the last one of a `subject` holds, and an empty one takes it back.
    pub fn note(&self, subject: &'static str, note: impl Into<String>) {
        let (note, mut notes) = (note.into(), self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        if note.is_empty() {
            notes.remove(subject);
        } else {
            notes.insert(subject, note);
        }
    }

    /// The notes in force, by subject.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn list(&self) -> std::sync::MutexGuard<'_, BTreeSet<&'static str>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ReadyGuard {
    fn drop(&mut self) {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_holds_until_it_is_taken_back() {
        let readiness = Readiness::default();
        readiness.note("bridge", "unseen");
        readiness.note("bridge", "still unseen");
        assert_eq!(readiness.notes(), ["still unseen"]);
        readiness.note("bridge", "");
        assert!(readiness.notes().is_empty() && readiness.awaited().is_empty());
    }

    #[test]
    fn ready_when_every_guard_is_gone() {
        let readiness = Readiness::default();
        let listener = readiness.wait_for("listener");
        let names = readiness.wait_for("names");
        assert_eq!(readiness.awaited(), ["listener", "names"]);
        drop(names);
        assert_eq!(readiness.awaited(), ["listener"]);
        drop(listener);
        assert!(readiness.awaited().is_empty());
    }
}
