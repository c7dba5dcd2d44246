//! What is cut into intervals: `histogram`, `date_histogram`, and `composite` with such sources.

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::{MOST_BUCKETS, order, source, too_many};
use crate::es::aggs::{
    Bound, Composite, CompositeKind, CompositeSource, Ends, Histogram, Kind, Order, OrderBy,
};
use crate::es::body::{self, Object};
use crate::es::date::{self, Interval, Rounding};
use crate::es::error::{EsError, Result};

pub(super) fn composite(object: &mut Object<'_>) -> Result<Kind> {
    let size = object.count("size")?.unwrap_or(10);
    if size > MOST_BUCKETS {
        return Err(too_many(size));
    }
    let sources = body::one_or_many(object.required("sources")?)
        .iter()
        .map(|entry| {
            let (name, value) = body::single("sources", entry)?;
            composite_source(name, value)
        })
        .collect::<Result<Vec<_>>>()?;
    if sources.is_empty() {
        return Err(EsError::content("Composite [sources] cannot be null or empty"));
    }
    let after = object
        .take("after")
        .map(|after| after.as_object().cloned().ok_or_else(|| EsError::parsing("[after] must be an object")));
    let after: Option<Map<String, Value>> = after.transpose()?;
    if let Some(after) = &after
        && (after.len() != sources.len() || sources.iter().any(|source| !after.contains_key(&source.name)))
    {
        return Err(EsError::shard(
            "illegal_argument_exception",
            "[after] does not hold exactly the names of [sources]",
        ));
    }
    Ok(Kind::Composite(Composite { size, sources, after }))
}

fn composite_source(name: &str, value: &Value) -> Result<CompositeSource> {
    let (kind, options) = body::single(name, value)?;
    let mut object = Object::new(kind, options)?;
    let ascending = match object.text("order")?.as_deref() {
        None | Some("asc") => true,
        Some("desc") => false,
        Some(other) => return Err(EsError::illegal(format!("Unknown order direction [{other}]"))),
    };
    let missing_bucket = object.truth("missing_bucket")?.unwrap_or(false);
    let missing_first = match object.text("missing_order")?.as_deref() {
        None | Some("default") => None,
        Some("first") => Some(true),
        Some("last") => Some(false),
        Some(other) => return Err(EsError::illegal(format!("Unknown missing order [{other}]"))),
    };
    let what = match kind {
        "terms" => CompositeKind::Terms,
        "histogram" => match object.number("interval")? {
            Some(interval) if interval > 0.0 => CompositeKind::Histogram(interval),
            _ => return Err(EsError::illegal("[interval] must be greater than 0 for [histogram] source")),
        },
        "date_histogram" => CompositeKind::DateHistogram(rounding(&mut object)?),
        _ => return Err(EsError::parsing(format!("invalid source type: {kind}"))),
    };
    let source = source(&mut object)?;
    object.finish()?;
    Ok(CompositeSource { name: name.to_owned(), source, what, ascending, missing_bucket, missing_first })
}

pub(super) fn date_histogram(object: &mut Object<'_>) -> Result<Kind> {
    let rounding = rounding(object)?;
    let zone = rounding.zone.clone();
    let source = source(object)?;
    let histogram = histogram(object, |value| match value {
        Value::Number(_) => body::whole("bounds", value).ok().map(Bound::Value),
        Value::String(text) => Some(Bound::Text(text.clone(), zone.clone())),
        _ => None,
    })?;
    Ok(Kind::DateHistogram { source, rounding, histogram })
}

fn rounding(object: &mut Object<'_>) -> Result<Rounding> {
    let calendar = object.text("calendar_interval")?;
    let fixed = object.text("fixed_interval")?;
    let old = object.text("interval")?;
    let interval = match (calendar, fixed, old) {
        (Some(text), None, None) => calendar_unit(&text).map(Interval::Calendar).ok_or_else(|| {
            EsError::content(format!("The supplied interval [{text}] could not be parsed as a calendar interval."))
        })?,
        (None, Some(text), None) => fixed_interval(&text).map(Interval::Fixed).ok_or_else(|| {
            EsError::content(format!("failed to parse setting [date_histogram.fixedInterval] with value [{text}] as a time value: unit is missing or unrecognized"))
        })?,
        // The old form, which Kibana 7.10 still sends in places: a calendar unit where it is one.
        (None, None, Some(text)) => calendar_unit(&text)
            .map(Interval::Calendar)
            .or_else(|| fixed_interval(&text).map(Interval::Fixed))
            .ok_or_else(|| EsError::illegal(format!("Unable to parse interval [{text}]")))?,
        (None, None, None) => {
            return Err(EsError::shard("illegal_argument_exception", "Invalid interval specified, must be non-null and non-empty"));
        }
        _ => {
            return Err(EsError::illegal("Cannot use [fixed_interval] with [calendar_interval] configuration option."));
        }
    };
    let zone = object.text("time_zone")?.map_or(Ok(TimeZone::UTC), |zone| date::zone(&zone))?;
    let offset = match object.take("offset") {
        None => 0,
        Some(Value::String(text)) => {
            let (sign, rest) = match text.strip_prefix('-') {
                Some(rest) => (-1, rest),
                None => (1, text.strip_prefix('+').unwrap_or(text)),
            };
            sign * date::duration(rest)
                .ok_or_else(|| EsError::illegal(format!("failed to parse offset [{text}]")))?
        }
        Some(value) => body::whole("offset", value)?,
    };
    Ok(Rounding { interval, zone, offset })
}

fn fixed_interval(text: &str) -> Option<i64> {
    date::duration(text).filter(|width| *width > 0 && !text.ends_with('w'))
}

fn calendar_unit(text: &str) -> Option<char> {
    Some(match text {
        "1s" | "second" => 's',
        "1m" | "minute" => 'm',
        "1h" | "hour" => 'h',
        "1d" | "day" => 'd',
        "1w" | "week" => 'w',
        "1M" | "month" => 'M',
        "1q" | "quarter" => 'q',
        "1y" | "year" => 'y',
        _ => return None,
    })
}

pub(super) fn histogram<T: Clone>(
    object: &mut Object<'_>,
    bound: impl Fn(&Value) -> Option<Bound<T>>,
) -> Result<Histogram<T>> {
    let ends = |object: &mut Object<'_>, key: &str| -> Result<Option<Ends<T>>> {
        let Some(value) = object.take(key) else { return Ok(None) };
        let mut bounds = Object::new("bounds", value)?;
        let mut end = |name: &str| {
            bounds
                .take(name)
                .map(|value| {
                    bound(value).ok_or_else(|| EsError::parsing(format!("[{key}] [{name}] cannot be read")))
                })
                .transpose()
        };
        let found = (end("min")?, end("max")?);
        bounds.finish()?;
        Ok(Some(found))
    };
    let mut order = order(object.take("order"))?;
    if order.last().is_none_or(|last| last.by != OrderBy::Key) {
        order.push(Order { by: OrderBy::Key, ascending: true });
    }
    Ok(Histogram {
        min_doc_count: object.count("min_doc_count")?.unwrap_or(0) as u64,
        extended: ends(object, "extended_bounds")?,
        hard: ends(object, "hard_bounds")?,
        order,
        keyed: object.truth("keyed")?.unwrap_or(false),
    })
}
