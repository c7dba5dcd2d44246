//! A filter over one segment's columns.
//!
//! Every test of a text becomes a set of dictionary ordinals first; the column is then compared with that set.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::store::{Bits, Cache, Kind, Loaded, Segment, column_name};

use super::error::Result;
use super::filter::Filter;

impl Filter {
    /// What is left of the filter once the segment's times and index are known; also the cache's key for it.
    pub(crate) fn within(&self, segment: &Segment) -> Self {
        match self {
            Self::And(parts) => {
                let mut left = Vec::new();
                for part in parts {
                    match part.within(segment) {
                        Self::None => return Self::None,
                        Self::All => {}
                        other => left.push(other),
                    }
                }
                match left.len() {
                    0 => Self::All,
                    1 => left.remove(0),
                    _ => Self::And(left),
                }
            }
            Self::Or(parts, least) => {
                let (mut least, mut left) = (*least, Vec::new());
                for part in parts {
                    match part.within(segment) {
                        Self::None => {}
                        Self::All => least = least.saturating_sub(1),
                        other => left.push(other),
                    }
                }
                match (least, left.len()) {
                    (0, _) => Self::All,
                    (least, count) if least > count => Self::None,
                    (1, 1) => left.remove(0),
                    _ => Self::Or(left, least),
                }
            }
            Self::Not(part) => match part.within(segment) {
                Self::All => Self::None,
                Self::None => Self::All,
                other => Self::Not(Box::new(other)),
            },
            Self::Whole { column, ranges } if *column == column_name(Kind::Date, "@timestamp") => {
                let (first, last) = segment.facts.timestamps;
                if ranges.iter().any(|(from, to)| *from <= first && last <= *to) {
                    Self::All
                } else if ranges.iter().all(|(from, to)| *to < first || last < *from) {
                    Self::None
                } else {
                    self.clone()
                }
            }
            Self::Index(test) if test.passes(&segment.index()) => Self::All,
            Self::Index(_) => Self::None,
            other => other.clone(),
        }
    }

    /// The documents of the segment that pass. Call it on what [`Filter::within`] has left.
    pub(crate) fn run(&self, segment: &Segment, cache: &Cache) -> Result<Bits> {
        let documents = segment.facts.documents;
        let none = || Bits::none(documents);
        Ok(match self {
            Self::All => Bits::all(documents),
            Self::None | Self::Index(_) => none(),
            Self::And(parts) => {
                let mut bits = Bits::all(documents);
                for part in parts {
                    bits.and(&part.run(segment, cache)?);
                }
                bits
            }
            Self::Or(parts, 1) => {
                let mut bits = none();
                for part in parts {
                    bits.or(&part.run(segment, cache)?);
                }
                bits
            }
            Self::Or(parts, least) => {
                let mut counts = vec![0_usize; documents as usize];
                for part in parts {
                    for at in part.run(segment, cache)?.positions() {
                        if let Some(count) = counts.get_mut(at as usize) {
                            *count += 1;
                        }
                    }
                }
                let mut bits = none();
                (0..).zip(counts).filter(|(_, count)| count >= least).for_each(|(at, _)| bits.set(at));
                bits
            }
            Self::Not(part) => {
                let mut bits = part.run(segment, cache)?;
                bits.not();
                bits
            }
            Self::Text { column, test } => match cache.load(segment, column)?.as_deref() {
                Some(Loaded::Text(values, texts)) => match test.ordinals(texts)?.as_slice() {
                    [] => none(),
                    [only] => values.matching(documents, |ordinal| ordinal == *only),
                    several => {
                        let mut wanted = Bits::none(u32::try_from(texts.num_terms()).unwrap_or(u32::MAX));
                        several.iter().for_each(|ordinal| wanted.set(*ordinal));
                        values.matching(documents, |ordinal| wanted.get(ordinal))
                    }
                },
                _ => none(),
            },
            Self::Whole { column, ranges } => {
                match (cache.load(segment, column)?.as_deref(), ranges.as_slice()) {
                    (Some(Loaded::Whole(values)), [(from, to)]) => {
                        values.matching(documents, |value| *from <= value && value <= *to)
                    }
                    (Some(Loaded::Whole(values)), ranges) => {
                        let mut sorted = ranges.to_vec();
                        sorted.sort_unstable();
                        values.matching(documents, |value| {
                            let before = sorted.partition_point(|(from, _)| *from <= value);
                            sorted.get(..before).unwrap_or_default().iter().any(|(_, to)| value <= *to)
                        })
                    }
                    _ => none(),
                }
            }
            Self::Float { column, ranges } => match cache.load(segment, column)?.as_deref() {
                Some(Loaded::Float(values)) => values.matching(documents, |value| {
                    ranges.iter().any(|((from, from_in), (to, to_in))| {
                        (value > *from || *from_in && value == *from)
                            && (value < *to || *to_in && value == *to)
                    })
                }),
                _ => none(),
            },
            Self::Present(column) => match cache.load(segment, column)?.as_deref() {
                Some(Loaded::Whole(values)) => values.present(documents),
                Some(Loaded::Float(values)) => values.present(documents),
                Some(Loaded::Text(values, _)) => values.present(documents),
                None => none(),
            },
            Self::Ids(wanted) => ids(segment, cache, wanted)?,
        })
    }
}

fn ids(segment: &Segment, cache: &Cache, wanted: &BTreeSet<(i64, i64, i64)>) -> Result<Bits> {
    let mut bits = Bits::none(segment.facts.documents);
    let mut columns = Vec::new();
    for name in ["_id0", "_id1", "_id2"] {
        columns.extend(cache.load(segment, name)?);
    }
    let whole = |column: &Arc<Loaded>, row| match &**column {
        Loaded::Whole(values) => values.of(row).first().copied(),
        _ => None,
    };
    if let [second, high, low] = columns.as_slice() {
        for row in 0..segment.facts.documents {
            if let (Some(a), Some(b), Some(c)) = (whole(second, row), whole(high, row), whole(low, row))
                && wanted.contains(&(a, b, c))
            {
                bits.set(row);
            }
        }
    }
    Ok(bits)
}
