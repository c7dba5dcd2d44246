//! Which Pods talk to which, and how fast; other ends appear by their Node or address.

use super::parts::{
    DESTINATION, PAIR, RECEIVED, SENT, SOURCE, Sankey, beside, everything, filters, navigation, throughput,
};
use crate::panel::Dashboard;
use crate::template::TemplateError;

pub(super) const ID: &str = "podflow-pod-to-pod";
pub(super) const TITLE: &str = "Pod-to-Pod";

pub(super) fn make() -> Result<Dashboard, TemplateError> {
    let sankey = |id, title, counter, x| {
        Sankey { id, title, left: SOURCE, right: DESTINATION, pair: PAIR, counter, scope: everything() }
            .at(beside(x, 0, 20, 34))
    };
    let mut panels = vec![navigation(ID)];
    panels.extend(filters()?);
    panels.extend([
        sankey("podflow-pod-to-pod-sankey-tx", "Transmitted, source to destination (bytes)", SENT, 0)?,
        sankey("podflow-pod-to-pod-sankey-rx", "Received, by source from destination (bytes)", RECEIVED, 20)?,
        throughput(
            "podflow-pod-to-pod-source-tx",
            "Transmit throughput by source Pod (bit/s)",
            SOURCE,
            SENT,
            beside(0, 34, 20, 15),
        )?,
        throughput(
            "podflow-pod-to-pod-source-rx",
            "Receive throughput by source Pod (bit/s)",
            SOURCE,
            RECEIVED,
            beside(20, 34, 20, 15),
        )?,
        throughput(
            "podflow-pod-to-pod-destination-tx",
            "Transmit throughput by destination Pod (bit/s)",
            DESTINATION,
            RECEIVED,
            beside(0, 49, 20, 15),
        )?,
        throughput(
            "podflow-pod-to-pod-destination-rx",
            "Receive throughput by destination Pod (bit/s)",
            DESTINATION,
            SENT,
            beside(20, 49, 20, 15),
        )?,
    ]);
    let description = "Which Pods talk to which, and how fast.".to_owned();
    Ok(Dashboard { id: ID.to_owned(), title: TITLE.to_owned(), description, panels })
}
