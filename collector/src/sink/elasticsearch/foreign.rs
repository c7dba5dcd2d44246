//! Daily indices that are there already and are not as our template makes them: those of an earlier pipeline, or of
//! an earlier release. They get the fields that they lack; where a field is of a kind that does not take our values,
//! documents of that day go to an index beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use elasticsearch::http::Method;
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use crate::document::time::DAY_MILLIS;
use crate::receive::now_ms;

use super::{Server, body, template};

/// What the name of an index beside another ends in.
pub(super) const BESIDE: &str = "-podflow";

/// Looks at the indices of yesterday, today and tomorrow: exporters' clocks and late records know no other days.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn look(server: &Server) -> Result<()> {
    let now = now_ms();
    let mut avoided = BTreeSet::new();
    for day in [now - DAY_MILLIS, now, now + DAY_MILLIS] {
        let mut name = server.config.index_prefix.clone().into_bytes();
        body::day(day, &mut name);
        let name = String::from_utf8(name).context("the name of an index")?;
        if !takes_documents(server, &name).await? {
            avoided.insert(name);
        }
    }
    server.avoided.store(Arc::new(avoided));
    Ok(())
}

/// Whether our documents can go into an index; those fields that it lacks are put there.
async fn takes_documents(server: &Server, name: &str) -> Result<bool> {
    let path = format!("{name}/_mapping");
    let answer = server.client.send(Method::Get, &path, None).await?;
    let mappings: Value = match answer.status {
        404 => return Ok(true),
        200 => serde_json::from_slice(&answer.body).with_context(|| format!("GET {path}: no JSON"))?,
        status => bail!("GET {path}: status {status}: {}", String::from_utf8_lossy(&answer.body)),
    };
    let there = &mappings[name]["mappings"];
    let ours = template::mappings();
    let was_known = server.avoided.load().contains(name);
    let missing = match missing(&there["properties"], &ours["properties"], "") {
        Ok(missing) => missing,
        Err(conflicts) => {
            if !was_known {
                warn!(
                    index = name,
                    conflicts = conflicts.join(", "),
                    "an index of another pipeline does not take our documents: they go to {name}{BESIDE}"
                );
            }
            return Ok(false);
        }
    };
    if missing.is_empty() {
        return Ok(true);
    }
    let fields = missing.len();
    let body = serde_json::to_vec(&json!({ "properties": missing })).context("writing a mapping")?;
    let answer = server.client.send(Method::Put, &path, Some(body.into())).await?;
    if answer.status == 200 {
        info!(index = name, fields, "an index that our template did not make has got the fields it lacked");
        return Ok(true);
    }
    if !was_known {
        let why = String::from_utf8_lossy(&answer.body).into_owned();
        warn!(
            index = name,
            why, "an index of another pipeline takes no further fields: documents go to {name}{BESIDE}"
        );
    }
    Ok(false)
}

/// The fields of ours that an index lacks, or those of its own that would not take our values.
fn missing(there: &Value, ours: &Value, path: &str) -> Result<Map<String, Value>, Vec<String>> {
    let mut missing = Map::new();
    let mut conflicts = Vec::new();
    for (name, field) in ours.as_object().into_iter().flatten() {
        let known = &there[name];
        if known.is_null() {
            missing.insert(name.clone(), field.clone());
            continue;
        }
        let path = format!("{path}{name}");
        match (known["properties"].is_object(), field["properties"].is_object()) {
            (true, true) => {
                match self::missing(&known["properties"], &field["properties"], &format!("{path}.")) {
                    Ok(inside) if inside.is_empty() => {}
                    Ok(inside) => {
                        missing.insert(name.clone(), json!({ "properties": inside }));
                    }
                    Err(inside) => conflicts.extend(inside),
                }
            }
            (false, false) => {
                let (known, wanted) = (kind(known), kind(field));
                if !takes(known, wanted) {
                    conflicts.push(format!("{path} is {known}, not {wanted}"));
                }
            }
            // What we have as an object is never sent by others under that name, and the other way round.
            _ => conflicts.push(format!("{path} is {}, not {}", kind(known), kind(field))),
        }
    }
    if conflicts.is_empty() { Ok(missing) } else { Err(conflicts) }
}

fn kind(field: &Value) -> &str {
    field["type"].as_str().unwrap_or("object")
}

/// Whether a field of one type takes, and lets search, the values of another.
fn takes(known: &str, wanted: &str) -> bool {
    match wanted {
        "keyword" => matches!(known, "keyword" | "text" | "wildcard" | "match_only_text"),
        "ip" => matches!(known, "ip" | "keyword" | "text" | "wildcard"),
        "long" => matches!(known, "long" | "unsigned_long" | "double"),
        "double" => matches!(known, "double" | "float"),
        "date" => matches!(known, "date" | "date_nanos"),
        "alias" => true,
        wanted => known == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Value {
        json!({
            "@timestamp": {"type": "date"},
            "ipfix": {"properties": {
                "octetDeltaCount": {"type": "long"}, "sourcePodName": {"type": "keyword"}, "sourceIP": {"type": "ip"},
            }},
        })
    }

    #[test]
    fn an_old_pipelines_index_gets_what_it_lacks() {
        let there = json!({
            "@timestamp": {"type": "date"},
            "ipfix": {"properties": {
                "octetDeltaCount": {"type": "long"},
                "sourcePodName": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
            }},
        });
        let missing = missing(&there, &ours(), "").unwrap();
        assert_eq!(Value::Object(missing), json!({"ipfix": {"properties": {"sourceIP": {"type": "ip"}}}}));
        assert!(super::missing(&ours(), &ours(), "").unwrap().is_empty());
    }

    #[test]
    fn what_would_not_take_our_values_is_named() {
        let there = json!({
            "@timestamp": {"type": "long"},
            "ipfix": {"properties": {"octetDeltaCount": {"type": "text"}, "sourceIP": {"properties": {}}}},
        });
        let conflicts = missing(&there, &ours(), "").unwrap_err();
        assert_eq!(
            conflicts,
            [
                "@timestamp is long, not date",
                "ipfix.octetDeltaCount is text, not long",
                "ipfix.sourceIP is object, not ip"
            ]
        );
    }

    #[test]
    fn all_our_fields_take_our_values() {
        let ours = template::mappings();
        assert!(missing(&ours["properties"], &ours["properties"], "").unwrap().is_empty());
    }
}
