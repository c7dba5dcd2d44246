//! `range`, `date_range` and `ip_range`: the order of buckets and what they are called.

use serde_json::{Map, Value, json};

use super::Renderer;
use crate::es::addresses::address_text;
use crate::es::aggs::bounds::{address_range, number_range};
use crate::es::aggs::partial::{Bucket, Key};
use crate::es::aggs::pipeline::number;
use crate::es::aggs::{Flavour, Level, RangeBucket, Source, metrics};
use crate::es::date;
use crate::es::error::Result;

/// What a range is ordered by, the beginning of its bucket, and its key.
type RangeHead = ((Key, Key), Map<String, Value>, String);

impl Renderer<'_> {
    pub(super) fn ranges(
        &self,
        source: &Source,
        ranges: &[RangeBucket],
        flavour: &Flavour,
        keyed: bool,
        subs: &Level,
        found: &[Bucket],
    ) -> Result<Value> {
        let mut list = Vec::new();
        for (at, range) in ranges.iter().enumerate() {
            let (order, head, key) = self.range_head(source, range, flavour)?;
            let bucket = found.get(at).cloned().unwrap_or_default();
            list.push((order, key.clone(), self.bucket(head, &bucket, subs)?));
        }
        // Elasticsearch shows ranges in the order of their ends, not of the request.
        list.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        if keyed {
            let named = list.into_iter().map(|(_, key, mut bucket)| {
                if let Some(map) = bucket.as_object_mut() {
                    map.remove("key");
                }
                (key, bucket)
            });
            return Ok(json!({"buckets": named.collect::<Map<_, _>>()}));
        }
        let mut buckets: Vec<Value> = list.into_iter().map(|(_, _, bucket)| bucket).collect();
        self.pipelines(subs, &mut buckets)?;
        Ok(json!({"buckets": buckets}))
    }

    /// What a range is ordered by, the beginning of its bucket, and its key.
    pub(super) fn range_head(
        &self,
        source: &Source,
        range: &RangeBucket,
        flavour: &Flavour,
    ) -> Result<RangeHead> {
        let mut head = Map::new();
        head.insert("key".to_owned(), Value::Null);
        if let Flavour::Address = flavour {
            let (low, high) = address_range(range)?;
            let text = |number: u128| address_text(number);
            let key = range.key.clone().unwrap_or_else(|| match &range.mask {
                Some(mask) => mask.as_str().unwrap_or_default().to_owned(),
                None => format!(
                    "{}-{}",
                    if range.from.is_some() { text(low) } else { "*".to_owned() },
                    if range.to.is_some() { text(high) } else { "*".to_owned() }
                ),
            });
            if range.mask.is_some() || range.from.is_some() {
                head.insert("from".to_owned(), text(low).into());
            }
            if (range.mask.is_some() && high != u128::MAX) || range.to.is_some() {
                head.insert("to".to_owned(), text(high).into());
            }
            head.insert("key".to_owned(), key.clone().into());
            return Ok(((Key::Address(low), Key::Address(high)), head, key));
        }
        let (low, high) = number_range(range, flavour, source, self.planner.now)?;
        let text = |value: f64| match flavour {
            Flavour::Date(zone) => {
                let format = source.format.as_deref().unwrap_or("strict_date_optional_time");
                date::format(metrics::saturated(value), format, zone)
            }
            _ => number(value).to_string(),
        };
        let end = |value: f64| if value.is_finite() { text(value) } else { "*".to_owned() };
        let key = range.key.clone().unwrap_or_else(|| format!("{}-{}", end(low), end(high)));
        for (name, value) in [("from", low), ("to", high)] {
            if value.is_finite() {
                head.insert(name.to_owned(), number(value));
                if matches!(flavour, Flavour::Date(_)) {
                    head.insert(format!("{name}_as_string"), text(value).into());
                }
            }
        }
        head.insert("key".to_owned(), key.clone().into());
        let order = (Key::Real(tantivy::f64_to_u64(low)), Key::Real(tantivy::f64_to_u64(high)));
        Ok((order, head, key))
    }
}
