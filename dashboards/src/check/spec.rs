//! The rules of a Vega spec within a visualization: strict JSON, the v5 schema, Kibana's data request, and no
//! function that Vega 5.17 or the program that imports it does not know.

use serde_json::Value;

use super::Target;
use crate::saved::RENAMED;

pub(super) fn check(text: &str, target: Target, faults: &mut Vec<String>) {
    let spec: Value = match serde_json::from_str(text) {
        Ok(spec) => spec,
        Err(error) => {
            faults.push(format!("the spec is not strict JSON: {error}"));
            return;
        }
    };
    if spec.get("$schema").and_then(Value::as_str) != Some(SCHEMA) {
        faults.push(format!("the spec's $schema is not {SCHEMA:?}"));
    }
    for data in spec.get("data").and_then(Value::as_array).into_iter().flatten() {
        request(data, faults);
        for transform in data.get("transform").and_then(Value::as_array).into_iter().flatten() {
            let kind = transform.get("type").and_then(Value::as_str).unwrap_or_default();
            if !TRANSFORMS.contains(&kind) {
                faults.push(format!("transform {kind:?} is not one of Vega 5.17"));
            }
        }
    }
    let mut expressions = Vec::new();
    gather(&spec, &mut expressions);
    let mut unknown: Vec<&str> = expressions.iter().flat_map(|text| calls(text)).collect();
    unknown.retain(|name| !FUNCTIONS.contains(name) && !names_of(target).any(|known| known == *name));
    unknown.sort_unstable();
    unknown.dedup();
    for name in unknown {
        faults.push(format!("calls {name}(), which Vega 5.17 there does not know: the panel would be blank"));
    }
}

fn names_of(target: Target) -> impl Iterator<Item = &'static str> {
    RENAMED.iter().map(move |(kibana, opensearch)| match target {
        Target::Kibana => *kibana,
        Target::OpenSearch => *opensearch,
    })
}

fn request(data: &Value, faults: &mut Vec<String>) {
    let Some(url) = data.get("url") else { return };
    let name = data.get("name").and_then(Value::as_str).unwrap_or_default();
    let has = |member: &str| url.get(member).is_some();
    if url.is_string() {
        faults.push(format!("data {name:?} loads from an address instead of asking the index"));
    } else if !has("index") || !has("body") {
        faults.push(format!("data {name:?} names no index or no body"));
    } else if has("%context%") && url.pointer("/body/query").is_some() {
        faults.push(format!("data {name:?} has a query beside %context%: Kibana refuses that"));
    }
}

/// The texts that are expressions: values of `signal`, `update`, `expr`, `test` and `init`.
fn gather<'s>(value: &'s Value, found: &mut Vec<&'s str>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if EXPRESSIONS.contains(&name.as_str()) => found.push(text),
                    // A request is Elasticsearch's, not Vega's.
                    _ if name == "url" => {}
                    _ => gather(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
        _ => {}
    }
}

/// The names that an expression calls; what stands in quotes is text.
fn calls(expression: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut quoted = false;
    for (at, c) in expression.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => {
                let before = expression.get(..at).unwrap_or_default();
                let start =
                    before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
                let name = before.get(start..).unwrap_or_default();
                if !name.is_empty() {
                    found.push(name);
                }
            }
            _ => {}
        }
    }
    found
}

const SCHEMA: &str = "https://vega.github.io/schema/vega/v5.json";

const EXPRESSIONS: [&str; 5] = ["signal", "update", "expr", "test", "init"];

/// The transforms of Vega 5.17 that work on any data; those for maps and networks are left out on purpose.
const TRANSFORMS: &[&str] = &[
    "aggregate",
    "bin",
    "collect",
    "countpattern",
    "cross",
    "density",
    "extent",
    "filter",
    "flatten",
    "fold",
    "formula",
    "identifier",
    "impute",
    "joinaggregate",
    "kde",
    "lookup",
    "pack",
    "partition",
    "pie",
    "pivot",
    "project",
    "quantile",
    "regression",
    "sample",
    "sequence",
    "stack",
    "stratify",
    "timeunit",
    "tree",
    "treelinks",
    "treemap",
    "window",
    "label",
];

/// Functions of Vega 5.17's expressions that a data panel may want; one that is missing here is added after a
/// look at that version.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "isArray", "isBoolean", "isDate", "isDefined", "isNumber", "isObject", "isRegExp", "isString", "isValid",
    "toBoolean", "toDate", "toNumber", "toString", "if", "isNaN", "isFinite",
    "abs", "acos", "asin", "atan", "atan2", "ceil", "clamp", "cos", "exp", "floor", "hypot", "log", "max", "min", "pow",
    "random", "round", "sin", "sqrt", "tan",
    "now", "datetime", "date", "day", "dayofyear", "year", "quarter", "month", "week", "hours", "minutes", "seconds",
    "milliseconds", "time", "timezoneoffset", "timeOffset", "timeSequence", "utc", "utcdate", "utcday", "utcyear",
    "utcmonth", "utchours", "utcminutes", "utcseconds",
    "extent", "clampRange", "indexof", "inrange", "join", "lastindexof", "length", "lerp", "peek", "reverse",
    "sequence", "slice", "span", "merge", "pad", "parseFloat", "parseInt", "replace", "split", "substring", "trim",
    "truncate", "upper", "lower", "test", "regexp", "format", "timeFormat", "timeParse", "utcFormat", "utcParse",
    "timeUnitSpecifier", "monthFormat", "dayFormat", "rgb", "hsl", "lab", "hcl", "luminance", "contrast",
    "event", "item", "group", "xy", "x", "y", "pinchDistance", "inScope", "data", "indata", "scale", "invert",
    "copy", "domain", "range", "bandwidth", "bandspace", "gradient", "panLinear", "panLog", "zoomLinear", "zoomLog",
    "warn", "info", "debug",
];
