//! What the measurements send: records of a cluster of 1,000 Pods on 10 Nodes that talk to each other, as the agent
//! of one Node exports them with the 23 elements of the v0.9 template. No two are the same.

use anyhow::Result;
use podflow_flow::record::observation_domain;
use podflow_flow::{Counters, FlowRecord, FlowType, Profile};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::TemplateId;

/// The template of the records.
pub(crate) const TEMPLATE: TemplateId = TemplateId::constant(podflow_flow::profile::TEMPLATE_IPV4);

/// The agent of node-0; messages fit 1,400 octets over UDP.
pub(crate) fn session(udp: bool) -> Result<ExportingSession> {
    let domain = observation_domain("", "node-0");
    let settings = if udp { ExportSettings::udp(domain, 1400) } else { ExportSettings::stream(domain) };
    Ok(ExportingSession::new(settings, vec![Profile::V09.template(true)?], &Registry::standard())?)
}

/// Adds a record; messages that are full can be taken from the session then.
pub(crate) fn add(session: &mut ExportingSession, number: u64, now_ms: u64) -> Result<()> {
    let record = record(number, now_ms);
    session.add(now_ms, TEMPLATE, Profile::V09.values(&record))?;
    Ok(())
}

/// One record: named is the source, which is on node-0.
pub(crate) fn record(number: u64, now_ms: u64) -> FlowRecord<'static> {
    let address = |node: u64, host: u64| std::net::Ipv4Addr::from([10, 10, byte(node), byte(host)]).into();
    let counters = Counters {
        packets_total: 1000 + number,
        octets_total: 1_000_000 + number,
        packets_delta: 50,
        octets_delta: 71_234,
    };
    FlowRecord {
        source_port: u16::try_from(number % 28_000 + 32_000).unwrap_or_default(),
        destination_port: 8080,
        start_ms: now_ms.saturating_sub(60_000),
        end_ms: now_ms.saturating_sub(number % 1000),
        flow_id: number,
        forward: counters,
        reverse: counters,
        source_pod_namespace: "shop",
        source_pod_name: "cart-7d9f8b6c5-17",
        source_node_name: "node-0",
        flow_type: FlowType::InterNode,
        ..FlowRecord::between(address(0, number % 100 + 1), address(number / 7 % 10, number / 10 % 100 + 1))
    }
}

/// The same cluster as an inventory, for the collector.
pub(crate) fn inventory() -> String {
    let mut text = String::from("nodes:\n");
    for node in 0..10 {
        let address = node + 2;
        text += &format!(
            "  - {{name: node-{node}, addresses: [172.18.0.{address}], podCIDRs: [10.10.{node}.0/24]}}\n"
        );
    }
    text += "pods:\n";
    for pod in 0..1000 {
        let (node, host) = (pod / 100, pod % 100 + 1);
        text += &format!(
            "  - {{namespace: shop, name: cart-7d9f8b6c5-{pod}, node: node-{node}, ips: [10.10.{node}.{host}]}}\n"
        );
    }
    text
}

fn byte(number: u64) -> u8 {
    u8::try_from(number % 256).unwrap_or_default()
}
