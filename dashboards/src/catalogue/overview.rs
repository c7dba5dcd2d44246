//! How much there is, of what, and between whom.

use super::parts::{
    BYTES, DESTINATION, Measure, SOURCE, bars, beside, everything, filters, navigation, throughput, vega,
};
use crate::panel::Dashboard;
use crate::template::TemplateError;

pub(super) const ID: &str = "podflow-overview";
pub(super) const TITLE: &str = "Overview";

pub(super) fn make() -> Result<Dashboard, TemplateError> {
    let mut panels = vec![navigation(ID)];
    panels.extend(filters()?);
    panels.extend([
        vega(
            "podflow-overview-tiles",
            "In this range, and against the day and the week before",
            beside(0, 0, 40, 7),
            "tiles",
            &[("title", "Totals")],
        )?,
        throughput(
            "podflow-overview-kinds",
            "Throughput by kind of flow (bit/s)",
            "ipfix.flowKind.keyword",
            BYTES,
            beside(0, 7, 24, 15),
        )?,
        vega(
            "podflow-overview-namespaces",
            "Bytes between namespaces (bytes)",
            beside(24, 7, 16, 15),
            "matrix",
            &[
                ("title", "Bytes between namespaces"),
                ("rows", "ipfix.sourcePodNamespace.keyword"),
                ("columns", "ipfix.destinationPodNamespace.keyword"),
                ("counter", BYTES),
            ],
        )?,
        bars(
            "podflow-overview-source-bytes",
            "Bytes by source (bytes, both directions)",
            SOURCE,
            Measure::Bytes,
            &everything(),
            beside(0, 22, 20, 14),
        )?,
        bars(
            "podflow-overview-destination-bytes",
            "Bytes by destination (bytes, both directions)",
            DESTINATION,
            Measure::Bytes,
            &everything(),
            beside(20, 22, 20, 14),
        )?,
        bars(
            "podflow-overview-source-packets",
            "Packets by source (packets, both directions)",
            SOURCE,
            Measure::Packets,
            &everything(),
            beside(0, 36, 20, 14),
        )?,
        bars(
            "podflow-overview-destination-packets",
            "Packets by destination (packets, both directions)",
            DESTINATION,
            Measure::Packets,
            &everything(),
            beside(20, 36, 20, 14),
        )?,
        bars(
            "podflow-overview-source-flows",
            "Flows by source (flows)",
            SOURCE,
            Measure::Flows,
            &everything(),
            beside(0, 50, 20, 14),
        )?,
        bars(
            "podflow-overview-destination-flows",
            "Flows by destination (flows)",
            DESTINATION,
            Measure::Flows,
            &everything(),
            beside(20, 50, 20, 14),
        )?,
        bars(
            "podflow-overview-source-address",
            "Bytes by source address (bytes, both directions)",
            "ipfix.sourceIP.keyword",
            Measure::Bytes,
            &everything(),
            beside(0, 64, 20, 14),
        )?,
        bars(
            "podflow-overview-destination-address",
            "Bytes by destination address (bytes, both directions)",
            "ipfix.destinationIP.keyword",
            Measure::Bytes,
            &everything(),
            beside(20, 64, 20, 14),
        )?,
    ]);
    let description = "How much there is, of what, and between whom.".to_owned();
    Ok(Dashboard { id: ID.to_owned(), title: TITLE.to_owned(), description, panels })
}
