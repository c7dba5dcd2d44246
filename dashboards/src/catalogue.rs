//! The dashboards and their panels, in the order of the menu. What a panel asks for is its template's
//! business; here stand only its place, its title and the fields it is about.

use crate::panel::{Content, Dashboard, Grid, Panel};
use crate::template::{TemplateError, fill};

/// All dashboards, in the order of the menu.
///
/// # Errors
///
/// When a template under `specs/` does not fit its panel; a test of this crate makes them all.
pub fn dashboards() -> Result<Vec<Dashboard>, TemplateError> {
    Ok(vec![pod_to_pod()?, flow_records()?])
}

fn pod_to_pod() -> Result<Dashboard, TemplateError> {
    let sankey = |id, title, counter, x| {
        let parameters = [
            ("title", title),
            ("left", "ipfix.sourceName.keyword"),
            ("right", "ipfix.destinationName.keyword"),
            ("pair", "ipfix.podPair.keyword"),
            ("counter", counter),
            ("measure", "Bytes"),
            ("most", "30"),
        ];
        vega(id, title, at(x, 0, 24, 34), "sankey", &parameters)
    };
    let throughput = |id, title, by, counter, x, y| {
        let parameters = [("title", title), ("by", by), ("counter", counter)];
        vega(id, title, at(x, y, 24, 15), "throughput", &parameters)
    };
    Ok(Dashboard {
        id: "podflow-pod-to-pod".to_owned(),
        title: "Pod-to-Pod".to_owned(),
        description: "Which Pods talk to which, and how fast.".to_owned(),
        panels: vec![
            sankey("podflow-pod-to-pod-sankey-tx", "Transmitted, source to destination (bytes)", SENT, 0)?,
            sankey(
                "podflow-pod-to-pod-sankey-rx",
                "Received, by source from destination (bytes)",
                RECEIVED,
                24,
            )?,
            throughput(
                "podflow-pod-to-pod-source-tx",
                "Transmit throughput by source Pod (bit/s)",
                "ipfix.sourceName.keyword",
                SENT,
                0,
                34,
            )?,
            throughput(
                "podflow-pod-to-pod-source-rx",
                "Receive throughput by source Pod (bit/s)",
                "ipfix.sourceName.keyword",
                RECEIVED,
                24,
                34,
            )?,
            throughput(
                "podflow-pod-to-pod-destination-tx",
                "Transmit throughput by destination Pod (bit/s)",
                "ipfix.destinationName.keyword",
                RECEIVED,
                0,
                49,
            )?,
            throughput(
                "podflow-pod-to-pod-destination-rx",
                "Receive throughput by destination Pod (bit/s)",
                "ipfix.destinationName.keyword",
                SENT,
                24,
                49,
            )?,
        ],
    })
}

fn flow_records() -> Result<Dashboard, TemplateError> {
    let count = "Records and flows in this range";
    let histogram = "Flow records over time (records)";
    Ok(Dashboard {
        id: "podflow-flow-records".to_owned(),
        title: "Flow Records".to_owned(),
        description: "Every flow record, with its fields.".to_owned(),
        panels: vec![
            vega("podflow-flow-records-count", count, at(0, 0, 12, 8), "count", &[("title", count)])?,
            vega(
                "podflow-flow-records-histogram",
                histogram,
                at(12, 0, 36, 8),
                "histogram",
                &[("title", histogram)],
            )?,
            Panel {
                id: "podflow-flow-records-table".to_owned(),
                title: "Flow records".to_owned(),
                grid: at(0, 8, 48, 30),
                content: Content::Search {
                    columns: COLUMNS.iter().map(|&column| column.to_owned()).collect(),
                },
            },
        ],
    })
}

fn vega(
    id: &str,
    title: &str,
    grid: Grid,
    template: &str,
    parameters: &[(&str, &str)],
) -> Result<Panel, TemplateError> {
    Ok(Panel {
        id: id.to_owned(),
        title: title.to_owned(),
        grid,
        content: Content::Vega { spec: fill(template, parameters)? },
    })
}

const fn at(x: u16, y: u16, w: u16, h: u16) -> Grid {
    Grid { x, y, w, h }
}

/// Bytes from the flow's source to its destination since the record before.
const SENT: &str = "ipfix.octetDeltaCount";

/// Bytes from the flow's destination to its source since the record before.
const RECEIVED: &str = "ipfix.reverseOctetDeltaCount";

/// The columns of the table of records, after the time.
const COLUMNS: &[&str] = &[
    "ipfix.sourceName",
    "ipfix.sourceTransportPort",
    "ipfix.destinationName",
    "ipfix.destinationTransportPort",
    "ipfix.protocol",
    "ipfix.destinationServicePortName",
    "ipfix.octetDeltaCount",
    "ipfix.reverseOctetDeltaCount",
    "ipfix.packetDeltaCount",
    "ipfix.reversePacketDeltaCount",
    "ipfix.flowTypeStr",
    "ipfix.sourceNodeName",
    "ipfix.destinationNodeName",
];
