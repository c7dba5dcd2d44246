//! The kinds of panels, each with the few things that differ from one to the next.

use serde_json::json;

use super::MENU;
use crate::panel::{Content, Grid, Panel};
use crate::template::{TemplateError, fill};

/// What making a panel comes to.
pub(super) type Made = Result<Panel, TemplateError>;

/// A Sankey diagram between two fields.
pub(super) struct Sankey<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) left: &'a str,
    pub(super) right: &'a str,
    pub(super) pair: &'a str,
    pub(super) counter: &'a str,
    pub(super) scope: String,
}

impl Sankey<'_> {
    pub(super) fn at(&self, grid: Grid) -> Made {
        // Many Pods are drawn by their namespace; Services and Nodes are never that many.
        let roll = (self.left, self.right) == (SOURCE, DESTINATION);
        let parameters = [
            ("title", self.title),
            ("roll", if roll { "true" } else { "false" }),
            ("leftSpace", "ipfix.sourcePodNamespace.keyword"),
            ("rightSpace", "ipfix.destinationPodNamespace.keyword"),
            ("left", self.left),
            ("right", self.right),
            ("pair", self.pair),
            ("counter", self.counter),
            ("scope", &self.scope),
            ("measure", "Bytes"),
            // More rows than this nobody reads; the rest is drawn as one.
            ("most", "30"),
        ];
        vega(self.id, self.title, grid, "sankey", &parameters)
    }
}

/// Stacked rates of the biggest eight values of a field.
pub(super) fn throughput(id: &str, title: &str, by: &str, counter: &str, grid: Grid) -> Made {
    throughput_of(id, title, by, counter, &named(by), grid)
}

/// As [`throughput`], of a part of the flows.
pub(super) fn throughput_of(id: &str, title: &str, by: &str, counter: &str, scope: &str, grid: Grid) -> Made {
    let parameters = [("title", title), ("by", by), ("counter", counter), ("scope", scope)];
    vega(id, title, grid, "throughput", &parameters)
}

/// What a panel of bars adds up.
#[derive(Clone, Copy)]
pub(super) enum Measure {
    Bytes,
    Packets,
    Flows,
}

/// The ten biggest values of a field.
pub(super) fn bars(id: &str, title: &str, by: &str, measure: Measure, scope: &str, grid: Grid) -> Made {
    let (operation, counter, what, show) = match measure {
        Measure::Bytes => ("sum", "ipfix.bytes", "Bytes", "$bytes(datum.all)"),
        Measure::Packets => ("sum", "ipfix.packets", "Packets", "format(datum.all, ',d')"),
        Measure::Flows => ("cardinality", "ipfix.flowId", "Flows", "format(datum.all, ',d')"),
    };
    let parameters = [
        ("title", title),
        ("by", by),
        ("measure", operation),
        ("counter", counter),
        ("what", what),
        ("show", show),
        ("scope", scope),
    ];
    vega(id, title, grid, "bars", &parameters)
}

/// A panel of a template that needs no more than a few parameters.
pub(super) fn vega(id: &str, title: &str, grid: Grid, template: &str, parameters: &[(&str, &str)]) -> Made {
    let spec = fill(template, parameters)?;
    Ok(Panel { id: id.to_owned(), title: title.to_owned(), grid, content: Content::Vega { spec } })
}

/// The links to all dashboards, over the whole width.
pub(super) fn navigation(this: &str) -> Panel {
    let links = MENU.iter().map(|entry| {
        if entry.id == this {
            format!("**{}**", entry.title)
        } else {
            format!("[{}](#/view/{})", entry.title, entry.id)
        }
    });
    let links: Vec<_> = links.collect();
    Panel {
        id: format!("{this}-navigation"),
        title: "Podflow".to_owned(),
        grid: at(0, 0, 48, NAVIGATION_ROWS),
        content: Content::Markdown {
            text: format!("{} — pinned filters travel along", links.join(" · "))
        },
    }
}

/// The column of filter panels at the left; `rows` is the height of what stands beside it.
pub(super) fn filters() -> Result<Vec<Panel>, TemplateError> {
    let facets = FACETS.iter().zip(0_u16..).map(|((id, title, by), place)| {
        let grid = at(0, NAVIGATION_ROWS + place * FACET_ROWS, FILTER_COLUMNS, FACET_ROWS);
        vega(id, title, grid, "facet", &[("title", *title), ("by", *by)])
    });
    facets.collect()
}

const FACETS: [(&str, &str, &str); 5] = [
    ("podflow-filter-kind", "Kind of flow (bytes)", "ipfix.flowKind.keyword"),
    ("podflow-filter-namespace", "Source namespace (bytes)", "ipfix.sourcePodNamespace.keyword"),
    ("podflow-filter-pod", "Source Pod (bytes)", "ipfix.sourcePodName.keyword"),
    ("podflow-filter-node", "Source Node (bytes)", "ipfix.sourceNodeName.keyword"),
    ("podflow-filter-service", "Service (bytes)", "ipfix.destinationServicePortName.keyword"),
];

/// A place beside the filters: columns 0 to 39 from their right edge, rows from below the navigation.
pub(super) const fn beside(x: u16, y: u16, w: u16, h: u16) -> Grid {
    at(FILTER_COLUMNS + x, NAVIGATION_ROWS + y, w, h)
}

const fn at(x: u16, y: u16, w: u16, h: u16) -> Grid {
    Grid { x, y, w, h }
}

const NAVIGATION_ROWS: u16 = 4;
const FILTER_COLUMNS: u16 = 8;
const FACET_ROWS: u16 = 13;

/// All flows.
pub(super) fn everything() -> String {
    json!({"match_all": {}}).to_string()
}

/// The flows that have this name; indices of the old pipeline say "" where there is none.
pub(super) fn named(field: &str) -> String {
    json!({"bool": {"filter": [{"exists": {"field": field}}], "must_not": [{"term": {field: ""}}]}})
        .to_string()
}

/// The flows whose field has one of these values.
pub(super) fn one_of(field: &str, values: &[&str]) -> String {
    json!({"terms": {field: values}}).to_string()
}

/// Bytes from the flow's source to its destination since the record before.
pub(super) const SENT: &str = "ipfix.octetDeltaCount";

/// Bytes from the flow's destination to its source since the record before.
pub(super) const RECEIVED: &str = "ipfix.reverseOctetDeltaCount";

/// Both of them.
pub(super) const BYTES: &str = "ipfix.bytes";

/// Who opened the flow: namespace/Pod, else Node, else address.
pub(super) const SOURCE: &str = "ipfix.sourceName.keyword";

/// Whom it reached, likewise.
pub(super) const DESTINATION: &str = "ipfix.destinationName.keyword";

/// Both in one.
pub(super) const PAIR: &str = "ipfix.podPair.keyword";

/// The Service that was dialled.
pub(super) const SERVICE: &str = "ipfix.destinationServicePortName.keyword";

/// Node of the source.
pub(super) const SOURCE_NODE: &str = "ipfix.sourceNodeName.keyword";

/// Node of the destination.
pub(super) const DESTINATION_NODE: &str = "ipfix.destinationNodeName.keyword";
