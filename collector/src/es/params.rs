//! The parts of a URL.

use std::time::Duration;

use axum::http::Uri;
use serde_json::Value;

use super::body;
use super::date;
use super::error::{EsError, Result};
use super::indices::Lenience;

/// Query parameters.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn of(uri: &Uri) -> Result<Self> {
        axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map(|query| Self(query.0))
            .map_err(|error| EsError::illegal(format!("the query of the URL cannot be read: {error}")))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// As a JSON value, for what a body could have said too.
    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        self.text(name).map(|text| Value::String(text.to_owned()))
    }

    /// A flag; `?v` and `?v=` mean yes.
    pub(crate) fn truth(&self, name: &str) -> Result<Option<bool>> {
        match self.text(name) {
            None => Ok(None),
            Some("") => Ok(Some(true)),
            Some(text) => body::truth(name, &Value::String(text.to_owned())).map(Some),
        }
    }

    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        let millis = date::duration(self.text(name)?)?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }

    pub(crate) fn lenience(&self) -> Result<Lenience> {
        Ok(Lenience {
            ignore_unavailable: self.truth("ignore_unavailable")?.unwrap_or(false),
            allow_none: self.truth("allow_no_indices")?.unwrap_or(true),
        })
    }

    /// Refuses a parameter that this call does not know.
    pub(crate) fn check(&self, path: &str, known: &[&str]) -> Result<()> {
        let always =
            ["pretty", "human", "error_trace", "filter_path", "format", "source", "source_content_type"];
        match self
            .0
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()) && !always.contains(&name.as_str()))
        {
            None => Ok(()),
            Some((name, _)) => {
                Err(EsError::illegal(format!("request [/{path}] contains unrecognized parameter: [{name}]")))
            }
        }
    }
}

/// The segments of a path, percent signs decoded.
pub(crate) fn path(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(decode).collect()
}

fn decode(part: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = part.bytes();
    while let Some(octet) = rest.next() {
        let hex =
            (octet == b'%').then(|| rest.clone().take(2).collect::<Vec<_>>()).filter(|hex| hex.len() == 2);
        let decoded = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok());
        match decoded {
            Some(decoded) => {
                octets.push(decoded);
                rest.nth(1);
            }
            None => octets.push(octet),
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// Keeps only what `filter_path` names: dotted paths, `*` for any name, `**` for any depth, `-` to leave out.
pub(crate) fn filter_path(value: Value, patterns: &str) -> Value {
    let (out, keep): (Vec<_>, Vec<_>) = patterns.split(',').map(str::trim).partition(|p| p.starts_with('-'));
    let split = |patterns: &[&str]| -> Vec<Vec<String>> {
        patterns.iter().map(|p| p.trim_start_matches('-').split('.').map(str::to_owned).collect()).collect()
    };
    let (out, keep) = (split(&out), split(&keep));
    let mut path = Vec::new();
    kept(value, &mut path, &keep, &out).unwrap_or_else(|| Value::Object(serde_json::Map::new()))
}

fn kept(value: Value, path: &mut Vec<String>, keep: &[Vec<String>], out: &[Vec<String>]) -> Option<Value> {
    if out.iter().any(|pattern| matches(pattern, path)) {
        return None;
    }
    let whole = keep.is_empty()
        || (0..=path.len())
            .any(|end| path.get(..end).is_some_and(|head| keep.iter().any(|pattern| matches(pattern, head))));
    match value {
        Value::Object(map) => {
            let mut shown = serde_json::Map::new();
            for (name, value) in map {
                path.push(name.clone());
                if let Some(value) = kept(value, path, keep, out) {
                    shown.insert(name, value);
                }
                path.pop();
            }
            (whole || !shown.is_empty()).then_some(Value::Object(shown))
        }
        Value::Array(list) => {
            let shown: Vec<Value> =
                list.into_iter().filter_map(|value| kept(value, path, keep, out)).collect();
            (whole || !shown.is_empty()).then_some(Value::Array(shown))
        }
        value => whole.then_some(value),
    }
}

fn matches(pattern: &[String], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            matches(rest, path) || path.split_first().is_some_and(|(_, deeper)| matches(pattern, deeper))
        }
        (Some((first, rest)), Some((name, deeper))) => {
            super::fields::wild(first, name) && matches(rest, deeper)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn filter_path_keeps_what_it_names() {
        let value =
            json!({"took": 1, "hits": {"total": {"value": 2}, "hits": [{"_id": "a", "_source": {"x": 1}}]}});
        let table = [
            ("took", json!({"took": 1})),
            ("hits.total.value", json!({"hits": {"total": {"value": 2}}})),
            ("hits.hits._id", json!({"hits": {"hits": [{"_id": "a"}]}})),
            ("**._id", json!({"hits": {"hits": [{"_id": "a"}]}})),
            ("-hits", json!({"took": 1})),
            ("nothing", json!({})),
        ];
        for (patterns, expected) in table {
            assert_eq!(filter_path(value.clone(), patterns), expected, "{patterns}");
        }
    }

    #[test]
    fn paths_are_decoded() {
        assert_eq!(path("/flow-%2A%2C-x/_search"), ["flow-*,-x", "_search"]);
        assert_eq!(path("/a%zz/"), ["a%zz"]);
    }
}
