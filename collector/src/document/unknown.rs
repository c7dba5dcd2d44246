//! A bound on the distinct names that unknown elements may bring into an index.
//!
//! Each new name is a new field of the index's mapping, for good; an exporter that sends garbage templates could
//! fill it. Elements beyond the bound are kept in one object that is stored and not indexed.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::time::DAY_MILLIS;

/// The document field that holds what lies beyond the bound.
pub const FIELD: &str = "unindexed";

/// The names of unknown elements that the day's index has taken.
#[derive(Debug, Default)]
pub struct UnknownNames {
    day: Mutex<(i64, HashSet<String>)>,
}

impl UnknownNames {
    /// Whether the name may become a field of the index of `now_ms`' day.
    pub fn admit(&self, name: &str, now_ms: i64) -> bool {
        let mut state = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let today = now_ms.div_euclid(DAY_MILLIS);
        let (day, names) = &mut *state;
        if *day != today {
            *day = today;
            names.clear();
        }
        if names.contains(name) {
            return true;
        }
        if names.len() >= NAMES_A_DAY {
            return false;
        }
        names.insert(name.to_owned())
    }
}

/// Enough for every vendor element one is likely to meet, and with the known fields within the index's
/// `total_fields.limit` of 2000.
const NAMES_A_DAY: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_for_a_day() {
        let names = UnknownNames::default();
        for number in 0..NAMES_A_DAY {
            assert!(names.admit(&format!("e1id{number}"), 5), "{number}");
        }
        assert!(!names.admit("e2id1", 6));
        assert!(names.admit("e1id7", 7), "a known name stays");
        assert!(names.admit("e2id1", DAY_MILLIS), "another day, another index");
    }
}
