//! Data sets whose template has not come yet, kept for a while (RFC 7011 section 8 allows it).
//!
//! Bounded in octets and age. Nothing is kept across a redefinition: only sets whose template was not known at all
//! are here, and the first definition takes them away.

use std::collections::VecDeque;

use super::session::DomainKey;
use crate::message::MessageHeader;

/// One data set that waits.
#[derive(Clone, Debug)]
pub(super) struct HeldSet {
    pub(super) header: MessageHeader,
    pub(super) template: u16,
    /// Where in its message the octets stand.
    pub(super) offset: usize,
    pub(super) received_ms: u64,
    pub(super) octets: Vec<u8>,
}

/// The data sets of one session that wait for their templates, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    sets: VecDeque<HeldSet>,
    octets: usize,
}

impl Held {
    /// Keeps a set, at the cost of the oldest where the bound says so; answers how many were given up.
    pub(super) fn keep(&mut self, set: HeldSet, bound: usize) -> u32 {
        if set.octets.len() > bound {
            return 1;
        }
        self.octets += set.octets.len();
        self.sets.push_back(set);
        let mut given_up = 0;
        while self.octets > bound {
            given_up += self.drop_oldest();
        }
        given_up
    }

    /// Gives up what has waited too long; answers how many.
    pub(super) fn expire(&mut self, now_ms: u64, age_ms: u64) -> u32 {
        let mut given_up = 0;
        while self.sets.front().is_some_and(|set| set.received_ms.saturating_add(age_ms) < now_ms) {
            given_up += self.drop_oldest();
        }
        given_up
    }

    /// Takes the sets of one domain's template out, oldest first.
    pub(super) fn claim(&mut self, domain: DomainKey, template: u16) -> Vec<HeldSet> {
        if self.sets.is_empty() {
            return Vec::new();
        }
        let (claimed, left): (Vec<HeldSet>, Vec<HeldSet>) =
            self.sets.drain(..).partition(|set| set.header.key() == domain && set.template == template);
        self.octets = left.iter().map(|set| set.octets.len()).sum();
        self.sets = left.into();
        claimed
    }

    /// How many sets wait.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    fn drop_oldest(&mut self) -> u32 {
        let Some(set) = self.sets.pop_front() else { return 0 };
        self.octets -= set.octets.len();
        1
    }
}
