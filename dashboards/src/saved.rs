//! The dashboards packed as Kibana's saved objects, one JSON object a line.
//!
//! The stamps are the highest that Kibana 7.10.2 accepts; newer ones migrate older stamps. Nothing here depends
//! on time or order of a map: the same sources give the same bytes.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::catalogue::dashboards;
use crate::fields::{pattern_fields, pattern_formats};
use crate::panel::{Content, Dashboard, Panel};
use crate::template::TemplateError;

/// The index pattern's title, which the panels' filters name.
pub const INDEX_PATTERN: &str = "flow-*";

/// All saved objects: the index pattern, then for each dashboard its panels and itself.
///
/// # Errors
///
/// As [`dashboards`].
pub fn kibana_ndjson() -> Result<String, TemplateError> {
    let mut objects = vec![index_pattern()];
    let mut written = HashSet::new();
    for dashboard in dashboards()? {
        // The filter panels stand on every dashboard, and once in the file.
        let new = dashboard.panels.iter().filter(|panel| written.insert(panel.id.clone()));
        objects.extend(new.map(panel_object));
        objects.push(dashboard_object(&dashboard));
    }
    let lines = objects.iter().map(|object| format!("{object}\n"));
    Ok(lines.collect())
}

/// The same objects for OpenSearch Dashboards, whose Vega functions have other names: a spec that calls an
/// unknown function shows nothing at all. Nothing else differs: it reads the stamps of Kibana 7.10.
///
/// # Errors
///
/// As [`dashboards`].
pub fn opensearch_ndjson() -> Result<String, TemplateError> {
    let text = kibana_ndjson()?;
    Ok(RENAMED.iter().fold(text, |text, (kibana, opensearch)| text.replace(kibana, opensearch)))
}

/// Kibana's functions in Vega expressions, and OpenSearch Dashboards' names for them.
pub(crate) const RENAMED: [(&str, &str); 4] = [
    ("kibanaAddFilter", "opensearchDashboardsAddFilter"),
    ("kibanaRemoveFilter", "opensearchDashboardsRemoveFilter"),
    ("kibanaRemoveAllFilters", "opensearchDashboardsRemoveAllFilters"),
    ("kibanaSetTimeFilter", "opensearchDashboardsSetTimeFilter"),
];

fn index_pattern() -> Value {
    json!({
        "id": PATTERN_ID,
        "type": "index-pattern",
        "attributes": {
            "title": INDEX_PATTERN,
            "timeFieldName": "@timestamp",
            "fields": Value::from(pattern_fields()).to_string(),
            "fieldFormatMap": Value::from(pattern_formats()).to_string(),
        },
        "references": [],
        "migrationVersion": {"index-pattern": "7.6.0"},
    })
}

fn panel_object(panel: &Panel) -> Value {
    match &panel.content {
        Content::Vega { spec } => {
            let spec = serde_json::to_string_pretty(spec).unwrap_or_default();
            visualization(panel, "vega", json!({"spec": spec}))
        }
        Content::Markdown { text } => {
            let params = json!({"fontSize": 12, "openLinksInNewTab": false, "markdown": text});
            visualization(panel, "markdown", params)
        }
        Content::Search { columns } => search(panel, columns),
    }
}

fn visualization(panel: &Panel, kind: &str, params: Value) -> Value {
    let state = json!({"title": panel.title, "type": kind, "params": params, "aggs": []});
    json!({
        "id": panel.id,
        "type": "visualization",
        "attributes": {
            "title": panel.title,
            "description": "",
            "version": 1,
            "visState": state.to_string(),
            "uiStateJSON": "{}",
            "kibanaSavedObjectMeta": {"searchSourceJSON": no_query().to_string()},
        },
        "references": [],
        "migrationVersion": {"visualization": "7.10.0"},
    })
}

