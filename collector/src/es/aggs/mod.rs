//! Aggregations: read into types (`parse`), collected over one segment (`collect`), added up over segments
//! (`partial`), shown as Elasticsearch shows them (`render`, `pipeline`).
//!
//! Tantivy has an aggregation engine of its own; it knows neither time zones and calendar intervals nor `filters`,
//! `global`, pipelines and `.keyword` names, and counts terms approximately unless every limit is lifted. Here all
//! counts are exact, and a segment's partial result can be kept, since segments never change.

pub(crate) mod parse;

pub(crate) mod collect;

mod keys;

pub(crate) mod partial;

mod sketch;

pub(crate) mod render;

mod metrics;

pub(crate) mod work;

mod bounds;

pub(crate) mod question;

mod pipeline;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::date::Rounding;
use super::hits::HitsRequest;
use super::query::Query;
pub(crate) use keys::real;
use pipeline::Pipeline;
pub(crate) use pipeline::number;

/// The aggregations of one level: those asked for side by side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) aggs: Vec<Agg>,
    pub(crate) pipelines: Vec<(String, Pipeline, Option<Value>)>,
}

/// One aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Agg {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) subs: Level,
    pub(crate) meta: Option<Value>,
}

/// What an aggregation does.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Terms(Terms),
    MultiTerms { sources: Vec<Source>, options: BucketOptions },
    Composite(Composite),
    DateHistogram { source: Source, rounding: Rounding, histogram: Histogram<i64> },
    Histogram { source: Source, interval: f64, offset: f64, histogram: Histogram<f64> },
    Range { source: Source, ranges: Vec<RangeBucket>, flavour: Flavour, keyed: bool },
    Filter(Query),
    Filters { filters: Vec<(String, Query)>, other: Option<String>, named: bool },
    Missing(Source),
    Global,
    Metric { what: Metric, source: Source },
    Cardinality(Source),
    Percentiles { source: Source, percents: Vec<f64>, keyed: bool },
    PercentileRanks { source: Source, values: Vec<f64>, keyed: bool },
    TopHits(Box<HitsRequest>),
}

/// Where values come from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) field: String,
    /// Taken for documents without a value.
    pub(crate) missing: Option<Value>,
    /// How times are shown.
    pub(crate) format: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) source: Source,
    pub(crate) options: BucketOptions,
    pub(crate) include: Option<Wanted>,
    pub(crate) exclude: Option<Wanted>,
}

/// `include` and `exclude` of terms.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Pattern(String),
    Values(Vec<Value>),
}

#[derive(Clone, Debug)]
pub(crate) struct BucketOptions {
    pub(crate) size: usize,
    /// How many buckets a shard of Elasticsearch would send; here only what is said of the counts depends on it.
    pub(crate) shard_size: usize,
    pub(crate) min_doc_count: u64,
    pub(crate) order: Vec<Order>,
}

/// One criterion that buckets are ordered by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) by: OrderBy,
    pub(crate) ascending: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OrderBy {
    Count,
    Key,
    /// `sub`, `sub.property` or `single>sub.property`.
    Path(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Composite {
    pub(crate) size: usize,
    pub(crate) sources: Vec<CompositeSource>,
    pub(crate) after: Option<serde_json::Map<String, Value>>,
}

#[derive(Clone, Debug)]
pub(crate) struct CompositeSource {
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) what: CompositeKind,
    pub(crate) ascending: bool,
    pub(crate) missing_bucket: bool,
    /// Whether missing comes first; by default as the smallest value.
    pub(crate) missing_first: Option<bool>,
}

#[derive(Clone, Debug)]
pub(crate) enum CompositeKind {
    Terms,
    Histogram(f64),
    DateHistogram(Rounding),
}

/// What both histograms can be told.
#[derive(Clone, Debug)]
pub(crate) struct Histogram<T> {
    pub(crate) min_doc_count: u64,
    pub(crate) extended: Option<Ends<T>>,
    pub(crate) hard: Option<Ends<T>>,
    pub(crate) order: Vec<Order>,
    pub(crate) keyed: bool,
}

/// Least and most of `extended_bounds` and `hard_bounds`.
pub(crate) type Ends<T> = (Option<Bound<T>>, Option<Bound<T>>);

/// An end of `extended_bounds`: a number, or for times a text with date math that waits for the request's `now`.
#[derive(Clone, Debug)]
pub(crate) enum Bound<T> {
    Value(T),
    Text(String, TimeZone),
}

#[derive(Clone, Debug)]
pub(crate) struct RangeBucket {
    pub(crate) key: Option<String>,
    pub(crate) from: Option<Value>,
    pub(crate) to: Option<Value>,
    /// A network, for addresses.
    pub(crate) mask: Option<Value>,
}

#[derive(Clone, Debug)]
pub(crate) enum Flavour {
    Number,
    Date(TimeZone),
    Address,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Metric {
    Avg,
    Sum,
    Min,
    Max,
    ValueCount,
    Stats,
    /// With the number of standard deviations of its bounds.
    ExtendedStats(f64),
}

impl Metric {
    /// Elasticsearch's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::ValueCount => "value_count",
            Self::Stats => "stats",
            Self::ExtendedStats(_) => "extended_stats",
        }
    }
}
