//! What there is: the server itself, its indices, their fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::Result;
use super::fields::{Fields, wild};
use crate::store::{Kind, Segment};

/// `GET /`. The version is that of the API which is answered here.
pub(crate) fn root() -> Value {
    json!({
        "name": "podflow", "cluster_name": "podflow", "cluster_uuid": "podflow-embedded-store",
        "version": {
            "number": "8.19.0", "build_flavor": "default", "build_type": "tar", "build_hash": "podflow",
            "build_date": "2025-07-01T00:00:00.000Z", "build_snapshot": false, "lucene_version": "9.12.1",
            "minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0"
        },
        "tagline": "You Know, for Search"
    })
}

/// `GET /<index>/_mapping`.
pub(crate) fn mapping(indices: &BTreeMap<String, Vec<Arc<Segment>>>) -> Result<Value> {
    let mut shown = Map::new();
    for (name, segments) in indices {
        let mut properties = Map::new();
        for (field, kind) in Fields::of(segments)?.names() {
            let mut level = &mut properties;
            let mut parts = field.split('.').peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    level.insert(part.to_owned(), field_mapping(kind));
                    break;
                }
                let entry = level.entry(part.to_owned()).or_insert_with(|| json!({"properties": {}}));
                // A field that is both a value and an object (its definition changed) is shown as the value.
                let Some(deeper) = entry.get_mut("properties").and_then(Value::as_object_mut) else { break };
                level = deeper;
            }
        }
        shown.insert(name.clone(), json!({"mappings": {"properties": properties}}));
    }
    Ok(Value::Object(shown))
}

fn field_mapping(kind: Kind) -> Value {
    let keyword = json!({"keyword": {"type": "keyword", "ignore_above": 8191}});
    match kind {
        Kind::Keyword => json!({"type": "keyword", "ignore_above": 8191, "fields": keyword}),
        Kind::Ip => json!({"type": "ip", "fields": keyword}),
        other => json!({"type": other.es_type()}),
    }
}

/// `GET /<index>/_field_caps?fields=…`.
pub(crate) fn field_caps(
    indices: &BTreeMap<String, Vec<Arc<Segment>>>,
    patterns: &[String],
) -> Result<Value> {
    let segments: Vec<_> = indices.values().flatten().cloned().collect();
    let fields = Fields::of(&segments)?;
    let mut shown = Map::new();
    let wanted = |name: &str| patterns.iter().any(|pattern| wild(pattern, name));
    let mut put = |name: &str, kind: &str, metadata: bool, usable: (bool, bool)| {
        if wanted(name) {
            let (searchable, aggregatable) = usable;
            shown.insert(name.to_owned(), json!({kind: {
                "type": kind, "metadata_field": metadata, "searchable": searchable, "aggregatable": aggregatable
            }}));
        }
    };
    if !segments.is_empty() {
        put("_id", "_id", true, (true, false));
        put("_index", "_index", true, (true, true));
        put("_source", "_source", true, (false, false));
    }
    let mut objects = std::collections::BTreeSet::new();
    for (name, kind) in fields.names() {
        put(name, kind.es_type(), false, (true, true));
        if kind.is_text() {
            put(&format!("{name}.keyword"), "keyword", false, (true, true));
        }
        objects.extend(name.match_indices('.').filter_map(|(at, _)| name.get(..at)));
    }
    for object in objects {
        put(object, "object", false, (false, false));
    }
    let names: Vec<&String> = indices.keys().collect();
    Ok(json!({"indices": names, "fields": shown}))
}

/// `GET /_resolve/index/<index>`.
pub(crate) fn resolve(indices: &BTreeMap<String, Vec<Arc<Segment>>>) -> Value {
    let list: Vec<Value> = indices.keys().map(|name| json!({"name": name, "attributes": ["open"]})).collect();
    json!({"indices": list, "aliases": [], "data_streams": []})
}

/// `GET /_cat/indices`, as rows of (column, value).
pub(crate) fn cat(
    indices: &BTreeMap<String, Vec<Arc<Segment>>>,
    in_bytes: bool,
) -> Vec<Vec<(&'static str, String)>> {
    indices
        .iter()
        .map(|(name, segments)| {
            let documents: u64 = segments.iter().map(|segment| u64::from(segment.facts.documents)).sum();
            let octets: u64 = segments.iter().map(|segment| segment.size).sum();
            let size = if in_bytes { octets.to_string() } else { human(octets) };
            vec![
                ("health", "green".to_owned()),
                ("status", "open".to_owned()),
                ("index", name.clone()),
                ("uuid", format!("{:022x}", xxhash_rust::xxh3::xxh3_64(name.as_bytes()))),
                ("pri", "1".to_owned()),
                ("rep", "0".to_owned()),
                ("docs.count", documents.to_string()),
                ("docs.deleted", "0".to_owned()),
                ("store.size", size.clone()),
                ("pri.store.size", size.clone()),
                ("dataset.size", size),
            ]
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a size for the eye")]
fn human(octets: u64) -> String {
    let units = ["b", "kb", "mb", "gb", "tb"];
    let mut size = octets as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    let unit = units.get(unit).copied().unwrap_or("b");
    let text = format!("{size:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}
