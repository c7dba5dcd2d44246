//! What the panels ask for a range of time: every data request, Kibana's markers filled as Kibana fills them.
//!
//! The page fills them in the browser (`collector/ui/src/kibana.ts`); this is for whoever measures or compares what is
//! asked without one.

use serde_json::{Map, Value, json};

use crate::catalogue::dashboards;
use crate::panel::Content;
use crate::template::TemplateError;

/// One request of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The dashboard's id.
    pub dashboard: String,
    /// The panel's id; a panel may ask for several things, and may be on several dashboards.
    pub panel: String,
    /// The body of its `_search`.
    pub body: Value,
}

/// What every panel of every dashboard asks for the times from `from` to `to`, in milliseconds since 1970.
///
/// # Errors
/// When a template does not fit its panel, as [`dashboards`].
pub fn requests(from: u64, to: u64) -> Result<Vec<Request>, TemplateError> {
    let times = Times { from, to };
    let mut found = Vec::new();
    for dashboard in dashboards()? {
        for panel in dashboard.panels {
            let bodies = match &panel.content {
                Content::Vega { spec } => asked_by(spec, times),
                Content::Search { columns } => vec![newest(columns, times)],
                Content::Markdown { .. } => Vec::new(),
            };
            found.extend(bodies.into_iter().map(|body| Request {
                dashboard: dashboard.id.clone(),
                panel: panel.id.clone(),
                body,
            }));
        }
    }
    Ok(found)
}

#[derive(Clone, Copy)]
struct Times {
    from: u64,
    to: u64,
}

impl Times {
    fn range(self) -> Value {
        json!({"gte": self.from, "lte": self.to, "format": "epoch_millis"})
    }

    /// Not too many buckets, of a length that people count in: the page's own table.
    fn interval(self) -> (&'static str, &'static str) {
        let wanted = self.to.saturating_sub(self.from) / BUCKETS;
        INTERVALS
            .iter()
            .find(|(length, ..)| *length >= wanted)
            .map_or(("fixed_interval", "7d"), |(_, kind, name)| (kind, name))
    }
}

fn asked_by(spec: &Value, times: Times) -> Vec<Value> {
    let sources = spec["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let asking =
        sources.iter().filter_map(|source| source.get("url").filter(|url| url.get("body").is_some()));
    asking
        .map(|url| {
            let mut body = filled(&url["body"], times);
            if url["%context%"] == true {
                body["query"] = match url["%timefield%"].as_str() {
                    Some(field) => within(field, times),
                    None => json!({"bool": {"must": [], "filter": [], "should": [], "must_not": []}}),
                };
            }
            body
        })
        .collect()
}

/// A saved search: the newest documents, as many as Kibana shows.
fn newest(columns: &[String], times: Times) -> Value {
    json!({
        "size": 500, "query": within("@timestamp", times), "sort": [{"@timestamp": {"order": "desc"}}],
        "fields": columns,
    })
}

fn within(field: &str, times: Times) -> Value {
    json!({"bool": {"must": [], "filter": [{"range": {field: times.range()}}], "should": [], "must_not": []}})
}

fn filled(value: &Value, times: Times) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| filled(item, times)).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, item)| {
                if item.get("%autointerval%").is_some() {
                    let (kind, interval) = times.interval();
                    (kind.to_owned(), json!(interval))
                } else if let Some(marker) = item.get("%timefilter%") {
                    (name.clone(), time_filter(marker, item, times))
                } else {
                    (name.clone(), filled(item, times))
                }
            });
            members.collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn time_filter(marker: &Value, item: &Value, times: Times) -> Value {
    let unit = item["unit"].as_str().unwrap_or("day");
    let unit = UNITS.iter().find(|(name, _)| *name == unit).map_or(DAY, |(_, length)| *length);
    let back = item["shift"].as_i64().unwrap_or(0).saturating_mul(unit);
    let moved =
        Times { from: times.from.saturating_add_signed(back), to: times.to.saturating_add_signed(back) };
    match marker.as_str() {
        Some("min") => json!(moved.from),
        Some("max") => json!(moved.to),
        _ => moved.range(),
    }
}

/// At most, about.
const BUCKETS: u64 = 120;
const DAY: i64 = 86_400_000;

/// Milliseconds, and how Elasticsearch is asked for them: what the calendar knows is asked by its name.
const INTERVALS: &[(u64, &str, &str)] = &[
    (1_000, "fixed_interval", "1s"),
    (5_000, "fixed_interval", "5s"),
    (10_000, "fixed_interval", "10s"),
    (30_000, "fixed_interval", "30s"),
    (60_000, "calendar_interval", "1m"),
    (300_000, "fixed_interval", "5m"),
    (600_000, "fixed_interval", "10m"),
    (1_800_000, "fixed_interval", "30m"),
    (3_600_000, "calendar_interval", "1h"),
    (10_800_000, "fixed_interval", "3h"),
    (43_200_000, "fixed_interval", "12h"),
    (86_400_000, "calendar_interval", "1d"),
];

const UNITS: &[(&str, i64)] =
    &[("second", 1_000), ("minute", 60_000), ("hour", 3_600_000), ("day", DAY), ("week", 7 * DAY)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_marker_is_left_and_every_dashboard_asks_something() {
        let (to, hour) = (1_800_000_000_000, 3_600_000);
        let all = requests(to - hour, to).unwrap();
        for request in &all {
            let text = request.body.to_string();
            assert!(!text.contains('%'), "{}: {text}", request.panel);
        }
        let dashboards: std::collections::HashSet<_> = all.iter().map(|request| &request.dashboard).collect();
        assert_eq!(dashboards.len(), crate::dashboards().unwrap().len());
    }

    #[test]
    fn markers_are_filled_as_kibana_fills_them() {
        let times = Times { from: 1_800_000_000_000, to: 1_800_003_600_000 };
        let body = json!({"aggs": {"t": {"date_histogram": {"field": "@timestamp", "interval": {"%autointerval%": true},
            "extended_bounds": {"min": {"%timefilter%": "min"}, "max": {"%timefilter%": "max", "shift": -2, "unit": "hour"}}}},
            "then": {"range": {"@timestamp": {"%timefilter%": true, "shift": -1}}}}});
        let expected = json!({"aggs": {"t": {"date_histogram": {"field": "@timestamp", "fixed_interval": "30s",
            "extended_bounds": {"min": 1_800_000_000_000_u64, "max": 1_799_996_400_000_u64}}},
            "then": {"range": {"@timestamp":
                {"gte": 1_799_913_600_000_u64, "lte": 1_799_917_200_000_u64, "format": "epoch_millis"}}}}});
        assert_eq!(filled(&body, times), expected);
    }
}
