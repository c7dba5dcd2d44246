//! Distinct counts and percentiles in bounded memory, each exact while there is little to count.

use std::collections::{BTreeMap, HashSet};

/// Distinct hashes: all of them up to [`MOST_EXACT`], then HyperLogLog with 2^14 registers (error about 0.8 %).
#[derive(Clone, Debug)]
pub(crate) enum Distinct {
    Exact(HashSet<u64>),
    Estimate(Box<[u8]>),
}

const MOST_EXACT: usize = 16_384;
const REGISTER_BITS: u32 = 14;

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(HashSet::new())
    }
}

impl Distinct {
    pub(crate) fn add(&mut self, hash: u64) {
        match self {
            Self::Exact(hashes) => {
                hashes.insert(hash);
                if hashes.len() > MOST_EXACT {
                    let mut registers = vec![0; 1 << REGISTER_BITS].into_boxed_slice();
                    hashes.iter().for_each(|hash| register(&mut registers, *hash));
                    *self = Self::Estimate(registers);
                }
            }
            Self::Estimate(registers) => register(registers, hash),
        }
    }

    /// Octets of memory, roughly.
    pub(crate) fn octets(&self) -> usize {
        match self {
            Self::Exact(hashes) => hashes.len() * 16,
            Self::Estimate(registers) => registers.len(),
        }
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Exact(hashes)) => hashes.iter().for_each(|hash| self.add(*hash)),
            (Self::Estimate(mine), Self::Estimate(theirs)) => {
                mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
            }
            (Self::Exact(hashes), Self::Estimate(theirs)) => {
                let mut registers = theirs.clone();
                hashes.iter().for_each(|hash| register(&mut registers, *hash));
                *self = Self::Estimate(registers);
            }
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Exact(hashes) => hashes.len() as u64,
            Self::Estimate(registers) => {
                let count = registers.len() as f64;
                let sum: f64 = registers.iter().map(|rank| 2_f64.powi(-i32::from(*rank))).sum();
                let empty = registers.iter().filter(|rank| **rank == 0).count() as f64;
                let estimate = 0.7213 / (1.0 + 1.079 / count) * count * count / sum;
                let small = estimate <= 2.5 * count && empty > 0.0;
                (if small { count * (count / empty).ln() } else { estimate }).round() as u64
            }
        }
    }
}

fn register(registers: &mut [u8], hash: u64) {
    let at = usize::try_from(hash >> (64 - REGISTER_BITS)).unwrap_or(0);
    let rank = (hash << REGISTER_BITS | 1 << (REGISTER_BITS - 1)).leading_zeros() + 1;
    if let Some(register) = registers.get_mut(at) {
        *register = (*register).max(u8::try_from(rank).unwrap_or(u8::MAX));
    }
}

/// Values for percentiles: all of them up to [`MOST_VALUES`], then counts in buckets 1 % wide.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest {
    values: Vec<f64>,
    /// By sign and logarithm; the middle of a bucket is at most 0.5 % from any value in it.
    buckets: BTreeMap<(i8, i32), u64>,
    count: u64,
    ends: Option<(f64, f64)>,
}

const MOST_VALUES: usize = 16_384;
const GROWTH: f64 = 1.01;

impl Digest {
    /// Octets of memory, roughly.
    pub(crate) fn octets(&self) -> usize {
        self.values.len() * 8 + self.buckets.len() * 32
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1;
        let (low, high) = self.ends.unwrap_or((value, value));
        self.ends = Some((low.min(value), high.max(value)));
        if self.buckets.is_empty() && self.values.len() < MOST_VALUES {
            self.values.push(value);
            return;
        }
        for value in std::mem::take(&mut self.values) {
            *self.buckets.entry(place(value)).or_default() += 1;
        }
        *self.buckets.entry(place(value)).or_default() += 1;
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        other.values.iter().for_each(|value| self.add(*value));
        if other.buckets.is_empty() {
            return;
        }
        for value in std::mem::take(&mut self.values) {
            *self.buckets.entry(place(value)).or_default() += 1;
        }
        for (place, count) in &other.buckets {
            *self.buckets.entry(*place).or_default() += count;
        }
        self.count += other.count;
        if let (Some((a, b)), Some((c, d))) = (self.ends.or(other.ends), other.ends) {
            self.ends = Some((a.min(c), b.max(d)));
        }
    }

