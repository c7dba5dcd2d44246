//! The rules of one saved object: its type, stamp, attributes, references and, for a dashboard, its grid.

use serde_json::Value;

use super::{Target, spec};

/// Adds what is wrong with the object to `faults`. `known` says whether the file has an object of a type and id.
pub(super) fn check(
    kind: &str,
    object: &Value,
    known: &dyn Fn(&str, &str) -> bool,
    target: Target,
    faults: &mut Vec<String>,
) {
    let Some(rule) = RULES.iter().find(|rule| rule.kind == kind) else {
        faults.push(format!("type {kind:?} is none of those that we write"));
        return;
    };
    stamp(rule, object, faults);
    let Some(attributes) = object.get("attributes").and_then(Value::as_object) else {
        faults.push("has no attributes".to_owned());
        return;
    };
    for name in attributes.keys().filter(|name| !rule.attributes.contains(&name.as_str())) {
        faults.push(format!("attribute {name:?} is unknown to Kibana 7.10, whose mapping is strict"));
    }
    if attributes.get("title").and_then(Value::as_str).is_none_or(str::is_empty) {
        faults.push("has no title".to_owned());
    }
    references(object, known, faults);
    for name in rule.stringified {
        stringified(object, name, faults);
    }
    match kind {
        "dashboard" => panels(object, faults),
        "visualization" => visualization(object, target, faults),
        _ => {}
    }
}

struct Rule {
    kind: &'static str,
    /// The highest stamp that 7.10.2 accepts.
    stamp: [u64; 3],
    attributes: &'static [&'static str],
    /// JSON pointers below the attributes to texts that hold JSON.
    stringified: &'static [&'static str],
}

const SOURCE: &str = "/kibanaSavedObjectMeta/searchSourceJSON";

const RULES: &[Rule] = &[
    Rule {
        kind: "index-pattern",
        stamp: [7, 6, 0],
        attributes: &[
            "title",
            "timeFieldName",
            "fields",
            "fieldFormatMap",
            "sourceFilters",
            "type",
            "typeMeta",
        ],
        stringified: &["/fields", "/fieldFormatMap"],
    },
    Rule {
        kind: "visualization",
        stamp: [7, 10, 0],
        attributes: &[
            "title",
            "description",
            "version",
            "visState",
            "uiStateJSON",
            "kibanaSavedObjectMeta",
            "savedSearchRefName",
        ],
        stringified: &["/visState", "/uiStateJSON", SOURCE],
    },
    Rule {
        kind: "search",
        stamp: [7, 9, 3],
        attributes: &["title", "description", "hits", "version", "columns", "sort", "kibanaSavedObjectMeta"],
        stringified: &[SOURCE],
    },
    Rule {
        kind: "dashboard",
        stamp: [7, 9, 3],
        attributes: &[
            "title",
            "description",
            "hits",
            "version",
            "timeRestore",
            "timeFrom",
            "timeTo",
            "refreshInterval",
            "panelsJSON",
            "optionsJSON",
            "kibanaSavedObjectMeta",
        ],
        stringified: &["/panelsJSON", "/optionsJSON", SOURCE],
    },
];

fn stamp(rule: &Rule, object: &Value, faults: &mut Vec<String>) {
    let Some(text) = object.pointer(&format!("/migrationVersion/{}", rule.kind)).and_then(Value::as_str)
    else {
        faults.push(format!("has no migrationVersion.{}", rule.kind));
        return;
    };
    let parts: Vec<u64> = text.split('.').filter_map(|part| part.parse().ok()).collect();
    let [a, b, c] = rule.stamp;
    if parts.len() != 3 || parts.as_slice() > rule.stamp.as_slice() {
        faults.push(format!("stamp {text:?} is above {a}.{b}.{c}, the highest that Kibana 7.10.2 reads"));
    }
}

fn references(object: &Value, known: &dyn Fn(&str, &str) -> bool, faults: &mut Vec<String>) {
    let Some(references) = object.get("references").and_then(Value::as_array) else {
        faults.push("has no list of references".to_owned());
        return;
    };
    let text = |reference: &Value, member: &str| {
        reference.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    for reference in references {
        let (kind, id) = (text(reference, "type"), text(reference, "id"));
        if !known(&kind, &id) {
            faults.push(format!("refers to {kind}:{id}, which is not in the file"));
        }
    }
    // What the attributes name must be listed: indexRefName and panelRefName.
    let names: Vec<String> = references.iter().map(|reference| text(reference, "name")).collect();
    for place in [SOURCE, "/panelsJSON"] {
        let Some(inner) = inner(object, place) else { continue };
        let wanted = inner.get("indexRefName").into_iter();
        let panels = inner.as_array().into_iter().flatten().filter_map(|panel| panel.get("panelRefName"));
        for name in wanted.chain(panels).filter_map(Value::as_str) {
            if !names.iter().any(|known| known == name) {
                faults.push(format!("names the reference {name:?}, which it does not list"));
            }
        }
    }
}

fn stringified(object: &Value, place: &str, faults: &mut Vec<String>) {
    let name = place.rsplit('/').next().unwrap_or(place);
    match object.pointer(&format!("/attributes{place}")) {
        Some(Value::String(text)) => {
            if let Err(error) = serde_json::from_str::<Value>(text) {
                faults.push(format!("{name} is not JSON: {error}"));
            }
        }
        Some(_) => faults.push(format!("{name} must be JSON in a text, not JSON itself")),
        None => faults.push(format!("has no {name}")),
    }
}

/// The JSON within the text at this place, where it is one.
fn inner(object: &Value, place: &str) -> Option<Value> {
    serde_json::from_str(object.pointer(&format!("/attributes{place}"))?.as_str()?).ok()
}

fn panels(object: &Value, faults: &mut Vec<String>) {
    let panels = inner(object, "/panelsJSON");
    let panels = panels.as_ref().and_then(Value::as_array);
    let mut places: Vec<(String, [u64; 4])> = Vec::new();
    for panel in panels.into_iter().flatten() {
        let index = panel.get("panelIndex").and_then(Value::as_str).unwrap_or_default().to_owned();
        for member in ["version", "type", "panelRefName"] {
            if panel.get(member).and_then(Value::as_str).is_none() {
                faults.push(format!("panel {index:?} has no {member}"));
            }
        }
        let grid = ["x", "y", "w", "h"].map(|name| panel.pointer(&format!("/gridData/{name}")));
        let [Some(x), Some(y), Some(w), Some(h)] = grid.map(|value| value.and_then(Value::as_u64)) else {
            faults.push(format!("panel {index:?} has no place in the grid"));
            continue;
        };
        if x + w > 48 || w == 0 || h == 0 {
            faults.push(format!("panel {index:?} does not fit the grid's 48 columns"));
        }
        for (other, [ox, oy, ow, oh]) in &places {
            if x < ox + ow && *ox < x + w && y < oy + oh && *oy < y + h {
                faults.push(format!("panel {index:?} lies on panel {other:?}"));
            }
        }
        places.push((index, [x, y, w, h]));
    }
}

fn visualization(object: &Value, target: Target, faults: &mut Vec<String>) {
    let Some(state) = inner(object, "/visState") else { return };
    match state.get("type").and_then(Value::as_str) {
        Some("vega") => match state.pointer("/params/spec").and_then(Value::as_str) {
            Some(text) => spec::check(text, target, faults),
            None => faults.push("has no spec".to_owned()),
        },
        Some("markdown") => {}
        other => faults.push(format!(
            "visualization of type {:?}: its format changes between versions; vega and markdown are stable",
            other.unwrap_or_default()
        )),
    }
}
