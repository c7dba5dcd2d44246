//! Every flow record, with its fields.

use super::parts::{beside, everything, filters, navigation, vega};
use crate::panel::Dashboard;
use crate::panel::{Content, Panel};
use crate::template::TemplateError;

pub(super) const ID: &str = "podflow-flow-records";
pub(super) const TITLE: &str = "Flow Records";

pub(super) fn make() -> Result<Dashboard, TemplateError> {
    let scope = everything();
    let (count, histogram) = ("Records and flows in this range", "Flow records over time (records)");
    let titled = |title| [("title", title), ("scope", &*scope)];
    let table = Panel {
        id: "podflow-flow-records-table".to_owned(),
        title: "Flow records".to_owned(),
        grid: beside(0, 9, 40, 56),
        content: Content::Search { columns: COLUMNS.iter().map(|&column| column.to_owned()).collect() },
    };
    let mut panels = vec![navigation(ID)];
    panels.extend(filters()?);
    panels.extend([
        vega("podflow-flow-records-count", count, beside(0, 0, 10, 9), "count", &titled(count))?,
        vega(
            "podflow-flow-records-histogram",
            histogram,
            beside(10, 0, 30, 9),
            "histogram",
            &titled(histogram),
        )?,
    ]);
    panels.push(table);
    let description = "Every flow record, with its fields.".to_owned();
    Ok(Dashboard { id: ID.to_owned(), title: TITLE.to_owned(), description, panels })
}

/// The columns of the table, after the time.
const COLUMNS: &[&str] = &[
    "ipfix.sourceName",
    "ipfix.sourceTransportPort",
    "ipfix.destinationName",
    "ipfix.destinationTransportPort",
    "ipfix.protocol",
    "ipfix.octetDeltaCount",
    "ipfix.reverseOctetDeltaCount",
    "ipfix.destinationServicePortName",
    "ipfix.flowKind",
    "ipfix.packetDeltaCount",
    "ipfix.reversePacketDeltaCount",
    "ipfix.sourceNodeName",
    "ipfix.destinationNodeName",
];
