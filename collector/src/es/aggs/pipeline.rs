//! Pipeline aggregations: computed from buckets already shown, so they work on their JSON.

use serde_json::{Map, Number, Value, json};

use super::Level;
use crate::es::body::{self, Object};
use crate::es::error::{EsError, Result};

/// One pipeline.
#[derive(Clone, Debug)]
pub(crate) enum Pipeline {
    /// Inside a histogram: the difference to the bucket before, also per `unit` milliseconds.
    Derivative {
        path: String,
        unit: Option<i64>,
        zeros: bool,
    },
    CumulativeSum {
        path: String,
    },
    BucketSort {
        sort: Vec<(String, bool)>,
        from: usize,
        size: Option<usize>,
    },
    /// Beside a bucket aggregation: one number of all its buckets.
    Over {
        what: Over,
        path: String,
        zeros: bool,
    },
}

/// What a sibling pipeline makes of the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Over {
    Sum,
    Avg,
    Max,
    Min,
    Stats,
}

impl Pipeline {
    /// The pipeline of this name; `None` where it is no pipeline's name.
    pub(crate) fn parse(kind: &str, options: &Value) -> Result<Option<Self>> {
        let mut object = match kind {
            "derivative" | "cumulative_sum" | "bucket_sort" | "sum_bucket" | "avg_bucket" | "max_bucket"
            | "min_bucket" | "stats_bucket" => Object::new(kind, options)?,
            "bucket_script" | "bucket_selector" | "moving_fn" => return Err(EsError::script()),
            "moving_avg"
            | "serial_diff"
            | "percentiles_bucket"
            | "extended_stats_bucket"
            | "cumulative_cardinality"
            | "normalize"
            | "inference"
            | "moving_percentiles"
            | "bucket_count_ks_test"
            | "bucket_correlation"
            | "change_point" => return Err(EsError::unsupported(format!("aggregation [{kind}]"))),
            _ => return Ok(None),
        };
        object.ignore(&["format"]);
        let zeros = match object.text("gap_policy")?.as_deref() {
            None | Some("skip" | "keep_values") => false,
            Some("insert_zeros") => true,
            Some(other) => return Err(EsError::illegal(format!("Invalid gap policy: [{other}]"))),
        };
        let pipeline = match kind {
            "bucket_sort" => {
                let sort = match object.take("sort") {
                    Some(sort) => body::one_or_many(sort).iter().map(sort_entry).collect::<Result<_>>()?,
                    None => Vec::new(),
                };
                let from = object.count("from")?.unwrap_or(0);
                let size = object.count("size")?;
                if size == Some(0) {
                    return Err(EsError::illegal("[size] must be a positive integer: [bucket_sort]"));
                }
                Self::BucketSort { sort, from, size }
            }
            "derivative" => {
                let unit = object
                    .text("unit")?
                    .map(|unit| {
                        unit_millis(&unit).ok_or_else(|| EsError::illegal(format!("unknown unit [{unit}]")))
                    })
                    .transpose()?;
                Self::Derivative { path: path(&mut object)?, unit, zeros }
            }
            "cumulative_sum" => Self::CumulativeSum { path: path(&mut object)? },
            over => {
                let what = match over {
                    "sum_bucket" => Over::Sum,
                    "avg_bucket" => Over::Avg,
                    "max_bucket" => Over::Max,
                    "min_bucket" => Over::Min,
                    _ => Over::Stats,
                };
                Self::Over { what, path: path(&mut object)?, zeros }
            }
        };
        object.finish()?;
        Ok(Some(pipeline))
    }

    /// Refuses a sibling pipeline whose aggregation is not beside it.
    pub(crate) fn check(&self, name: &str, level: &Level) -> Result<()> {
        let Self::Over { path, .. } = self else { return Ok(()) };
        let first = path.split('>').next().unwrap_or(path);
        if level.aggs.iter().any(|agg| agg.name == first) {
            return Ok(());
        }
        Err(EsError::new(
            400,
            "action_request_validation_exception",
            format!("Validation Failed: 1: No aggregation found for path [{path}] in [{name}];"),
        ))
    }

