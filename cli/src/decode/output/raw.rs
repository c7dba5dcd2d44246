//! A record as its elements, before the collector gives it its shape: for comparing decoders.
//!
//! Dates are counts since 1970 in the element's own unit, octets are hex, a repeated element is a list.

use std::io::Write as _;
use std::net::IpAddr;

use podflow_ipfix::collect::DataRecord;
use podflow_ipfix::value::{List, ListContent, Value};
use serde_json::{Map, json};

/// Appends one line of JSON.
pub(super) fn write(record: &DataRecord<'_>, exporter: IpAddr, line: &mut Vec<u8>) {
    let mut fields = Map::new();
    for (field, value) in record.fields() {
        add(&mut fields, &field.name, json(&value));
    }
    let whole = json!({
        "exporter": exporter.to_string(),
        "version": record.version().number(),
        "domain": record.domain(),
        "exportTime": record.export_time(),
        "sequence": record.sequence(),
        "place": record.place(),
        "template": record.template().id().number(),
        "options": record.is_options(),
        "fields": fields,
    });
    // Writing into memory does not fail.
    drop(write!(line, "{whole}"));
}

/// Adds a value; a second one of the same name makes a list.
fn add(fields: &mut Map<String, serde_json::Value>, name: &str, value: serde_json::Value) {
    match fields.get_mut(name) {
        None => drop(fields.insert(name.to_owned(), value)),
        Some(serde_json::Value::Array(values)) => values.push(value),
        Some(first) => *first = json!([first.take(), value]),
    }
}

fn json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Unsigned(number)
        | Value::Seconds(number)
        | Value::Milliseconds(number)
        | Value::Microseconds(number)
        | Value::Nanoseconds(number) => json!(number),
        Value::Signed(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
        Value::Mac(_) | Value::Octets(_) | Value::Ipv4(_) | Value::Ipv6(_) | Value::String(_) => {
            json!(value.to_string())
        }
        Value::List(list) => list_json(list),
    }
}

fn list_json(list: &List<'_>) -> serde_json::Value {
    let semantic = format!("{:?}", list.semantic);
    match &list.content {
        ListContent::Basic { field, values } => {
            let values: Vec<serde_json::Value> = values.iter().map(json).collect();
            json!({ "semantic": semantic, "element": field.name, "values": values })
        }
        ListContent::SubTemplate { records, .. } | ListContent::Multi(records) => {
            let records: Vec<serde_json::Value> = records
                .iter()
                .map(|record| {
                    let mut fields = Map::new();
                    for (field, value) in record.template.fields().iter().zip(&record.values) {
                        add(&mut fields, &field.name, json(value));
                    }
                    json!({ "template": record.template.id().number(), "fields": fields })
                })
                .collect();
            json!({ "semantic": semantic, "records": records })
        }
    }
}
