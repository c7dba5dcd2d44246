//! Who leaves the cluster, and who comes in.

use super::parts::{
    DESTINATION, Measure, PAIR, RECEIVED, SENT, SOURCE, Sankey, bars, beside, filters, navigation, one_of,
    throughput_of,
};
use crate::panel::Dashboard;
use crate::template::TemplateError;

pub(super) const ID: &str = "podflow-pod-to-external";
pub(super) const TITLE: &str = "Pod-to-External";

pub(super) fn make() -> Result<Dashboard, TemplateError> {
    let (leaves, enters) = (one_of(KIND, LEAVES), one_of(KIND, ENTERS));
    let sankey = |id, title, scope: &str, x| {
        let scope = scope.to_owned();
        Sankey { id, title, left: SOURCE, right: DESTINATION, pair: PAIR, counter: "ipfix.bytes", scope }
            .at(beside(x, 0, 20, 30))
    };
    let mut panels = vec![navigation(ID)];
    panels.extend(filters()?);
    panels.extend([
        sankey(
            "podflow-external-sankey-out",
            "Opened from inside to the outside (bytes, both directions)",
            &leaves,
            0,
        )?,
        sankey(
            "podflow-external-sankey-in",
            "Opened from the outside to inside (bytes, both directions)",
            &enters,
            20,
        )?,
        throughput_of(
            "podflow-external-out-tx",
            "Sent out, by source (bit/s)",
            SOURCE,
            SENT,
            &leaves,
            beside(0, 30, 20, 15),
        )?,
        throughput_of(
            "podflow-external-in-rx",
            "Sent in, by destination (bit/s)",
            DESTINATION,
            SENT,
            &enters,
            beside(20, 30, 20, 15),
        )?,
        throughput_of(
            "podflow-external-out-rx",
            "Answers from outside, by source (bit/s)",
            SOURCE,
            RECEIVED,
            &leaves,
            beside(0, 45, 20, 15),
        )?,
        throughput_of(
            "podflow-external-in-tx",
            "Answers to outside, by destination (bit/s)",
            DESTINATION,
            RECEIVED,
            &enters,
            beside(20, 45, 20, 15),
        )?,
        bars(
            "podflow-external-out-addresses",
            "Outside addresses that were dialled (bytes, both directions)",
            "ipfix.destinationIP.keyword",
            Measure::Bytes,
            &leaves,
            beside(0, 60, 20, 14),
        )?,
        bars(
            "podflow-external-in-addresses",
            "Outside addresses that dialled (bytes, both directions)",
            "ipfix.sourceIP.keyword",
            Measure::Bytes,
            &enters,
            beside(20, 60, 20, 14),
        )?,
    ]);
    let description = "Who leaves the cluster, and who comes in.".to_owned();
    Ok(Dashboard { id: ID.to_owned(), title: TITLE.to_owned(), description, panels })
}

const KIND: &str = "ipfix.flowKind.keyword";

const LEAVES: &[&str] = &["Pod-to-External", "Node-to-External", "Service-to-External"];

const ENTERS: &[&str] = &["External-to-Pod", "External-to-Service", "External-to-Node"];
