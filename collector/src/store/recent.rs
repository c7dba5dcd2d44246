//! The ids stored lately, against which a resent record is found before it is written.
//!
//! Two generations of a hash set: the older one is dropped when the newer is full or half the window old. An id is
//! itself a hash, so its own octets serve as the hash. 17 octets a slot: at the bound of 2 × 2 million ids, 140 MB.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use crate::document::model::DocumentId;

/// Ids of the last while.
pub(crate) struct Recent {
    young: Ids,
    old: Ids,
    /// When `young` was begun, milliseconds since 1970.
    begun: i64,
    window: Duration,
    /// Most ids of one generation.
    most: usize,
    /// Generations dropped because they were full rather than old.
    pub(crate) overflowed: u64,
}

type Ids = HashSet<Id, BuildHasherDefault<IdHasher>>;

impl Recent {
    /// An empty memory of `window`, of at most `most` ids.
    pub(crate) fn new(window: Duration, most: usize) -> Self {
        Self {
            young: Ids::default(),
            old: Ids::default(),
            begun: i64::MIN,
            window,
            most: most / 2,
            overflowed: 0,
        }
    }

    /// Remembers the id; `false` where it is known already.
    pub(crate) fn insert(&mut self, id: DocumentId, now: i64) -> bool {
        let half = i64::try_from(self.window.as_millis() / 2).unwrap_or(i64::MAX);
        let aged = now.saturating_sub(self.begun) >= half;
        if aged || self.young.len() >= self.most {
            if !aged {
                self.overflowed += 1;
            }
            self.old = std::mem::take(&mut self.young);
            self.begun = now;
        }
        !self.old.contains(&Id(id.0)) && self.young.insert(Id(id.0))
    }

    /// Forgets an id whose document was not stored after all.
    pub(crate) fn remove(&mut self, id: DocumentId) {
        self.young.remove(&Id(id.0));
        self.old.remove(&Id(id.0));
    }

    /// Ids remembered now.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[derive(Eq, PartialEq)]
struct Id([u8; 15]);

impl std::hash::Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [_, _, _, _, hash @ .., _, _, _] = self.0;
        state.write_u64(u64::from_le_bytes(hash));
    }
}

/// Passes the eight hash octets of an id through.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> DocumentId {
        let mut octets = [0; 15];
        octets[4..12].copy_from_slice(&number.to_le_bytes());
        DocumentId(octets)
    }

    #[test]
    fn an_id_is_known_for_at_least_half_the_window_and_at_most_the_window() {
        let mut recent = Recent::new(Duration::from_millis(100), 1000);
        assert!(recent.insert(id(1), 0));
        assert!(!recent.insert(id(1), 49));
        assert!(!recent.insert(id(1), 50), "moved to the old generation, still known");
        assert!(recent.insert(id(2), 99));
        assert!(recent.insert(id(1), 100), "forgotten after the window");
    }

    #[test]
    fn the_bound_drops_the_older_half_and_counts_it() {
        let mut recent = Recent::new(Duration::from_secs(60), 4);
        for number in 0..5 {
            assert!(recent.insert(id(number), 0));
        }
        assert_eq!((recent.len(), recent.overflowed), (3, 2));
        assert!(!recent.insert(id(3), 0));
        assert!(recent.insert(id(0), 0), "beyond the bound");
    }

    #[test]
    fn a_removed_id_may_come_again() {
        let mut recent = Recent::new(Duration::from_secs(60), 10);
        assert!(recent.insert(id(7), 0));
        recent.remove(id(7));
        assert!(recent.insert(id(7), 0));
    }
}
