//! Aggregation bodies into types.

mod intervals;

use intervals::{composite, date_histogram, histogram};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::pipeline::Pipeline;
use super::{
    Agg, Bound, BucketOptions, Flavour, Kind, Level, Metric, Order, OrderBy, RangeBucket, Source, Terms,
    Wanted,
};
use crate::es::body::{self, Object};
use crate::es::date;
use crate::es::error::{EsError, Result};
use crate::es::hits::HitsRequest;
use crate::es::query::Query;

/// Deepest nesting of aggregations.
const DEEPEST: usize = 20;
/// Most buckets that a request may ask for or get: Elasticsearch's `search.max_buckets`.
pub(crate) const MOST_BUCKETS: usize = 65_536;
/// Most aggregations of one request.
const MOST_AGGS: usize = 1000;

/// The value of `aggs`.
pub(crate) fn level(value: &Value, depth: usize) -> Result<Level> {
    if depth > DEEPEST {
        return Err(EsError::illegal(format!("aggregations are nested deeper than {DEEPEST}")));
    }
    let map = value.as_object().ok_or_else(|| EsError::parsing("[aggs] must be an object"))?;
    if map.len() > MOST_AGGS {
        return Err(EsError::illegal(format!("more than {MOST_AGGS} aggregations side by side")));
    }
    let mut level = Level::default();
    for (name, body) in map {
        if name.contains(['[', ']', '>']) || name.is_empty() {
            return Err(EsError::parsing(format!(
                "Invalid aggregation name [{name}]. Aggregation names can contain any character except '[', ']', and '>'"
            )));
        }
        one(name, body, depth, &mut level)?;
    }
    for (name, pipeline, _) in &level.pipelines {
        pipeline.check(name, &level)?;
    }
    Ok(level)
}

fn one(name: &str, body: &Value, depth: usize, into: &mut Level) -> Result<()> {
    let mut object = Object::new(name, body)?;
    let subs = match object.take("aggs").or_else(|| object.take("aggregations")) {
        Some(subs) => level(subs, depth + 1)?,
        None => Level::default(),
    };
    let meta = object.take("meta").cloned();
    let mut rest = object.rest().into_iter();
    let (Some((kind, options)), other) = (rest.next(), rest.next()) else {
        return Err(EsError::parsing(format!("Missing definition for aggregation [{name}]")));
    };
    if let Some((other, _)) = other {
        return Err(EsError::parsing(format!(
            "Found two aggregation type definitions in [{name}]: [{kind}] and [{other}]"
        )));
    }
    if let Some(pipeline) = Pipeline::parse(kind, options)? {
        into.pipelines.push((name.to_owned(), pipeline, meta));
        return Ok(());
    }
    let parsed = parse_kind(kind, options)?;
    let bucketing = !matches!(
        parsed,
        Kind::Metric { .. }
            | Kind::Cardinality(_)
            | Kind::Percentiles { .. }
            | Kind::PercentileRanks { .. }
            | Kind::TopHits(_)
    );
    let alone = subs.aggs.is_empty() && subs.pipelines.is_empty();
    if !bucketing && !alone {
        return Err(EsError::new(
            400,
            "illegal_argument_exception",
            format!("Aggregator [{name}] of type [{kind}] cannot accept sub-aggregations"),
        ));
    }
    if matches!(parsed, Kind::Global) && depth > 0 {
        let reason = format!(
            "Aggregation [{name}] cannot have a global sub-aggregation: [global] can only be at the top level"
        );
        return Err(EsError { status: 500, ..EsError::shard("aggregation_execution_exception", reason) });
    }
    check_order(&parsed, &subs, name)?;
    into.aggs.push(Agg { name: name.to_owned(), kind: parsed, subs, meta });
    Ok(())
}

