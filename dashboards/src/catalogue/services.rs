//! Who uses which Service, and how fast it answers with bytes.

use super::parts::{
    DESTINATION, Measure, RECEIVED, SENT, SERVICE, SOURCE, Sankey, bars, beside, filters, named, navigation,
    throughput,
};
use crate::panel::Dashboard;
use crate::template::TemplateError;

pub(super) const ID: &str = "podflow-pod-to-service";
pub(super) const TITLE: &str = "Pod-to-Service";

pub(super) fn make() -> Result<Dashboard, TemplateError> {
    let sankey = |id, title, counter, x| {
        Sankey {
            id,
            title,
            left: SOURCE,
            right: SERVICE,
            pair: "ipfix.servicePair.keyword",
            counter,
            scope: named(SERVICE),
        }
        .at(beside(x, 0, 20, 34))
    };
    let mut panels = vec![navigation(ID)];
    panels.extend(filters()?);
    panels.extend([
        sankey("podflow-pod-to-service-sankey-tx", "Requests, source to Service (bytes)", SENT, 0)?,
        sankey("podflow-pod-to-service-sankey-rx", "Answers, to source from Service (bytes)", RECEIVED, 20)?,
        throughput(
            "podflow-pod-to-service-tx",
            "Throughput to Services (bit/s)",
            SERVICE,
            SENT,
            beside(0, 34, 20, 15),
        )?,
        throughput(
            "podflow-pod-to-service-rx",
            "Throughput from Services (bit/s)",
            SERVICE,
            RECEIVED,
            beside(20, 34, 20, 15),
        )?,
        bars(
            "podflow-pod-to-service-flows",
            "Flows by Service (flows)",
            SERVICE,
            Measure::Flows,
            &named(SERVICE),
            beside(0, 49, 20, 14),
        )?,
        bars(
            "podflow-pod-to-service-endpoints",
            "Bytes by endpoint behind Services (bytes, both directions)",
            DESTINATION,
            Measure::Bytes,
            &named(SERVICE),
            beside(20, 49, 20, 14),
        )?,
    ]);
    let description = "Who uses which Service, and how much comes back.".to_owned();
    Ok(Dashboard { id: ID.to_owned(), title: TITLE.to_owned(), description, panels })
}
