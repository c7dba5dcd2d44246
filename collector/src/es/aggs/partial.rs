//! What one segment, or several added up, say to an aggregation.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::sketch::{Digest, Distinct};
use crate::es::hits::Found;

/// The key of a bucket. Its order is Elasticsearch's order of keys.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Key {
    /// No value, where a composite source asks for those too.
    Missing,
    /// Longs, booleans, times.
    Whole(i64),
    /// A double in the order-preserving bits of `tantivy::f64_to_u64`.
    Real(u64),
    /// An address, IPv4 mapped into IPv6.
    Address(u128),
    Text(Arc<str>),
    Several(Arc<[Self]>),
}

/// An intermediate result.
#[derive(Clone, Debug)]
pub(crate) enum Partial {
    /// Buckets with keys that the data give.
    Keyed(Buckets),
    /// Buckets that the request gives, in its order.
    Fixed(Vec<Bucket>),
    Stats(Stats),
    Distinct(Distinct),
    Digest(Digest),
    Hits(Found),
}

pub(crate) type Buckets = HashMap<Key, Bucket, BuildHasherDefault<Quick>>;

/// The documents of one key, and what its sub-aggregations say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) count: u64,
    pub(crate) subs: Vec<Partial>,
}

impl Partial {
    /// Adds another segment's result. Says how many buckets are new here.
    pub(crate) fn absorb(&mut self, other: Self) -> usize {
        match (self, other) {
            (Self::Keyed(mine), Self::Keyed(theirs)) => {
                if mine.is_empty() {
                    *mine = theirs;
                    return mine.len();
                }
                let mut new = 0;
                for (key, bucket) in theirs {
                    match mine.entry(key) {
                        std::collections::hash_map::Entry::Occupied(mut entry) => {
                            new += entry.get_mut().absorb(bucket)
                        }
                        std::collections::hash_map::Entry::Vacant(entry) => {
                            entry.insert(bucket);
                            new += 1;
                        }
                    }
                }
                new
            }
            (Self::Fixed(mine), Self::Fixed(theirs)) => {
                if mine.is_empty() {
                    *mine = theirs;
                    return mine.len();
                }
                mine.iter_mut().zip(theirs).map(|(mine, theirs)| mine.absorb(theirs)).sum()
            }
            (Self::Stats(mine), Self::Stats(theirs)) => {
                mine.absorb(&theirs);
                0
            }
            (Self::Distinct(mine), Self::Distinct(theirs)) => {
                mine.absorb(&theirs);
                0
            }
            (Self::Digest(mine), Self::Digest(theirs)) => {
                mine.absorb(&theirs);
                0
            }
            (Self::Hits(mine), Self::Hits(theirs)) => {
                mine.absorb(theirs);
                0
            }
            // One aggregation makes one kind of result in every segment.
            _ => 0,
        }
    }
}

impl Partial {
    /// How much memory it takes, in units of a bucket.
    pub(crate) fn weight(&self) -> usize {
        let of = |bucket: &Bucket| 1 + bucket.subs.iter().map(Self::weight).sum::<usize>();
        match self {
            Self::Keyed(buckets) => 1 + buckets.values().map(of).sum::<usize>(),
            Self::Fixed(buckets) => 1 + buckets.iter().map(of).sum::<usize>(),
            Self::Stats(_) => 1,
            Self::Distinct(distinct) => 1 + distinct.octets() / 200,
            Self::Digest(digest) => 1 + digest.octets() / 200,
            Self::Hits(found) => 1 + found.hits.len(),
        }
    }
}

impl Bucket {
    fn absorb(&mut self, other: Self) -> usize {
        self.count += other.count;
        if self.subs.is_empty() {
            self.subs = other.subs;
            return 0;
        }
        self.subs.iter_mut().zip(other.subs).map(|(mine, theirs)| mine.absorb(theirs)).sum()
    }
}

/// Count, sum (compensated, as Elasticsearch's), least, most and sum of squares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stats {
    pub(crate) count: u64,
    sum: f64,
    lost: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) squares: f64,
}

impl Default for Stats {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, lost: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, squares: 0.0 }
    }
}

impl Stats {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1;
        self.plus(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.squares += value * value;
    }

    pub(crate) fn sum(&self) -> f64 {
        self.sum + self.lost
    }

    /// Kahan and Babuška: what a sum loses to rounding is kept beside it.
    #[inline]
    fn plus(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost +=
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    fn absorb(&mut self, other: &Self) {
        self.count += other.count;
        self.plus(other.sum);
        self.lost += other.lost;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.squares += other.squares;
    }
}

/// A hasher for keys that are not chosen by an attacker alone: texts by xxh3, numbers by one multiplication.
#[derive(Default)]
pub(crate) struct Quick(u64);

impl std::hash::Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = u128::from(self.0 ^ number) * u128::from(0x9E37_79B9_7F4A_7C15_u64);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are folded together")]
        let folded = mixed as u64 ^ (mixed >> 64) as u64;
        self.0 = folded;
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(u64::from_ne_bytes(number.to_ne_bytes()));
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_i64(number as i64);
    }
}
