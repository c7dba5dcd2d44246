//! Results into Elasticsearch's JSON: order, size, empty buckets, keys and their texts.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::bounds::{CompositeOrder, address_range, number_range};
use super::keys::real;
use super::metrics;
use super::parse::{MOST_BUCKETS, too_many};
use super::partial::{Bucket, Buckets, Key, Partial, Stats};
use super::pipeline::number;
use super::sketch::{Digest, Distinct};
use super::{
    Agg, Bound, BucketOptions, Composite, CompositeKind, Flavour, Histogram, Kind, Level, Order, OrderBy,
    RangeBucket, Source,
};
use crate::es::addresses::address_text;
use crate::es::date::{self, Rounding};
use crate::es::error::Result;
use crate::es::filter::Planner;
use crate::es::show::Shower;
use crate::store::Kind as FieldKind;

/// What a range is ordered by, the beginning of its bucket, and its key.
type RangeHead = ((Key, Key), Map<String, Value>, String);

/// Shows results.
pub(crate) struct Renderer<'r> {
    pub(crate) planner: &'r Planner<'r>,
    pub(crate) shower: &'r Shower<'r>,
    pub(crate) typed_keys: bool,
    buckets: std::cell::Cell<usize>,
}

impl<'r> Renderer<'r> {
    pub(crate) fn new(planner: &'r Planner<'r>, shower: &'r Shower<'r>, typed_keys: bool) -> Self {
        Self { planner, shower, typed_keys, buckets: std::cell::Cell::new(0) }
    }

    /// One level: every aggregation, then the pipelines beside them. Without results it shows empty ones.
    pub(crate) fn level(&self, level: &Level, partials: &[Partial]) -> Result<Map<String, Value>> {
        let mut shown = Map::new();
        for (at, agg) in level.aggs.iter().enumerate() {
            let mut value = self.one(agg, partials.get(at))?;
            if let (Some(meta), Some(map)) = (&agg.meta, value.as_object_mut()) {
                map.insert("meta".to_owned(), meta.clone());
            }
            shown.insert(agg.name.clone(), value);
        }
        for (name, pipeline, meta) in &level.pipelines {
            if let Some(mut value) = pipeline.beside(&shown)? {
                if let (Some(meta), Some(map)) = (meta, value.as_object_mut()) {
                    map.insert("meta".to_owned(), meta.clone());
                }
                shown.insert(name.clone(), value);
            }
        }
        if self.typed_keys {
            let typed = level.aggs.iter().map(|agg| (agg.name.clone(), self.type_name(agg)));
            for (name, kind) in typed {
                if let Some(value) = shown.remove(&name) {
                    shown.insert(format!("{kind}#{name}"), value);
                }
            }
            for (name, ..) in &level.pipelines {
                if let Some(value) = shown.remove(name) {
                    shown.insert(format!("simple_value#{name}"), value);
                }
            }
        }
        Ok(shown)
    }