fn parse_kind(kind: &str, options: &Value) -> Result<Kind> {
    if matches!(kind, "filter") {
        return Query::parse(options).map(Kind::Filter);
    }
    let mut object = Object::new(kind, options)?;
    let parsed = match kind {
        "terms" => terms(&mut object)?,
        "multi_terms" => {
            let sources = body::one_or_many(object.required("terms")?)
                .iter()
                .map(|value| {
                    let mut term = Object::new("terms", value)?;
                    let source = source(&mut term)?;
                    term.finish().map(|()| source)
                })
                .collect::<Result<Vec<_>>>()?;
            if sources.len() < 2 {
                return Err(EsError::illegal(
                    "The [terms] parameter in the aggregation [multi_terms] must be present and have at least 2 fields or scripts.",
                ));
            }
            Kind::MultiTerms { sources, options: bucket_options(&mut object)? }
        }
        "composite" => composite(&mut object)?,
        "date_histogram" | "auto_date_histogram" if kind == "date_histogram" => date_histogram(&mut object)?,
        "histogram" => {
            let source = source(&mut object)?;
            let interval = object.number("interval")?.unwrap_or(0.0);
            if interval <= 0.0 {
                return Err(EsError::content("[interval] must be >0 for histogram aggregation [histogram]"));
            }
            let offset = object.number("offset")?.unwrap_or(0.0);
            let histogram = histogram(&mut object, |value| body::number(value).map(Bound::Value))?;
            Kind::Histogram { source, interval, offset, histogram }
        }
        "range" | "date_range" | "ip_range" => range(kind, &mut object)?,
        "filters" => filters(&mut object)?,
        "missing" => Kind::Missing(source(&mut object)?),
        "global" => Kind::Global,
        "avg" => metric(Metric::Avg, &mut object)?,
        "sum" => metric(Metric::Sum, &mut object)?,
        "min" => metric(Metric::Min, &mut object)?,
        "max" => metric(Metric::Max, &mut object)?,
        "value_count" => metric(Metric::ValueCount, &mut object)?,
        "stats" => metric(Metric::Stats, &mut object)?,
        "extended_stats" => {
            let sigma = object.number("sigma")?.unwrap_or(2.0);
            metric(Metric::ExtendedStats(sigma), &mut object)?
        }
        "cardinality" => {
            object.ignore(&["precision_threshold", "execution_hint", "rehash"]);
            Kind::Cardinality(source(&mut object)?)
        }
        "percentiles" => {
            object.ignore(&["tdigest", "hdr", "compression"]);
            let percents = numbers(object.take("percents"))?
                .unwrap_or_else(|| vec![1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0]);
            if percents.iter().any(|percent| !(0.0..=100.0).contains(percent)) {
                return Err(EsError::illegal("the percents must be between 0 and 100"));
            }
            let keyed = object.truth("keyed")?.unwrap_or(true);
            Kind::Percentiles { source: source(&mut object)?, percents, keyed }
        }
        "percentile_ranks" => {
            object.ignore(&["tdigest", "hdr", "compression"]);
            let values = numbers(object.take("values"))?
                .ok_or_else(|| EsError::illegal("[values] must not be null: [percentile_ranks]"))?;
            let keyed = object.truth("keyed")?.unwrap_or(true);
            Kind::PercentileRanks { source: source(&mut object)?, values, keyed }
        }
        "top_hits" => {
            let map = options.as_object().ok_or_else(|| EsError::parsing("[top_hits] must be an object"))?;
            return HitsRequest::parse_top_hits(map).map(|request| Kind::TopHits(Box::new(request)));
        }
        "scripted_metric" => return Err(EsError::script()),
        "auto_date_histogram"
        | "significant_terms"
        | "rare_terms"
        | "adjacency_matrix"
        | "sampler"
        | "top_metrics"
        | "geohash_grid"
        | "nested"
        | "weighted_avg"
        | "median_absolute_deviation"
        | "significant_text"
        | "boxplot"
        | "t_test"
        | "rate"
        | "string_stats"
        | "diversified_sampler"
        | "random_sampler"
        | "matrix_stats"
        | "children"
        | "variable_width_histogram"
        | "ip_prefix"
        | "categorize_text"
        | "frequent_item_sets"
        | "time_series"
        | "reverse_nested" => {
            return Err(EsError::unsupported(format!("aggregation [{kind}]")));
        }
        _ => return Err(EsError::parsing(format!("Unknown aggregation type [{kind}]"))),
    };
    object.finish()?;
    Ok(parsed)
}

fn source(object: &mut Object<'_>) -> Result<Source> {
    if object.take("script").is_some() {
        return Err(EsError::script());
    }
    object.ignore(&["value_type"]);
    let field = object.text("field")?.ok_or_else(|| {
        EsError::illegal("Required one of fields [field, script], but none were specified. ")
    })?;
    Ok(Source { field, missing: object.take("missing").cloned(), format: object.text("format")? })
}

fn metric(what: Metric, object: &mut Object<'_>) -> Result<Kind> {
    Ok(Kind::Metric { what, source: source(object)? })
}

fn terms(object: &mut Object<'_>) -> Result<Kind> {
    object.ignore(&["execution_hint"]);
    let include = wanted(object.take("include"))?;
    let exclude = wanted(object.take("exclude"))?;
    Ok(Kind::Terms(Terms { source: source(object)?, options: bucket_options(object)?, include, exclude }))
}

fn wanted(value: Option<&Value>) -> Result<Option<Wanted>> {
    Ok(match value {
        None => None,
        Some(Value::String(pattern)) => Some(Wanted::Pattern(pattern.clone())),
        Some(Value::Array(values)) => Some(Wanted::Values(values.clone())),
        Some(Value::Object(_)) => return Err(EsError::unsupported("a partition of terms")),
        Some(other) => return Err(EsError::parsing(format!("[include] cannot be {}", body::kind(other)))),
    })
}

