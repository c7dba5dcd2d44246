//! `histogram` and `date_histogram`: which buckets are shown, the empty ones between others too.

use serde_json::{Map, Value, json};

use super::Renderer;
use crate::es::aggs::keys::real;
use crate::es::aggs::parse::{MOST_BUCKETS, too_many};
use crate::es::aggs::partial::{Bucket, Buckets, Key};
use crate::es::aggs::pipeline::number;
use crate::es::aggs::{Bound, Histogram, Level, Source};
use crate::es::date::{self, Rounding};
use crate::es::error::Result;

impl Renderer<'_> {
    pub(super) fn date_histogram(
        &self,
        source: &Source,
        rounding: &Rounding,
        histogram: &Histogram<i64>,
        subs: &Level,
        found: &Buckets,
    ) -> Result<Value> {
        let bound = |bound: &Option<Bound<i64>>| -> Result<Option<i64>> {
            Ok(match bound {
                None => None,
                Some(Bound::Value(value)) => Some(*value),
                Some(Bound::Text(text, zone)) => {
                    let format = source.format.as_deref().unwrap_or(date::DEFAULT_FORMAT);
                    Some(date::parse(text, format, zone, self.planner.now, false)?)
                }
            })
        };
        let mut keys: Vec<i64> = found.keys().filter_map(whole).collect();
        if let Some((low, high)) = &histogram.hard {
            let (low, high) = (bound(low)?, bound(high)?);
            keys.retain(|key| {
                low.is_none_or(|low| rounding.bucket(low).0 <= *key) && high.is_none_or(|high| *key < high)
            });
        }
        keys.sort_unstable();
        if histogram.min_doc_count == 0 {
            let mut ends = keys.first().copied().zip(keys.last().copied());
            if let Some((low, high)) = &histogram.extended {
                for end in [bound(low)?, bound(high)?].into_iter().flatten() {
                    let end = rounding.bucket(end).0;
                    let (first, last) = ends.unwrap_or((end, end));
                    ends = Some((first.min(end), last.max(end)));
                }
            }
            keys.clear();
            let mut next = ends.map(|(first, _)| first);
            while let (Some(key), Some((_, last))) = (next, ends) {
                if key > last {
                    break;
                }
                keys.push(key);
                if keys.len() > MOST_BUCKETS {
                    return Err(too_many(keys.len()));
                }
                next = Some(rounding.bucket(key).1).filter(|after| *after > key);
            }
        }
        let format = source.format.as_deref().unwrap_or("strict_date_optional_time");
        let nothing = Bucket::default();
        let mut list: Vec<(Key, &Bucket)> = keys
            .into_iter()
            .map(|key| (Key::Whole(key), found.get(&Key::Whole(key)).unwrap_or(&nothing)))
            .filter(|(_, bucket)| bucket.count >= histogram.min_doc_count)
            .collect();
        list.sort_by(|(a, x), (b, y)| self.compare(&histogram.order, subs, (a, x), (b, y)));
        self.count(list.len())?;
        let mut buckets = Vec::with_capacity(list.len());
        for (key, bucket) in &list {
            let millis = whole(key).unwrap_or_default();
            let mut head = Map::new();
            head.insert("key_as_string".to_owned(), date::format(millis, format, &rounding.zone).into());
            head.insert("key".to_owned(), millis.into());
            buckets.push(self.bucket(head, bucket, subs)?);
        }
        self.finish_histogram(buckets, histogram.keyed, subs)
    }

    pub(super) fn histogram(
        &self,
        (interval, offset): (f64, f64),
        histogram: &Histogram<f64>,
        subs: &Level,
        found: &Buckets,
    ) -> Result<Value> {
        let value = |bound: &Option<Bound<f64>>| match bound {
            Some(Bound::Value(value)) => Some(*value),
            _ => None,
        };
        let step = |value: f64| ((value - offset) / interval).floor();
        let mut steps: Vec<f64> = found.keys().filter_map(real_key).map(step_of(interval, offset)).collect();
        if let Some((low, high)) = &histogram.hard {
            steps.retain(|at| {
                value(low).is_none_or(|low| step(low) <= *at)
                    && value(high).is_none_or(|high| at * interval + offset < high)
            });
        }
        steps.sort_unstable_by(f64::total_cmp);
        if histogram.min_doc_count == 0 {
            let mut ends = steps.first().copied().zip(steps.last().copied());
            if let Some((low, high)) = &histogram.extended {
                for end in [value(low), value(high)].into_iter().flatten() {
                    let end = step(end);
                    let (first, last) = ends.unwrap_or((end, end));
                    ends = Some((first.min(end), last.max(end)));
                }
            }
            if let Some((first, last)) = ends {
                let span = last - first;
                if !span.is_finite() || span >= real(i64::try_from(MOST_BUCKETS).unwrap_or(i64::MAX)) {
                    return Err(too_many(MOST_BUCKETS + 1));
                }
                // Counted from the first: beyond 2^53 adding one to a double leaves it as it is.
                steps = (0..)
                    .map(f64::from)
                    .map_while(|more: f64| (more <= span).then_some(first + more))
                    .collect();
                steps.dedup();
            }
        }
        let nothing = Bucket::default();
        let mut list: Vec<(Key, &Bucket)> = steps
            .into_iter()
            .map(|at| {
                let key = Key::Real(tantivy::f64_to_u64(at * interval + offset));
                let bucket = found.get(&key).unwrap_or(&nothing);
                (key, bucket)
            })
            .filter(|(_, bucket)| bucket.count >= histogram.min_doc_count)
            .collect();
        list.sort_by(|(a, x), (b, y)| self.compare(&histogram.order, subs, (a, x), (b, y)));
        self.count(list.len())?;
        let mut buckets = Vec::with_capacity(list.len());
        for (key, bucket) in &list {
            let mut head = Map::new();
            head.insert("key".to_owned(), real_key(key).map_or(Value::Null, number));
            buckets.push(self.bucket(head, bucket, subs)?);
        }
        self.finish_histogram(buckets, histogram.keyed, subs)
    }

    pub(super) fn finish_histogram(
        &self,
        mut buckets: Vec<Value>,
        keyed: bool,
        subs: &Level,
    ) -> Result<Value> {
        self.pipelines(subs, &mut buckets)?;
        if !keyed {
            return Ok(json!({"buckets": buckets}));
        }
        let named = buckets.into_iter().map(|bucket| {
            let name = bucket.get("key_as_string").and_then(Value::as_str).map(str::to_owned);
            (name.unwrap_or_else(|| bucket.get("key").map(Value::to_string).unwrap_or_default()), bucket)
        });
        Ok(json!({"buckets": named.collect::<Map<_, _>>()}))
    }
}

fn whole(key: &Key) -> Option<i64> {
    match key {
        Key::Whole(whole) => Some(*whole),
        _ => None,
    }
}

fn real_key(key: &Key) -> Option<f64> {
    match key {
        Key::Real(bits) => Some(tantivy::u64_to_f64(*bits)),
        _ => None,
    }
}

/// Which step of a histogram a key is; rounded, since the key was computed from it.
fn step_of(interval: f64, offset: f64) -> impl Fn(f64) -> f64 {
    move |key| ((key - offset) / interval).round()
}
