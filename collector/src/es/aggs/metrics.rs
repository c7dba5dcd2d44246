//! Metrics as numbers: shown, and as what buckets are ordered by.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::partial::{Partial, Stats};
use super::pipeline::number;
use super::{Agg, Kind, Level, Metric, Source};
use crate::es::date;
use crate::es::filter::Planner;
use crate::store::Kind as FieldKind;

#[expect(clippy::cast_precision_loss, reason = "a mean")]
pub(super) fn metric(planner: &Planner<'_>, what: Metric, source: &Source, stats: &Stats) -> Value {
    let count = stats.count as f64;
    let some = |value: f64| if stats.count == 0 { Value::Null } else { number(value) };
    let average = stats.sum() / count;
    let kind = planner.fields.find(&source.field).map(|field| field.kind);
    let format = match (kind, &source.format) {
        (Some(FieldKind::Date), format) => {
            Some(format.clone().unwrap_or_else(|| "strict_date_optional_time".to_owned()))
        }
        _ => None,
    };
    let shown = |value: f64| match (&format, kind) {
        (Some(format), _) => Some(date::format(saturated(value), format, &TimeZone::UTC)),
        (None, Some(FieldKind::Boolean)) => Some((value != 0.0).to_string()),
        _ => None,
    };
    let single = |value: f64, shown_text: Option<String>| {
        let mut map = Map::new();
        map.insert("value".to_owned(), some(value));
        if let (Some(text), true) = (shown_text, stats.count > 0) {
            map.insert("value_as_string".to_owned(), text.into());
        }
        Value::Object(map)
    };
    match what {
        Metric::ValueCount => json!({"value": stats.count}),
        Metric::Sum => {
            let mut map = Map::new();
            map.insert("value".to_owned(), number(stats.sum()));
            if let Some(text) = shown(stats.sum()) {
                map.insert("value_as_string".to_owned(), text.into());
            }
            Value::Object(map)
        }
        Metric::Avg => single(average, shown(average)),
        Metric::Min => single(stats.min, shown(stats.min)),
        Metric::Max => single(stats.max, shown(stats.max)),
        Metric::Stats | Metric::ExtendedStats(_) => {
            let mut map = Map::new();
            map.insert("count".to_owned(), stats.count.into());
            map.insert("min".to_owned(), some(stats.min));
            map.insert("max".to_owned(), some(stats.max));
            map.insert("avg".to_owned(), some(average));
            map.insert("sum".to_owned(), number(stats.sum()));
            if let Metric::ExtendedStats(sigma) = what {
                extended(&mut map, stats, sigma);
            }
            if stats.count > 0 {
                for (name, value) in
                    [("min", stats.min), ("max", stats.max), ("avg", average), ("sum", stats.sum())]
                {
                    let shown = match kind {
                        // Elasticsearch writes these, and only these, as JSON's own true and false.
                        Some(FieldKind::Boolean) => Some(Value::Bool(value != 0.0)),
                        _ => shown(value).map(Value::from),
                    };
                    if let Some(shown) = shown {
                        map.insert(format!("{name}_as_string"), shown);
                    }
                }
            }
            Value::Object(map)
        }
    }
}

/// The sub-aggregation and property that an order's path leads to.
pub(crate) fn find_path<'l>(level: &'l Level, path: &'l str) -> Option<(Vec<usize>, &'l Agg, &'l str)> {
    let mut at = Vec::new();
    let mut level = level;
    let mut parts = path.split('>').peekable();
    loop {
        let part = parts.next()?;
        let last = parts.peek().is_none();
        let split =
            part.split_once('.').or_else(|| part.strip_suffix(']').and_then(|part| part.split_once('[')));
        let named = level.aggs.iter().position(|agg| agg.name == part).map(|index| (index, ""));
        let (index, property) = named.or_else(|| {
            let (name, property) = split.filter(|_| last)?;
            level.aggs.iter().position(|agg| agg.name == name).map(|index| (index, property))
        })?;
        at.push(index);
        let agg = level.aggs.get(index)?;
        if last {
            return Some((at, agg, property));
        }
        if !matches!(agg.kind, Kind::Filter(_) | Kind::Missing(_) | Kind::Global) {
            return None;
        }
        level = &agg.subs;
    }
}

