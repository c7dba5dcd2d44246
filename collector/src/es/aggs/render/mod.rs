//! Results into Elasticsearch's JSON: order, size, empty buckets, keys and their texts.

mod histograms;

mod ranges;

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::bounds::CompositeOrder;
use super::parse::{MOST_BUCKETS, too_many};
use super::partial::{Bucket, Buckets, Key, Partial, Stats};
use super::pipeline::number;
use super::sketch::{Digest, Distinct};
use super::{
    Agg, BucketOptions, Composite, CompositeKind, Flavour, Kind, Level, Order, OrderBy, Source, metrics,
};
use crate::es::addresses::address_text;
use crate::es::date;
use crate::es::error::Result;
use crate::es::filter::Planner;
use crate::es::show::Shower;
use crate::store::Kind as FieldKind;

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