fn search(panel: &Panel, columns: &[String]) -> Value {
    let source = json!({
        "highlightAll": true,
        "version": true,
        "query": {"query": "", "language": "kuery"},
        "filter": [],
        "indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index",
    });
    json!({
        "id": panel.id,
        "type": "search",
        "attributes": {
            "title": panel.title,
            "description": "",
            "hits": 0,
            "version": 1,
            "columns": columns,
            "sort": [["@timestamp", "desc"]],
            "kibanaSavedObjectMeta": {"searchSourceJSON": source.to_string()},
        },
        "references": [{
            "name": "kibanaSavedObjectMeta.searchSourceJSON.index",
            "type": "index-pattern",
            "id": PATTERN_ID,
        }],
        "migrationVersion": {"search": "7.9.3"},
    })
}

fn dashboard_object(dashboard: &Dashboard) -> Value {
    let mut panels = Vec::new();
    let mut references = Vec::new();
    for (place, panel) in dashboard.panels.iter().enumerate() {
        let kind = match panel.content {
            Content::Search { .. } => "search",
            Content::Vega { .. } | Content::Markdown { .. } => "visualization",
        };
        let name = format!("panel_{place}");
        let grid = panel.grid;
        panels.push(json!({
            "version": "7.9.3",
            "type": kind,
            "gridData": {"x": grid.x, "y": grid.y, "w": grid.w, "h": grid.h, "i": panel.id},
            "panelIndex": panel.id,
            "embeddableConfig": {},
            "panelRefName": name,
        }));
        references.push(json!({"name": name, "type": kind, "id": panel.id}));
    }
    let options = json!({"hidePanelTitles": false, "useMargins": true});
    json!({
        "id": dashboard.id,
        "type": "dashboard",
        "attributes": {
            "title": format!("Podflow: {}", dashboard.title),
            "description": dashboard.description,
            "hits": 0,
            "version": 1,
            "timeRestore": false,
            "panelsJSON": Value::from(panels).to_string(),
            "optionsJSON": options.to_string(),
            "kibanaSavedObjectMeta": {"searchSourceJSON": no_query().to_string()},
        },
        "references": references,
        "migrationVersion": {"dashboard": "7.9.3"},
    })
}

fn no_query() -> Value {
    json!({"query": {"query": "", "language": "kuery"}, "filter": []})
}

/// The index pattern's own id: an index pattern of the user's with the same title stays untouched.
pub(crate) const PATTERN_ID: &str = "podflow-flow";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_line_is_an_object_with_an_id_of_its_own() {
        let text = kibana_ndjson().unwrap();
        let mut ids = Vec::new();
        for line in text.lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            ids.push(format!("{}:{}", object["type"], object["id"]));
        }
        let before = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((before, ids.len() > 5), (ids.len(), true));
    }

    #[test]
    fn every_reference_is_in_the_file() {
        let text = kibana_ndjson().unwrap();
        let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for object in &objects {
            for reference in object["references"].as_array().unwrap() {
                let found = objects
                    .iter()
                    .any(|other| other["id"] == reference["id"] && other["type"] == reference["type"]);
                assert!(found, "{reference} of {}", object["id"]);
            }
        }
    }

    /// Set `PODFLOW_WRITE=1` to write the files instead of comparing them.
    #[test]
    fn the_written_files_are_up_to_date() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (kibana, opensearch) = (kibana_ndjson().unwrap(), opensearch_ndjson().unwrap());
        for (file, text) in [
            ("build/yamls/flow/kibana.ndjson", &kibana),
            ("dashboards/kibana.ndjson", &kibana),
            ("build/yamls/flow/opensearch-dashboards.ndjson", &opensearch),
            ("dashboards/opensearch-dashboards.ndjson", &opensearch),
        ] {
            let path = root.join(file);
            if std::env::var_os("PODFLOW_WRITE").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, text).unwrap();
            }
            let written = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                written == *text,
                "{file} is stale: PODFLOW_WRITE=1 cargo test -p podflow-dashboards writes it"
            );
        }
    }
}