#[expect(clippy::cast_precision_loss, reason = "order among counts below 2^53")]
pub(super) fn order_value(subs: &Level, path: &str, partials: &[Partial]) -> f64 {
    let Some((at, agg, property)) = find_path(subs, path) else { return f64::NAN };
    let mut partials = partials;
    let mut found = None;
    for index in at {
        found = partials.get(index);
        if let Some(Partial::Fixed(buckets)) = found {
            partials = buckets.first().map_or(&[], |bucket| bucket.subs.as_slice());
        }
    }
    match (found, &agg.kind) {
        (Some(Partial::Stats(stats)), Kind::Metric { what, .. }) => {
            let property = if matches!(property, "" | "value") { what.name() } else { property };
            let average = if stats.count == 0 { f64::NAN } else { stats.sum() / stats.count as f64 };
            match property {
                "avg" => average,
                "sum" => stats.sum(),
                "min" => stats.min,
                "max" => stats.max,
                "count" | "value_count" => stats.count as f64,
                "sum_of_squares" => stats.squares,
                "variance" => variance(stats),
                "std_deviation" => variance(stats).sqrt(),
                _ => f64::NAN,
            }
        }
        (Some(Partial::Distinct(distinct)), _) => distinct.count() as f64,
        (Some(Partial::Digest(digest)), _) => {
            property.parse().ok().and_then(|percent| digest.percentile(percent)).unwrap_or(f64::NAN)
        }
        (Some(Partial::Fixed(buckets)), _) => buckets.first().map_or(0.0, |bucket| bucket.count as f64),
        _ => f64::NAN,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a variance")]
fn variance(stats: &Stats) -> f64 {
    let count = stats.count as f64;
    ((stats.squares - stats.sum() * stats.sum() / count) / count).max(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "a variance")]
fn extended(map: &mut Map<String, Value>, stats: &Stats, sigma: f64) {
    let count = stats.count as f64;
    let population = variance(stats);
    let sampling = population * count / (count - 1.0);
    let mean = stats.sum() / count;
    let (deviation, sampling_deviation) = (population.sqrt(), sampling.sqrt());
    let some = |value: f64| if stats.count == 0 { Value::Null } else { number(value) };
    map.insert("sum_of_squares".to_owned(), some(stats.squares));
    for (name, value) in [
        ("variance", population),
        ("variance_population", population),
        ("variance_sampling", sampling),
        ("std_deviation", deviation),
        ("std_deviation_population", deviation),
        ("std_deviation_sampling", sampling_deviation),
    ] {
        // The sampling variance of one value has no number; Elasticsearch writes the text "NaN".
        let nan = stats.count > 0 && !value.is_finite();
        map.insert(name.to_owned(), if nan { "NaN".into() } else { some(value) });
    }
    let bound = |deviation: f64, sign: f64| {
        let value = mean + sign * sigma * deviation;
        if stats.count > 0 && !value.is_finite() { Value::from("NaN") } else { some(value) }
    };
    map.insert(
        "std_deviation_bounds".to_owned(),
        json!({
            "upper": bound(deviation, 1.0), "lower": bound(deviation, -1.0),
            "upper_population": bound(deviation, 1.0), "lower_population": bound(deviation, -1.0),
            "upper_sampling": bound(sampling_deviation, 1.0), "lower_sampling": bound(sampling_deviation, -1.0)
        }),
    );
}

pub(super) fn percentiles(wanted: &[f64], keyed: bool, value: impl Fn(f64) -> Option<f64>) -> Value {
    let shown = |percent: &f64| value(*percent).map_or(Value::Null, number);
    if keyed {
        let values = wanted.iter().map(|percent| (format!("{percent:?}"), shown(percent)));
        return json!({"values": values.collect::<Map<_, _>>()});
    }
    let values = wanted.iter().map(|percent| json!({"key": percent, "value": shown(percent)}));
    json!({"values": values.collect::<Vec<_>>()})
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
pub(super) fn saturated(number: f64) -> i64 {
    number as i64
}
