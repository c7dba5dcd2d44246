//! Partial results of aggregations, kept by segment, filter and aggregation.
//!
//! Segments never change, so neither do these; a dashboard that is refreshed recomputes only the newest segments.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

use super::aggs::partial::Partial;
use super::aggs::question::question;
use super::error::Result;
use super::filter::{Filter, Planner};
use super::search::Search;
use crate::store::Segment;

/// All that are kept, until nobody asks for them any more.
#[derive(Default)]
pub(crate) struct Results {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    weight: usize,
    clock: u64,
}

type Key = (u64, u128);

struct Entry {
    matched: u64,
    aggs: Vec<Partial>,
    weight: usize,
    used: u64,
}

/// Smaller segments are computed as fast as they are found, and soon merged.
const WORTH_KEEPING: u32 = 8192;
/// Buckets and results kept, of about 200 octets each: 60 MB.
const MOST_WEIGHT: usize = 300_000;
/// Questions after which a result that nobody asked for again may go: some refreshes of a dashboard over a week.
const STALE: u64 = 5000;

impl Results {
    /// The key of a question to a segment; `None` where its answer is not worth keeping or not always the same.
    ///
    /// # Errors
    /// When a filter of an aggregation cannot be planned.
    pub(crate) fn key(
        segment: &Segment,
        filter: &Filter,
        search: &Search,
        post: Option<Filter>,
        planner: &Planner<'_>,
    ) -> Result<Option<Key>> {
        if segment.facts.documents < WORTH_KEEPING {
            return Ok(None);
        }
        Ok(question(&search.aggs, planner, segment)?.map(|asked| {
            let question = format!("{filter:?}\n{post:?}\n{asked}");
            (segment.serial, xxh3_128(question.as_bytes()))
        }))
    }

    pub(crate) fn find(&self, key: Key) -> Option<(u64, Vec<Partial>)> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let clock = kept.clock;
        let entry = kept.entries.get_mut(&key)?;
        entry.used = clock;
        Some((entry.matched, entry.aggs.clone()))
    }

    pub(crate) fn keep(&self, key: Key, matched: u64, aggs: &[Partial]) {
        let weight = 1 + aggs.iter().map(Partial::weight).sum::<usize>();
        if weight > MOST_WEIGHT / 8 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let used = kept.clock;
        if kept.weight + weight > MOST_WEIGHT {
            // Only what nobody has asked for lately makes room: a dashboard bigger than the bound would otherwise
            // drive out each result just before it is asked for again.
            kept.entries.retain(|_, entry| entry.used + STALE > used);
            kept.weight = kept.entries.values().map(|entry| entry.weight).sum();
            if kept.weight + weight > MOST_WEIGHT {
                return;
            }
        }
        kept.weight += weight;
        if let Some(old) = kept.entries.insert(key, Entry { matched, aggs: aggs.to_vec(), weight, used }) {
            kept.weight -= old.weight;
        }
    }
}
