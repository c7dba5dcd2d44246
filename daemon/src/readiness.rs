//! Who must be up before traffic comes: each holds a guard and drops it when it is.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The parts that are still awaited. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    awaited: Arc<Mutex<BTreeSet<&'static str>>>,
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
