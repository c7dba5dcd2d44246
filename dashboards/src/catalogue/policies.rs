//! What network policies let pass and what they stopped, for records that carry them.

use super::parts::{
    BYTES, DESTINATION, Measure, PAIR, SOURCE, Sankey, bars, beside, filters, named, navigation, one_of,
    throughput,
};
use crate::panel::Dashboard;
use crate::template::TemplateError;

pub(super) const ID: &str = "podflow-network-policy";
pub(super) const TITLE: &str = "Network Policy";

pub(super) fn make() -> Result<Dashboard, TemplateError> {
    let sankey = |id, title, scope: String, x| {
        Sankey { id, title, left: SOURCE, right: DESTINATION, pair: PAIR, counter: BYTES, scope }
            .at(beside(x, 43, 20, 30))
    };
    let mut panels = vec![navigation(ID)];
    panels.extend(filters()?);
    panels.extend([
        bars(
            "podflow-policy-ingress",
            "Flows by ingress policy (flows)",
            INGRESS,
            Measure::Flows,
            &named(INGRESS),
            beside(0, 0, 20, 14),
        )?,
        bars(
            "podflow-policy-egress",
            "Flows by egress policy (flows)",
            EGRESS,
            Measure::Flows,
            &named(EGRESS),
            beside(20, 0, 20, 14),
        )?,
        throughput(
            "podflow-policy-ingress-actions",
            "Throughput by ingress rule action (bit/s)",
            INGRESS_ACTION,
            BYTES,
            beside(0, 14, 20, 15),
        )?,
        throughput(
            "podflow-policy-egress-actions",
            "Throughput by egress rule action (bit/s)",
            EGRESS_ACTION,
            BYTES,
            beside(20, 14, 20, 15),
        )?,
        bars(
            "podflow-policy-ingress-stopped",
            "Flows stopped on the way in, by policy (flows)",
            INGRESS,
            Measure::Flows,
            &one_of(INGRESS_ACTION, STOPPED),
            beside(0, 29, 20, 14),
        )?,
        bars(
            "podflow-policy-egress-stopped",
            "Flows stopped on the way out, by policy (flows)",
            EGRESS,
            Measure::Flows,
            &one_of(EGRESS_ACTION, STOPPED),
            beside(20, 29, 20, 14),
        )?,
        sankey(
            "podflow-policy-sankey-ingress",
            "Between whom, under an ingress policy (bytes, both directions)",
            named(INGRESS),
            0,
        )?,
        sankey(
            "podflow-policy-sankey-egress",
            "Between whom, under an egress policy (bytes, both directions)",
            named(EGRESS),
            20,
        )?,
    ]);
    let description =
        "What network policies let pass and what they stopped, for records that carry them.".to_owned();
    Ok(Dashboard { id: ID.to_owned(), title: TITLE.to_owned(), description, panels })
}

const INGRESS: &str = "ipfix.ingressNetworkPolicyName.keyword";
const EGRESS: &str = "ipfix.egressNetworkPolicyName.keyword";
const INGRESS_ACTION: &str = "ipfix.ingressNetworkPolicyRuleActionStr.keyword";
const EGRESS_ACTION: &str = "ipfix.egressNetworkPolicyRuleActionStr.keyword";
const STOPPED: &[&str] = &["Drop", "Reject"];