    fn one(&self, agg: &Agg, partial: Option<&Partial>) -> Result<Value> {
        let none = Buckets::default();
        let keyed = match partial {
            Some(Partial::Keyed(buckets)) => buckets,
            _ => &none,
        };
        Ok(match &agg.kind {
            Kind::Terms(terms) => {
                self.terms(&terms.options, std::slice::from_ref(&terms.source), &agg.subs, keyed)?
            }
            Kind::MultiTerms { sources, options } => self.terms(options, sources, &agg.subs, keyed)?,
            Kind::Composite(composite) => self.composite(composite, &agg.subs, keyed)?,
            Kind::DateHistogram { source, rounding, histogram } => {
                self.date_histogram(source, rounding, histogram, &agg.subs, keyed)?
            }
            Kind::Histogram { interval, offset, histogram, .. } => {
                self.histogram((*interval, *offset), histogram, &agg.subs, keyed)?
            }
            Kind::Range { source, ranges, flavour, keyed } => {
                self.ranges(source, ranges, flavour, *keyed, &agg.subs, fixed(partial))?
            }
            Kind::Filter(_) | Kind::Missing(_) | Kind::Global => {
                let bucket = fixed(partial).first().cloned().unwrap_or_default();
                let mut map = Map::new();
                map.insert("doc_count".to_owned(), bucket.count.into());
                map.extend(self.level(&agg.subs, &bucket.subs)?);
                Value::Object(map)
            }
            Kind::Filters { filters, other, named } => {
                let names = filters.iter().map(|(name, _)| name).chain(other);
                let mut shown = Vec::new();
                for (at, name) in names.enumerate() {
                    let bucket = fixed(partial).get(at).cloned().unwrap_or_default();
                    shown.push((name.clone(), self.bucket(Map::new(), &bucket, &agg.subs)?));
                }
                if *named {
                    json!({"buckets": shown.into_iter().collect::<Map<_, _>>()})
                } else {
                    json!({"buckets": shown.into_iter().map(|(_, bucket)| bucket).collect::<Vec<_>>()})
                }
            }
            Kind::Metric { what, source } => {
                let stats = match partial {
                    Some(Partial::Stats(stats)) => *stats,
                    _ => Stats::default(),
                };
                metrics::metric(self.planner, *what, source, &stats)
            }
            Kind::Cardinality(_) => {
                let count = match partial {
                    Some(Partial::Distinct(distinct)) => distinct.count(),
                    _ => Distinct::default().count(),
                };
                json!({"value": count})
            }
            Kind::Percentiles { percents, keyed, .. } => {
                let digest = digest(partial);
                metrics::percentiles(percents, *keyed, |percent| digest.percentile(percent))
            }
            Kind::PercentileRanks { values, keyed, .. } => {
                let digest = digest(partial);
                metrics::percentiles(values, *keyed, |value| digest.rank(value))
            }
            Kind::TopHits(request) => {
                let found = match partial {
                    Some(Partial::Hits(found)) => found.clone(),
                    _ => request.nothing(),
                };
                json!({"hits": self.shower.hits(request, &found, Some(json!({"value": found.total, "relation": "eq"})))?})
            }
        })
    }

    fn terms(
        &self,
        options: &BucketOptions,
        sources: &[Source],
        subs: &Level,
        found: &Buckets,
    ) -> Result<Value> {
        let mut list: Vec<(&Key, &Bucket)> =
            found.iter().filter(|(_, bucket)| bucket.count >= options.min_doc_count).collect();
        let total: u64 = found.values().map(|bucket| bucket.count).sum();
        // Counts here are exact; Elasticsearch says -1, "unknown", of an order by a sub-aggregation as soon as a shard
        // has more terms than it sends, and clients get what they are used to.
        let by_path = options.order.first().is_some_and(|order| matches!(order.by, OrderBy::Path(_)));
        let error = if by_path && list.len() >= options.shard_size { -1 } else { 0 };
        let compare = |a: &(&Key, &Bucket), b: &(&Key, &Bucket)| self.compare(&options.order, subs, *a, *b);
        // Choosing before sorting: a field of a million values is asked for its ten biggest.
        if list.len() > options.size {
            list.select_nth_unstable_by(options.size, compare);
            list.truncate(options.size);
        }
        list.sort_by(compare);
        let shown: u64 = list.iter().map(|(_, bucket)| bucket.count).sum();
        self.count(list.len())?;
        let mut buckets = Vec::with_capacity(list.len());
        for (key, bucket) in list {
            let head = match key {
                Key::Several(parts) => {
                    several_head(parts.iter().zip(sources).map(|(key, source)| self.key(key, source)))
                }
                key => self.head(key, sources.first()),
            };
            buckets.push(self.bucket(head, bucket, subs)?);
        }
        self.pipelines(subs, &mut buckets)?;
        Ok(
            json!({"doc_count_error_upper_bound": error, "sum_other_doc_count": total - shown, "buckets": buckets}),
        )
    }

