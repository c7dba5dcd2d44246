//! The fields of a document as an index pattern lists them, from `flow`'s tables.
//!
//! Kibana 7.10 offers only listed fields in "Add filter"; the page completes filters from the same list.

use podflow_flow::{DERIVED, FIELDS, IndexType};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::saved::PATTERN_ID;

/// One field of the index pattern.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IndexField {
    /// Full name, `ipfix.` included.
    pub name: String,
    /// Kibana's type: `number`, `string`, `ip`, `date`, `boolean`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Elasticsearch's type.
    pub index: &'static str,
    /// How a value is shown: `bytes`, `number`, or nothing in particular.
    pub format: Option<&'static str>,
}

/// Every field, `@timestamp` first, without doubles.
pub fn index_fields() -> Vec<IndexField> {
    let mut fields = vec![of("@timestamp", IndexType::Date)];
    fields.push(of("host", IndexType::Ip));
    fields.push(of("type", IndexType::Keyword));
    let known = FIELDS.iter().map(|field| (field.name, field.index));
    let derived = DERIVED.iter().map(|field| (field.name, field.index));
    for (name, index) in known.chain(derived) {
        let name = format!("ipfix.{name}");
        if fields.iter().any(|field| field.name == name) {
            continue;
        }
        fields.push(of(&name, index));
        if index.has_keyword() {
            fields.push(of(&format!("{name}.keyword"), IndexType::Keyword));
        }
    }
    fields
}

fn of(name: &str, index: IndexType) -> IndexField {
    IndexField {
        name: name.to_owned(),
        kind: match index {
            IndexType::Long | IndexType::Double => "number",
            IndexType::Boolean => "boolean",
            IndexType::Ip => "ip",
            IndexType::Keyword => "string",
            IndexType::Date => "date",
        },
        index: index.name(),
        format: format_of(name, index),
    }
}

fn format_of(name: &str, index: IndexType) -> Option<&'static str> {
    let name = name.strip_prefix("ipfix.").unwrap_or(name);
    let counted = name.contains("Count") || name == "packets";
    match index {
        IndexType::Long if name == "bytes" || name.to_ascii_lowercase().contains("octet") => Some("bytes"),
        IndexType::Long if counted => Some("number"),
        // A port or an id is a name: no commas within it.
        IndexType::Long => Some("plain"),
        _ => None,
    }
}

/// The `fields` attribute of an index pattern, as Kibana 7 reads it.
pub(crate) fn pattern_fields() -> Vec<Value> {
    let listed = index_fields().into_iter().map(|field| {
        let mut entry = json!({
            "name": field.name,
            "type": field.kind,
            "esTypes": [field.index],
            "count": 0,
            "scripted": false,
            "searchable": true,
            "aggregatable": true,
            "readFromDocValues": true,
        });
        if let (Some(parent), Some(entry)) = (field.name.strip_suffix(".keyword"), entry.as_object_mut()) {
            entry.insert("subType".to_owned(), json!({"multi": {"parent": parent}}));
        }
        entry
    });
    listed.collect()
}

/// The `fieldFormatMap` attribute of an index pattern.
pub(crate) fn pattern_formats() -> Map<String, Value> {
    let mut formats = Map::new();
    for field in index_fields() {
        let format = match field.format {
            Some("bytes") => json!({"id": "bytes", "params": {"pattern": "0,0.[0]b"}}),
            Some("number") => json!({"id": "number", "params": {"pattern": "0,0"}}),
            Some(_) => json!({"id": "number", "params": {"pattern": "0"}}),
            None => match dashboard_of(&field.name) {
                Some(dashboard) => link(&field.name, dashboard),
                None => continue,
            },
        };
        formats.insert(field.name, format);
    }
    formats
}

/// The dashboard that a name's link opens, filtered by that name.
fn dashboard_of(field: &str) -> Option<&'static str> {
    let name = field.strip_prefix("ipfix.")?;
    let name = name.strip_suffix(".keyword").unwrap_or(name);
    LINKS.iter().find(|(names, _)| names.contains(&name)).map(|(_, dashboard)| *dashboard)
}

/// A link within Kibana: it puts what does not begin with `/`, `#` or a scheme behind its own `/app/`, whatever its
/// base path. `{{value}}` is the value, percent-encoded.
fn link(field: &str, dashboard: &str) -> Value {
    let keyword = format!("{}.keyword", field.strip_suffix(".keyword").unwrap_or(field));
    let filter = format!(
        "(meta:(alias:!n,disabled:!f,index:'{PATTERN_ID}',key:'{keyword}',negate:!f,type:phrase,params:(query:'{{{{value}}}}')),\
         query:(match_phrase:('{keyword}':'{{{{value}}}}')))"
    );
    json!({"id": "url", "params": {
        "type": "a",
        "urlTemplate": format!("dashboards#/view/{dashboard}?_a=(filters:!({filter}))"),
        "labelTemplate": "{{value}}",
        "openLinkInCurrentTab": true,
    }})
}

/// Names without `ipfix.`, and where a link from their values leads.
const LINKS: [(&[&str], &str); 4] = [
    (&["sourcePodName", "destinationPodName", "sourceName", "destinationName"], "podflow-pod-to-pod"),
    (&["destinationServicePortName"], "podflow-pod-to-service"),
    (&["sourceNodeName", "destinationNodeName"], "podflow-node-throughput"),
    (&["sourcePodNamespace", "destinationPodNamespace"], "podflow-overview"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_addresses_have_a_keyword() {
        let fields = index_fields();
        let mut names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        assert!(names.contains(&"ipfix.sourceIPv4Address.keyword"));
        assert!(names.contains(&"ipfix.podPair.keyword"));
        let before = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), before);
    }

    #[test]
    fn names_link_to_a_dashboard_that_there_is_filtered_by_their_keyword() {
        let known: Vec<_> = crate::dashboards().unwrap().into_iter().map(|dashboard| dashboard.id).collect();
        let formats = pattern_formats();
        let listed = index_fields();
        let mut links = 0;
        for (field, format) in formats.iter().filter(|(_, format)| format["id"] == "url") {
            let url = format["params"]["urlTemplate"].as_str().unwrap();
            let (dashboard, rest) = url.strip_prefix("dashboards#/view/").unwrap().split_once('?').unwrap();
            assert!(known.iter().any(|id| id == dashboard), "{field}: {url}");
            let asked = rest.split_once("match_phrase:('").unwrap().1.split_once('\'').unwrap().0;
            assert!(listed.iter().any(|field| field.name == asked), "{field}: {url}");
            assert_eq!(url.matches('(').count(), url.matches(')').count(), "{url}");
            links += 1;
        }
        assert_eq!(links, 2 * LINKS.iter().map(|(names, _)| names.len()).sum::<usize>());
    }

    #[test]
    fn octets_are_shown_as_bytes_and_ports_without_commas() {
        let fields = index_fields();
        let format = |name: &str| fields.iter().find(|field| field.name == name).unwrap().format;
        assert_eq!(format("ipfix.reverseOctetDeltaCount"), Some("bytes"));
        assert_eq!(format("ipfix.packetTotalCount"), Some("number"));
        assert_eq!(format("ipfix.sourceTransportPort"), Some("plain"));
        assert_eq!(format("ipfix.sourceName"), None);
    }
}