    /// The value below which so many percent of the values lie; between two values, as much of the way.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position between 0 and the count"
    )]
    pub(crate) fn percentile(&self, percent: f64) -> Option<f64> {
        let (low, high) = self.ends?;
        let position = percent / 100.0 * (self.count - 1) as f64;
        if self.buckets.is_empty() {
            let mut sorted = self.values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let below = sorted.get(position.floor() as usize)?;
            let above = sorted.get(position.ceil() as usize)?;
            return Some(below + (above - below) * position.fract());
        }
        let mut passed = 0;
        for (place, count) in &self.buckets {
            passed += count;
            if passed as f64 > position {
                return Some(middle(*place).clamp(low, high));
            }
        }
        Some(high)
    }

    /// How many percent of the values are at most this one.
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    pub(crate) fn rank(&self, value: f64) -> Option<f64> {
        let (low, high) = self.ends?;
        if value < low {
            return Some(0.0);
        }
        if value >= high {
            return Some(100.0);
        }
        let below = if self.buckets.is_empty() {
            self.values.iter().filter(|other| **other <= value).count() as u64
        } else {
            self.buckets.range(..=place(value)).map(|(_, count)| count).sum()
        };
        Some(below as f64 / self.count as f64 * 100.0)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the logarithm of a double is small")]
fn place(value: f64) -> (i8, i32) {
    if value == 0.0 {
        return (0, 0);
    }
    let logarithm = (value.abs().ln() / GROWTH.ln()).floor() as i32;
    if value > 0.0 { (1, logarithm) } else { (-1, -logarithm) }
}

fn middle((sign, logarithm): (i8, i32)) -> f64 {
    match sign {
        0 => 0.0,
        1 => GROWTH.powf(f64::from(logarithm) + 0.5),
        _ => -GROWTH.powf(f64::from(-logarithm) + 0.5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    #[test]
    fn distinct_counts_are_exact_and_then_within_three_percent() {
        let mut distinct = Distinct::default();
        let mut parts = vec![Distinct::default(); 3];
        for number in 0..200_000_u32 {
            let hash = xxh3_64(&number.to_le_bytes());
            distinct.add(hash);
            parts[(number % 3) as usize].add(hash);
            if number + 1 == 10_000 {
                assert_eq!(distinct.count(), 10_000);
            }
        }
        let mut merged = Distinct::default();
        parts.iter().for_each(|part| merged.absorb(part));
        assert_eq!(merged.count(), distinct.count());
        assert!(distinct.count().abs_diff(200_000) < 6000, "{}", distinct.count());
    }

    #[test]
    fn percentiles_are_exact_and_then_within_a_percent() {
        let mut small = Digest::default();
        [4.0, 1.0, 3.0, 2.0].into_iter().for_each(|value| small.add(value));
        assert_eq!(small.percentile(50.0), Some(2.5));
        assert_eq!(small.rank(2.0), Some(50.0));
        let mut halves = [Digest::default(), Digest::default()];
        for number in 0..100_000_u32 {
            halves[(number % 2) as usize].add(f64::from(number) - 1000.0);
        }
        let mut all = Digest::default();
        halves.iter().for_each(|half| all.absorb(half));
        for (percent, exact) in
            [(1.0, 0.0), (50.0, 49_000.0), (99.0, 98_000.0), (100.0, 98_999.0), (0.0, -1000.0)]
        {
            let found = all.percentile(percent).unwrap();
            assert!((found - exact).abs() <= exact.abs() * 0.01 + 5.0, "{percent}: {found} for {exact}");
        }
    }
}
