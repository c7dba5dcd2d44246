//! A known mix of flows, sent to a collector as our agents would send it, and what a store must hold afterwards.
//!
//! The traffic of the testbed is real, so its numbers come from the kernel; here they are chosen, and reach back
//! an hour, which no test has time for.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};

use anyhow::Context;
use podflow_flow::{Counters, FlowEndReason, FlowRecord, FlowType, Profile};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::TemplateId;

/// One live flow: a record every interval, all of one size.
#[derive(Clone, Debug)]
pub struct KnownFlow {
    /// Namespace, name and Node of the source Pod; all empty for an address outside the cluster.
    pub source: (&'static str, &'static str, &'static str),
    /// Namespace, name and Node of the destination Pod; all empty for an address outside the cluster.
    pub destination: (&'static str, &'static str, &'static str),
    /// `namespace/service:port`, or empty.
    pub service: &'static str,
    /// Octets of each record from source to destination.
    pub sent: u64,
    /// Octets of each record from destination to source.
    pub received: u64,
}

/// The mix that the page's tests draw: six Pods on three Nodes, Services, a way out of the cluster and one in.
pub const MIX: &[KnownFlow] = &[
    flow(("shop", "cart-7d9f", "node-a"), ("shop", "ledger-0", "node-b"), "", 6_000_000, 300_000),
    flow(
        ("shop", "cart-7d9f", "node-a"),
        ("web", "catalog-5c", "node-a"),
        "web/catalog:http",
        400_000,
        4_000_000,
    ),
    flow(
        ("web", "front-1a", "node-c"),
        ("shop", "cart-7d9f", "node-a"),
        "shop/cart:http",
        1_500_000,
        2_500_000,
    ),
    flow(
        ("web", "front-2b", "node-b"),
        ("shop", "cart-7d9f", "node-a"),
        "shop/cart:http",
        900_000,
        1_200_000,
    ),
    flow(("jobs", "backup-x", "node-c"), ("", "", ""), "", 2_000_000, 50_000),
    flow(
        ("web", "front-1a", "node-c"),
        ("web", "catalog-5c", "node-a"),
        "web/catalog:http",
        100_000,
        800_000,
    ),
    flow(("", "", ""), ("web", "front-2b", "node-b"), "web/front:https", 70_000, 700_000),
];

const fn flow(
    source: (&'static str, &'static str, &'static str),
    destination: (&'static str, &'static str, &'static str),
    service: &'static str,
    sent: u64,
    received: u64,
) -> KnownFlow {
    KnownFlow { source, destination, service, sent, received }
}

/// What [`send`] sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Flow records.
    pub records: u64,
    /// Octets from source to destination, by the two names that documents give them.
    pub sent: BTreeMap<(String, String), u64>,
    /// Octets from destination to source, likewise.
    pub received: BTreeMap<(String, String), u64>,
}

/// Sends a record of each flow for every interval from `back` seconds ago until now, over TCP.
///
/// # Errors
/// When the collector does not take the connection, or the records do not fit their template.
pub fn send(
    flows: &[KnownFlow],
    to: SocketAddr,
    now_ms: u64,
    back: u64,
    interval: u64,
) -> anyhow::Result<Sent> {
    let templates = vec![Profile::Full.template(true)?, Profile::Full.template(false)?];
    let mut session = ExportingSession::new(ExportSettings::stream(7), templates, &Registry::standard())?;
    let mut stream = TcpStream::connect(to).with_context(|| format!("connecting to the collector {to}"))?;
    let mut done = Sent::default();
    let start_ms = now_ms - back * 1000;
    for passed in (0..=back).step_by(usize::try_from(interval)?).skip(1) {
        let at = start_ms + passed * 1000;
        for (place, flow) in (0_u16..).zip(flows) {
            let records = passed / interval;
            let record = record(flow, place, start_ms, at, records);
            session.add(at, TemplateId::constant(256), Profile::Full.values(&record))?;
            let pair = (name(flow.source, record.source), name(flow.destination, record.destination));
            *done.sent.entry(pair.clone()).or_default() += flow.sent;
            *done.received.entry(pair).or_default() += flow.received;
            done.records += 1;
        }
        session.flush(at);
        while let Some(message) = session.next_message() {
            stream.write_all(&message.octets).context("sending to the collector")?;
        }
    }
    Ok(done)
}

fn name((namespace, pod, _): (&str, &str, &str), address: IpAddr) -> String {
    if pod.is_empty() { address.to_string() } else { format!("{namespace}/{pod}") }
}

fn record(flow: &KnownFlow, place: u16, start_ms: u64, at: u64, records: u64) -> FlowRecord<'_> {
    let last = u8::try_from(place % 200).unwrap_or(0);
    let outside = flow.destination.1.is_empty();
    let from_outside = flow.source.1.is_empty();
    let counters = |octets: u64| Counters {
        packets_total: octets.div_ceil(1400) * records,
        octets_total: octets * records,
        packets_delta: octets.div_ceil(1400),
        octets_delta: octets,
    };
    FlowRecord {
        source: if from_outside { [198, 51, 100, 20].into() } else { [10, 10, 1, last + 1].into() },
        destination: if outside { [203, 0, 113, 7].into() } else { [10, 10, 2, last + 1].into() },
        source_port: 40_000 + place,
        destination_port: 80,
        protocol: 6,
        icmp_type_code: 0,
        start_ms,
        end_ms: at,
        end_reason: FlowEndReason::ActiveTimeout,
        flow_id: 1000 + u64::from(place),
        forward: counters(flow.sent),
        reverse: counters(flow.received),
        source_pod_namespace: flow.source.0,
        source_pod_name: flow.source.1,
        source_node_name: flow.source.2,
        destination_pod_namespace: flow.destination.0,
        destination_pod_name: flow.destination.1,
        destination_node_name: flow.destination.2,
        cluster_ip: (!flow.service.is_empty()).then(|| [10, 96, 0, last + 1].into()),
        service_port: if flow.service.is_empty() { 0 } else { 80 },
        service_port_name: flow.service,
        tcp_state: "ESTABLISHED",
        flow_type: match (outside, flow.source.2 == flow.destination.2) {
            (true, _) => FlowType::ToExternal,
            (false, _) if from_outside => FlowType::FromExternal,
            (false, true) => FlowType::IntraNode,
            (false, false) => FlowType::InterNode,
        },
        throughput: 0,
        reverse_throughput: 0,
        post_nat_source: None,
        post_nat_source_port: 0,
        dialled: None,
    }
}