    fn composite(&self, composite: &Composite, subs: &Level, found: &Buckets) -> Result<Value> {
        let order = CompositeOrder::new(self.planner, composite)?;
        let mut list: Vec<(&Key, &Bucket)> = found.iter().filter(|(key, _)| order.is_after(key)).collect();
        list.sort_by(|(a, _), (b, _)| order.compare(a, b));
        list.truncate(composite.size);
        self.count(list.len())?;
        let mut buckets = Vec::with_capacity(list.len());
        for (key, bucket) in &list {
            let Key::Several(parts) = key else { continue };
            let mut keys = Map::new();
            for (part, source) in parts.iter().zip(&composite.sources) {
                let (value, text) = match (&source.what, part) {
                    (_, Key::Missing) => (Value::Null, None),
                    (CompositeKind::DateHistogram(rounding), Key::Whole(millis)) => {
                        let format = source.source.format.as_ref();
                        (
                            Value::from(*millis),
                            format.map(|format| date::format(*millis, format, &rounding.zone)),
                        )
                    }
                    (CompositeKind::Terms, key) => {
                        let (value, text) = self.key(key, &source.source);
                        match value {
                            // Booleans are shown as such here.
                            Value::Number(_)
                                if text.as_deref() == Some("true") || text.as_deref() == Some("false") =>
                            {
                                (Value::Bool(text.as_deref() == Some("true")), None)
                            }
                            value => (value, None),
                        }
                    }
                    (_, key) => (self.key(key, &source.source).0, None),
                };
                keys.insert(source.name.clone(), text.map_or(value, Value::String));
            }
            let mut head = Map::new();
            head.insert("key".to_owned(), Value::Object(keys));
            buckets.push(self.bucket(head, bucket, subs)?);
        }
        let after = buckets.last().and_then(|bucket| bucket.get("key")).cloned();
        self.pipelines(subs, &mut buckets)?;
        let mut shown = Map::new();
        if let Some(after) = after {
            shown.insert("after_key".to_owned(), after);
        }
        shown.insert("buckets".to_owned(), buckets.into());
        Ok(Value::Object(shown))
    }

