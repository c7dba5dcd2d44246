//! The order of composite keys, and the ends of ranges: what both collecting and showing need.

use serde_json::Value;

use super::keys::{real, value_key};
use super::partial::Key;
use super::{Composite, CompositeKind, Flavour, RangeBucket, Source};
use crate::es::addresses::network;
use crate::es::body;
use crate::es::date;
use crate::es::error::{EsError, Result};
use crate::es::filter::Planner;
use crate::store::Kind as FieldKind;

/// The order of composite keys, and where a page begins.
pub(crate) struct CompositeOrder {
    directions: Vec<(bool, Option<bool>)>,
    after: Option<Key>,
}

impl CompositeOrder {
    pub(crate) fn new(planner: &Planner<'_>, composite: &Composite) -> Result<Self> {
        let directions =
            composite.sources.iter().map(|source| (source.ascending, source.missing_first)).collect();
        let after = match &composite.after {
            None => None,
            Some(after) => {
                let mut parts = Vec::new();
                for source in &composite.sources {
                    let value = after.get(&source.name).unwrap_or(&Value::Null);
                    let kind = match (&source.what, planner.fields.find(&source.source.field)) {
                        (CompositeKind::Histogram(_), _) => FieldKind::Double,
                        (CompositeKind::DateHistogram(_), _) => FieldKind::Date,
                        (CompositeKind::Terms, field) => field.map_or(FieldKind::Keyword, |field| field.kind),
                    };
                    parts.push(if value.is_null() {
                        Key::Missing
                    } else {
                        value_key(kind, value, planner.now)?
                    });
                }
                Some(Key::Several(parts.into()))
            }
        };
        Ok(Self { directions, after })
    }

    pub(crate) fn is_after(&self, key: &Key) -> bool {
        self.after.as_ref().is_none_or(|after| self.compare(key, after).is_gt())
    }

    pub(crate) fn compare(&self, a: &Key, b: &Key) -> std::cmp::Ordering {
        let (Key::Several(a), Key::Several(b)) = (a, b) else { return a.cmp(b) };
        for ((a, b), (ascending, missing_first)) in a.iter().zip(b.iter()).zip(&self.directions) {
            let missing = (*a == Key::Missing, *b == Key::Missing);
            let order = match (missing, missing_first) {
                ((true, true), _) => std::cmp::Ordering::Equal,
                ((true, false), Some(first)) => {
                    if *first {
                        std::cmp::Ordering::Less
                    } else {
                        std::cmp::Ordering::Greater
                    }
                }
                ((false, true), Some(first)) => {
                    if *first {
                        std::cmp::Ordering::Greater
                    } else {
                        std::cmp::Ordering::Less
                    }
                }
                _ if *ascending => a.cmp(b),
                _ => b.cmp(a),
            };
            if order.is_ne() {
                return order;
            }
        }
        std::cmp::Ordering::Equal
    }
}

/// Both ends of a range as numbers; the upper one does not belong.
pub(crate) fn number_range(
    range: &RangeBucket,
    flavour: &Flavour,
    source: &Source,
    now: i64,
) -> Result<(f64, f64)> {
    let end = |value: &Option<Value>, open: f64| -> Result<f64> {
        let Some(value) = value else { return Ok(open) };
        if let (Flavour::Date(zone), Value::String(text)) = (flavour, value) {
            let format = source.format.as_deref().unwrap_or(date::DEFAULT_FORMAT);
            return Ok(real(date::parse(text, format, zone, now, false)?));
        }
        body::number(value).ok_or_else(|| EsError::parsing(format!("[{value}] is no end of a range")))
    };
    Ok((end(&range.from, f64::NEG_INFINITY)?, end(&range.to, f64::INFINITY)?))
}

/// Both ends of a range of addresses; the upper one does not belong (saturated at the very last address).
pub(crate) fn address_range(range: &RangeBucket) -> Result<(u128, u128)> {
    if let Some(mask) = &range.mask {
        let (low, high) = network(mask)?;
        return Ok((low, high.saturating_add(1)));
    }
    let low = range.from.as_ref().map_or(Ok(0), |value| network(value).map(|(low, _)| low))?;
    let high = range.to.as_ref().map_or(Ok(u128::MAX), |value| network(value).map(|(low, _)| low))?;
    Ok((low, high))
}
