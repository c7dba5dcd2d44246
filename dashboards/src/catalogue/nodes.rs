//! What Nodes exchange, and what stays within one.

use super::parts::{
    BYTES, DESTINATION_NODE, RECEIVED, SENT, SOURCE_NODE, Sankey, beside, filters, navigation, one_of,
    throughput, throughput_of, vega,
};
use crate::panel::Dashboard;
use crate::template::TemplateError;

pub(super) const ID: &str = "podflow-node-throughput";
pub(super) const TITLE: &str = "Node Throughput";

pub(super) fn make() -> Result<Dashboard, TemplateError> {
    let sankey = |id, title, counter, x| {
        Sankey {
            id,
            title,
            left: SOURCE_NODE,
            right: DESTINATION_NODE,
            pair: "ipfix.nodePair.keyword",
            counter,
            scope: one_of(TYPE, &["Intra-Node", "Inter-Node"]),
        }
        .at(beside(x, 0, 20, 24))
    };
    let mut panels = vec![navigation(ID)];
    panels.extend(filters()?);
    panels.extend([
        sankey("podflow-node-sankey-tx", "Transmitted, Node to Node (bytes)", SENT, 0)?,
        sankey(
            "podflow-node-sankey-rx",
            "Received, by source Node from destination Node (bytes)",
            RECEIVED,
            20,
        )?,
        throughput_of(
            "podflow-node-types",
            "Throughput within a Node against between Nodes (bit/s)",
            TYPE,
            BYTES,
            &one_of(TYPE, &["Intra-Node", "Inter-Node"]),
            beside(0, 24, 20, 15),
        )?,
        vega(
            "podflow-node-heat",
            "Throughput of source Nodes over time (bit/s)",
            beside(20, 24, 20, 15),
            "heat",
            &[("title", "Throughput of source Nodes over time"), ("by", SOURCE_NODE), ("counter", BYTES)],
        )?,
        throughput(
            "podflow-node-source-tx",
            "Transmit throughput by source Node (bit/s)",
            SOURCE_NODE,
            SENT,
            beside(0, 39, 20, 15),
        )?,
        throughput(
            "podflow-node-source-rx",
            "Receive throughput by source Node (bit/s)",
            SOURCE_NODE,
            RECEIVED,
            beside(20, 39, 20, 15),
        )?,
        throughput(
            "podflow-node-destination-tx",
            "Transmit throughput by destination Node (bit/s)",
            DESTINATION_NODE,
            RECEIVED,
            beside(0, 54, 20, 15),
        )?,
        throughput(
            "podflow-node-destination-rx",
            "Receive throughput by destination Node (bit/s)",
            DESTINATION_NODE,
            SENT,
            beside(20, 54, 20, 15),
        )?,
    ]);
    let description = "What Nodes exchange, and what stays within one.".to_owned();
    Ok(Dashboard { id: ID.to_owned(), title: TITLE.to_owned(), description, panels })
}

/// Whether a flow stays within a Node.
const TYPE: &str = "ipfix.flowTypeStr.keyword";