    fn date_histogram(
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

    fn histogram(
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

    fn finish_histogram(&self, mut buckets: Vec<Value>, keyed: bool, subs: &Level) -> Result<Value> {
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

    fn ranges(
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
    fn range_head(&self, source: &Source, range: &RangeBucket, flavour: &Flavour) -> Result<RangeHead> {
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

    fn bucket(&self, mut head: Map<String, Value>, bucket: &Bucket, subs: &Level) -> Result<Value> {
        head.insert("doc_count".to_owned(), bucket.count.into());
        head.extend(self.level(subs, &bucket.subs)?);
        Ok(Value::Object(head))
    }

    fn pipelines(&self, subs: &Level, buckets: &mut Vec<Value>) -> Result<()> {
        // Sorting comes last, so that it can sort by what other pipelines have put there.
        let sorts = |pipeline: &super::pipeline::Pipeline| {
            matches!(pipeline, super::pipeline::Pipeline::BucketSort { .. })
        };
        for (name, pipeline, _) in subs.pipelines.iter().filter(|(_, p, _)| !sorts(p)) {
            pipeline.within(name, buckets)?;
        }
        for (name, pipeline, _) in subs.pipelines.iter().filter(|(_, p, _)| sorts(p)) {
            pipeline.within(name, buckets)?;
        }
        Ok(())
    }

    fn head(&self, key: &Key, source: Option<&Source>) -> Map<String, Value> {
        let mut head = Map::new();
        if let Some(source) = source {
            let (value, text) = self.key(key, source);
            head.insert("key".to_owned(), value);
            if let Some(text) = text {
                head.insert("key_as_string".to_owned(), text.into());
            }
        }
        head
    }

    /// A key's value and, where it has one, its text.
    fn key(&self, key: &Key, source: &Source) -> (Value, Option<String>) {
        let kind = self.planner.fields.find(&source.field).map(|field| field.kind);
        match (key, kind) {
            (Key::Whole(number), Some(FieldKind::Boolean)) => {
                ((*number).into(), Some((*number != 0).to_string()))
            }
            (Key::Whole(number), Some(FieldKind::Date)) => {
                let format = source.format.as_deref().unwrap_or("strict_date_optional_time");
                ((*number).into(), Some(date::format(*number, format, &TimeZone::UTC)))
            }
            (Key::Whole(number), _) => ((*number).into(), None),
            (Key::Real(bits), _) => (number(tantivy::u64_to_f64(*bits)), None),
            (Key::Address(number), _) => (address_text(*number).into(), None),
            (Key::Text(text), _) => (text.as_ref().into(), None),
            (Key::Missing | Key::Several(_), _) => (Value::Null, None),
        }
    }

    fn compare(&self, order: &[Order], subs: &Level, a: (&Key, &Bucket), b: (&Key, &Bucket)) -> Ordering {
        for entry in order {
            let step = match &entry.by {
                OrderBy::Count => a.1.count.cmp(&b.1.count),
                OrderBy::Key => a.0.cmp(b.0),
                OrderBy::Path(path) => {
                    let (x, y) = (
                        metrics::order_value(subs, path, &a.1.subs),
                        metrics::order_value(subs, path, &b.1.subs),
                    );
                    match (x.is_nan(), y.is_nan()) {
                        // What has no value comes last in either direction.
                        (true, true) => Ordering::Equal,
                        (true, false) => return Ordering::Greater,
                        (false, true) => return Ordering::Less,
                        (false, false) => x.total_cmp(&y),
                    }
                }
            };
            let step = if entry.ascending { step } else { step.reverse() };
            if step.is_ne() {
                return step;
            }
        }
        Ordering::Equal
    }

    fn count(&self, buckets: usize) -> Result<()> {
        let count = self.buckets.get() + buckets;
        self.buckets.set(count);
        if count > MOST_BUCKETS { Err(too_many(count)) } else { Ok(()) }
    }

    fn type_name(&self, agg: &Agg) -> &'static str {
        let kind = |source: &Source| self.planner.fields.find(&source.field).map(|field| field.kind);
        match &agg.kind {
            Kind::Terms(terms) => match kind(&terms.source) {
                Some(FieldKind::Long | FieldKind::Boolean | FieldKind::Date) => "lterms",
                Some(FieldKind::Double) => "dterms",
                Some(FieldKind::Keyword | FieldKind::Ip) => "sterms",
                None => "umterms",
            },
            Kind::MultiTerms { .. } => "multi_terms",
            Kind::Composite(_) => "composite",
            Kind::DateHistogram { .. } => "date_histogram",
            Kind::Histogram { .. } => "histogram",
            Kind::Range { flavour, .. } => match flavour {
                Flavour::Number => "range",
                Flavour::Date(_) => "date_range",
                Flavour::Address => "ip_range",
            },
            Kind::Filter(_) => "filter",
            Kind::Filters { .. } => "filters",
            Kind::Missing(_) => "missing",
            Kind::Global => "global",
            Kind::Metric { what, .. } => what.name(),
            Kind::Cardinality(_) => "cardinality",
            Kind::Percentiles { .. } => "tdigest_percentiles",
            Kind::PercentileRanks { .. } => "tdigest_percentile_ranks",
            Kind::TopHits(_) => "top_hits",
        }
    }
}

/// The head of a `multi_terms` bucket: the parts, and their texts joined.
fn several_head(parts: impl Iterator<Item = (Value, Option<String>)>) -> Map<String, Value> {
    let (mut values, mut texts) = (Vec::new(), Vec::new());
    for (value, text) in parts {
        texts.push(text.unwrap_or_else(|| match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }));
        values.push(value);
    }
    let mut head = Map::new();
    head.insert("key".to_owned(), values.into());
    head.insert("key_as_string".to_owned(), texts.join("|").into());
    head
}

fn fixed(partial: Option<&Partial>) -> &[Bucket] {
    match partial {
        Some(Partial::Fixed(buckets)) => buckets,
        _ => &[],
    }
}

fn digest(partial: Option<&Partial>) -> Digest {
    match partial {
        Some(Partial::Digest(digest)) => digest.clone(),
        _ => Digest::default(),
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