    /// Works on the buckets that it stands in.
    pub(super) fn within(&self, name: &str, buckets: &mut Vec<Value>) -> Result<()> {
        match self {
            Self::Derivative { path, unit, zeros } => {
                let mut before: Option<(f64, f64)> = None;
                for bucket in buckets.iter_mut() {
                    let time = bucket.get("key").and_then(Value::as_f64).unwrap_or(0.0);
                    let Some(value) = at(bucket, path, *zeros)? else { continue };
                    if let Some((last, last_time)) = before {
                        let mut shown = json!({"value": number(value - last)});
                        if let (Some(unit), Some(map)) = (unit, shown.as_object_mut()) {
                            let units = (time - last_time) / super::keys::real(*unit);
                            map.insert("normalized_value".to_owned(), number((value - last) / units));
                        }
                        put(bucket, name, shown);
                    }
                    before = Some((value, time));
                }
            }
            Self::CumulativeSum { path } => {
                let mut sum = 0.0;
                for bucket in buckets.iter_mut() {
                    sum += at(bucket, path, false)?.unwrap_or(0.0);
                    put(bucket, name, json!({"value": number(sum)}));
                }
            }
            Self::BucketSort { sort, from, size } => {
                let mut keyed = Vec::new();
                for bucket in buckets.drain(..) {
                    let keys =
                        sort.iter().map(|(path, _)| sort_key(&bucket, path)).collect::<Result<Vec<_>>>()?;
                    // A bucket without the value has no place in the order and is left out, as in Elasticsearch.
                    if keys.iter().all(Option::is_some) || sort.is_empty() {
                        keyed.push((keys, bucket));
                    }
                }
                keyed.sort_by(|(a, _), (b, _)| {
                    let mut order = std::cmp::Ordering::Equal;
                    for ((a, b), (_, ascending)) in a.iter().zip(b).zip(sort) {
                        let step = compare(a.as_ref(), b.as_ref());
                        order = order.then(if *ascending { step } else { step.reverse() });
                    }
                    order
                });
                let most = size.unwrap_or(usize::MAX);
                buckets.extend(keyed.into_iter().map(|(_, bucket)| bucket).skip(*from).take(most));
            }
            Self::Over { .. } => {}
        }
        Ok(())
    }

