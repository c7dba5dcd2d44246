//! The index template: explicit mappings for the fields that the document builder names, rules for the rest.

use serde_json::{Map, Value, json};

use podflow_flow::index::KEYWORD_LIMIT;
use podflow_flow::{DERIVED, FIELDS, IndexType};

use crate::config::Elasticsearch as Config;
use crate::document::unknown;

/// What the server can do for an index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Abilities<'a> {
    /// It has the logsdb mode.
    pub(crate) logsdb: bool,
    /// The lifecycle policy that is to delete indices.
    pub(crate) lifecycle: Option<&'a str>,
}

/// The body of `PUT _index_template/<name>`.
pub(crate) fn body(config: &Config, abilities: Abilities<'_>) -> Value {
    json!({
        "index_patterns": [format!("{}*", config.index_prefix)],
        "priority": config.template_priority,
        "_meta": meta(),
        "template": { "settings": settings(config, abilities), "mappings": mappings() },
    })
}

/// The mappings alone, for an index of today that lacks some of them.
pub(crate) fn mappings() -> Value {
    let mut ipfix = Map::new();
    for field in FIELDS {
        ipfix.insert(field.name.to_owned(), mapping(field.index));
    }
    for field in DERIVED {
        ipfix.insert(field.name.to_owned(), mapping(field.index));
    }
    // The first release's dashboards ask for the Service under this name.
    ipfix.insert(
        "destinationServiceName".to_owned(),
        json!({ "properties": { "keyword": { "type": "alias", "path": "ipfix.destinationServicePortName" } } }),
    );
    ipfix.insert(unknown::FIELD.to_owned(), json!({ "type": "object", "enabled": false }));
    json!({
        "_meta": meta(),
        // Names of Pods and Nodes look like dates and numbers at times.
        "date_detection": false,
        "numeric_detection": false,
        "dynamic_templates": [
            { "strings": { "match_mapping_type": "string", "mapping": mapping(IndexType::Keyword) } },
        ],
        "properties": {
            "@timestamp": mapping(IndexType::Date),
            "@version": mapping(IndexType::Keyword),
            "type": mapping(IndexType::Keyword),
            "host": mapping(IndexType::Ip),
            "ipfix": { "properties": ipfix },
        },
    })
}

fn meta() -> Value {
    json!({ "podflow": env!("CARGO_PKG_VERSION") })
}

fn mapping(index: IndexType) -> Value {
    let mut mapping = json!({ "type": index.name() });
    if index == IndexType::Keyword {
        mapping["ignore_above"] = KEYWORD_LIMIT.into();
    }
    if index.has_keyword() {
        mapping["fields"] = json!({ "keyword": { "type": "keyword", "ignore_above": KEYWORD_LIMIT } });
    }
    mapping
}

fn settings(config: &Config, abilities: Abilities<'_>) -> Value {
    let mut settings = Map::new();
    settings.insert("number_of_shards".to_owned(), config.shards.into());
    match config.replicas {
        Some(replicas) => settings.insert("number_of_replicas".to_owned(), replicas.into()),
        None => settings.insert("auto_expand_replicas".to_owned(), "0-1".into()),
    };
    settings.insert("refresh_interval".to_owned(), config.refresh_interval.clone().into());
    settings.insert("mapping.total_fields.limit".to_owned(), FIELD_LIMIT.into());
    // A value that does not fit its field is our fault or the exporter's: told, not hidden in `_ignored`.
    settings.insert("mapping.ignore_malformed".to_owned(), false.into());
    if abilities.logsdb && !config.settings.contains_key("mode") {
        settings.insert("mode".to_owned(), "logsdb".into());
        // A Node's records beside each other, the latest first: what compresses best, and what is asked for most.
        settings.insert("sort.field".to_owned(), json!(["ipfix.sourceNodeName", "@timestamp"]));
        settings.insert("sort.order".to_owned(), json!(["asc", "desc"]));
    }
    if let Some(policy) = abilities.lifecycle {
        settings.insert("lifecycle.name".to_owned(), policy.into());
    }
    settings.extend(config.settings.clone());
    json!({ "index": settings })
}

/// All known elements (some 90), 500 unknown ones a day, each with its `.keyword`; and room.
const FIELD_LIMIT: u64 = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config as Whole, Store};

    fn config(extra: &str) -> Config {
        let text = format!("store: {{elasticsearch: {{hosts: ['http://a:9200']{extra}}}}}");
        match Whole::parse(&text).unwrap().store {
            Store::Elasticsearch(config) => *config,
            Store::Embedded(_) => panic!("embedded"),
        }
    }

    #[test]
    fn every_field_of_the_tables_is_mapped() {
        let body = body(&config(""), Abilities::default());
        let ipfix = &body["template"]["mappings"]["properties"]["ipfix"]["properties"];
        for (name, index) in
            FIELDS.iter().map(|f| (f.name, f.index)).chain(DERIVED.iter().map(|f| (f.name, f.index)))
        {
            assert_eq!(ipfix[name]["type"], index.name(), "{name}");
            assert_eq!(ipfix[name]["fields"]["keyword"].is_object(), index.has_keyword(), "{name}");
        }
        assert_eq!(body["index_patterns"], json!(["flow-*"]));
        assert_eq!(body["priority"], 200);
        assert!(body["template"]["mappings"]["_meta"]["podflow"].is_string());
    }

    #[test]
    fn a_mode_of_the_configuration_stands() {
        let body = body(&config(", settings: {mode: standard}"), Abilities { logsdb: true, lifecycle: None });
        let index = &body["template"]["settings"]["index"];
        assert_eq!((&index["mode"], index.get("sort.field")), (&json!("standard"), None));
    }

    #[test]
    fn settings_come_from_the_configuration() {
        let config =
            config(", shards: 3, replicas: 2, templatePriority: 7, settings: {codec: best_compression}");
        let body = body(&config, Abilities { logsdb: true, lifecycle: Some("podflow") });
        assert_eq!(body["priority"], 7);
        let index = &body["template"]["settings"]["index"];
        assert_eq!(index["number_of_shards"], 3);
        assert_eq!(index["number_of_replicas"], 2);
        assert!(index.get("auto_expand_replicas").is_none());
        assert_eq!(index["codec"], "best_compression");
        assert_eq!((&index["mode"], &index["lifecycle.name"]), (&json!("logsdb"), &json!("podflow")));
        assert_eq!(index["sort.field"], json!(["ipfix.sourceNodeName", "@timestamp"]));
    }
}