fn bucket_options(object: &mut Object<'_>) -> Result<BucketOptions> {
    object.ignore(&["show_term_doc_count_error", "collect_mode", "shard_min_doc_count"]);
    let size = object.count("size")?.unwrap_or(10);
    if size == 0 {
        return Err(EsError::content("[size] must be greater than 0. Found [0] in [terms]"));
    }
    if size > MOST_BUCKETS && size != i32::MAX as usize {
        return Err(too_many(size));
    }
    let shard_size = object.count("shard_size")?.unwrap_or(size + size / 2 + 10).max(size);
    let min_doc_count = object.count("min_doc_count")?.unwrap_or(1) as u64;
    let mut order = order(object.take("order"))?;
    if order.is_empty() {
        order.push(Order { by: OrderBy::Count, ascending: false });
    }
    if order.last().is_none_or(|last| last.by != OrderBy::Key) {
        order.push(Order { by: OrderBy::Key, ascending: true });
    }
    Ok(BucketOptions { size, shard_size, min_doc_count, order })
}

pub(crate) fn too_many(found: usize) -> EsError {
    EsError::shard(
        "too_many_buckets_exception",
        format!(
            "Trying to create too many buckets. Must be less than or equal to: [{MOST_BUCKETS}] but was [{found}]."
        ),
    )
}

fn order(value: Option<&Value>) -> Result<Vec<Order>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    body::one_or_many(value)
        .iter()
        .map(|entry| {
            let (by, direction) = body::single("order", entry)?;
            let ascending = match body::text("order", direction)?.to_ascii_lowercase().as_str() {
                "asc" => true,
                "desc" => false,
                other => {
                    return Err(EsError::parsing(format!("Unknown order direction [{other}]")));
                }
            };
            let by = match by {
                "_count" => OrderBy::Count,
                "_key" | "_term" | "_time" => OrderBy::Key,
                path => OrderBy::Path(path.to_owned()),
            };
            Ok(Order { by, ascending })
        })
        .collect()
}

/// An order by a sub-aggregation that is not there is refused, as Elasticsearch does.
fn check_order(kind: &Kind, subs: &Level, name: &str) -> Result<()> {
    let order = match kind {
        Kind::Terms(terms) => &terms.options.order,
        Kind::MultiTerms { options, .. } => &options.order,
        Kind::DateHistogram { histogram, .. } => &histogram.order,
        Kind::Histogram { histogram, .. } => &histogram.order,
        _ => return Ok(()),
    };
    for entry in order {
        if let OrderBy::Path(path) = &entry.by
            && super::metrics::find_path(subs, path).is_none()
        {
            return Err(EsError::shard(
                "aggregation_execution_exception",
                format!(
                    "Invalid aggregation order path [{path}]. The provided aggregation [{path}] either does not exist, or is a pipeline aggregation and cannot be used to sort the buckets of [{name}]."
                ),
            ));
        }
    }
    Ok(())
}

fn range(kind: &str, object: &mut Object<'_>) -> Result<Kind> {
    let source = source(object)?;
    let keyed = object.truth("keyed")?.unwrap_or(false);
    let zone = object.text("time_zone")?.map_or(Ok(TimeZone::UTC), |zone| date::zone(&zone))?;
    let flavour = match kind {
        "date_range" => Flavour::Date(zone),
        "ip_range" => Flavour::Address,
        _ => Flavour::Number,
    };
    let mut ranges = Vec::new();
    for value in body::one_or_many(object.required("ranges")?) {
        let mut one = Object::new("ranges", value)?;
        ranges.push(RangeBucket {
            key: one.text("key")?,
            from: one.take("from").cloned(),
            to: one.take("to").cloned(),
            mask: one.take("mask").cloned(),
        });
        one.finish()?;
    }
    if ranges.is_empty() {
        return Err(EsError::shard(
            "illegal_argument_exception",
            format!("No [ranges] specified for the [{kind}] aggregation"),
        ));
    }
    Ok(Kind::Range { source, ranges, flavour, keyed })
}

fn filters(object: &mut Object<'_>) -> Result<Kind> {
    let value = object.required("filters")?;
    let named = value.is_object();
    let filters = match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, query)| Ok((name.clone(), Query::parse(query)?)))
            .collect::<Result<Vec<_>>>()?,
        list => body::one_or_many(list)
            .iter()
            .enumerate()
            .map(|(at, query)| Ok((at.to_string(), Query::parse(query)?)))
            .collect::<Result<Vec<_>>>()?,
    };
    let key = object.text("other_bucket_key")?;
    let other = object.truth("other_bucket")?.unwrap_or_else(|| key.is_some());
    object.ignore(&["keyed"]);
    Ok(Kind::Filters { filters, other: other.then(|| key.unwrap_or_else(|| "_other_".to_owned())), named })
}

fn numbers(value: Option<&Value>) -> Result<Option<Vec<f64>>> {
    let Some(value) = value else { return Ok(None) };
    body::one_or_many(value)
        .iter()
        .map(|value| body::number(value).ok_or_else(|| EsError::parsing("a list of numbers is expected")))
        .collect::<Result<Vec<_>>>()
        .map(Some)
}