    /// A number of all buckets of an aggregation beside it, among what is shown of the level.
    pub(super) fn beside(&self, shown: &Map<String, Value>) -> Result<Option<Value>> {
        let Self::Over { what, path, zeros } = self else { return Ok(None) };
        let (first, rest) = path.split_once('>').unwrap_or((path, "_count"));
        let mut values = Vec::new();
        let mut target = shown.get(first);
        let mut rest = rest;
        // Single-bucket aggregations on the way have no list of buckets.
        while let Some(single) = target.filter(|value| value.get("buckets").is_none()) {
            let Some((next, after)) = rest.split_once('>') else { break };
            target = single.get(next);
            rest = after;
        }
        let buckets = target.and_then(|target| target.get("buckets"));
        let list: Vec<&Value> = match buckets {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(Value::Object(map)) => map.values().collect(),
            _ => Vec::new(),
        };
        for bucket in list {
            if let Some(value) = at(bucket, rest, *zeros)? {
                let key = match (bucket.get("key_as_string"), bucket.get("key")) {
                    (Some(Value::String(text)), _) | (None, Some(Value::String(text))) => text.clone(),
                    (_, key) => key.map(Value::to_string).unwrap_or_default(),
                };
                values.push((key, value));
            }
        }
        Ok(Some(over(*what, &values)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a mean of at most some thousand buckets")]
fn over(what: Over, values: &[(String, f64)]) -> Value {
    let sum: f64 = values.iter().map(|(_, value)| value).sum();
    let count = values.len();
    let extreme = |wanted: fn(f64, f64) -> bool| {
        let mut best: Option<f64> = None;
        for (_, value) in values {
            if best.is_none_or(|best| wanted(*value, best)) {
                best = Some(*value);
            }
        }
        let keys: Vec<&String> =
            values.iter().filter(|(_, value)| Some(*value) == best).map(|(key, _)| key).collect();
        (best, keys)
    };
    match what {
        Over::Sum => json!({"value": number(sum)}),
        Over::Avg => json!({"value": if count == 0 { Value::Null } else { number(sum / count as f64) }}),
        Over::Max => {
            let (value, keys) = extreme(|a, b| a > b);
            json!({"value": value.map(number), "keys": keys})
        }
        Over::Min => {
            let (value, keys) = extreme(|a, b| a < b);
            json!({"value": value.map(number), "keys": keys})
        }
        Over::Stats => json!({
            "count": count, "min": extreme(|a, b| a < b).0.map(number), "max": extreme(|a, b| a > b).0.map(number),
            "avg": if count == 0 { Value::Null } else { number(sum / count as f64) }, "sum": number(sum)
        }),
    }
}

/// The number at a path inside a bucket: `_count`, `sub`, `sub.property`, `sub[50.0]`, `single>sub`. A bucket without
/// documents has a gap there, unless counts are asked for.
fn at(bucket: &Value, path: &str, zeros: bool) -> Result<Option<f64>> {
    if path == "_count" {
        return Ok(bucket.get("doc_count").and_then(Value::as_f64));
    }
    let mut place = bucket;
    let mut parts = path.split('>').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() && part == "_count" {
            return Ok(place.get("doc_count").and_then(Value::as_f64));
        }
        if let Some(deeper) = place.get(part) {
            place = deeper;
            continue;
        }
        let split =
            part.strip_suffix(']').and_then(|part| part.split_once('[')).or_else(|| part.split_once('.'));
        // A derivative's first bucket has none: a gap.
        let Some((name, property)) = split else { return Ok(zeros.then_some(0.0)) };
        let owner = place.get(name).ok_or_else(|| no_path(path))?;
        place = owner
            .get(property)
            .or_else(|| owner.get("values").and_then(|values| values.get(property)))
            .ok_or_else(|| no_path(path))?;
    }
    let value = if place.is_object() { place.get("value").ok_or_else(|| no_path(path))? } else { place };
    let empty = bucket.get("doc_count").and_then(Value::as_u64) == Some(0);
    Ok(match value.as_f64() {
        Some(value) if !empty => Some(value),
        _ if zeros => Some(0.0),
        _ => None,
    })
}

fn sort_key(bucket: &Value, path: &str) -> Result<Option<Value>> {
    if path == "_key" {
        return Ok(bucket.get("key").cloned());
    }
    Ok(at(bucket, path, false)?.map(number))
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
        (Some(a), Some(b)) => a.as_f64().unwrap_or(f64::NAN).total_cmp(&b.as_f64().unwrap_or(f64::NAN)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

fn no_path(path: &str) -> EsError {
    EsError::new(400, "illegal_argument_exception", format!("No aggregation found for path [{path}]"))
}

fn put(bucket: &mut Value, name: &str, value: Value) {
    if let Some(map) = bucket.as_object_mut() {
        map.insert(name.to_owned(), value);
    }
}

/// A double as JSON; `null` where it is not finite.
pub(crate) fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn path(object: &mut Object<'_>) -> Result<String> {
    let value = object.required("buckets_path")?;
    match body::one_or_many(value) {
        [only] => body::text("buckets_path", only),
        _ => Err(EsError::illegal("[buckets_path] must be one path")),
    }
}

fn sort_entry(entry: &Value) -> Result<(String, bool)> {
    if let Value::String(path) = entry {
        return Ok((path.clone(), true));
    }
    let (path, direction) = body::single("sort", entry)?;
    let direction = direction.get("order").unwrap_or(direction);
    Ok((path.to_owned(), direction.as_str() != Some("desc")))
}

fn unit_millis(unit: &str) -> Option<i64> {
    Some(match unit {
        "second" => 1000,
        "minute" => 60_000,
        "hour" => 3_600_000,
        "day" => 86_400_000,
        "week" => 7 * 86_400_000,
        other => crate::es::date::duration(other)?,
    })
}
