//! Very many records, no two the same, whose count and sums are known.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use podflow_flow::record::observation_domain;
use podflow_flow::{Counters, FlowEndReason, FlowRecord, FlowType, Profile};
use podflow_ipfix::ElementKey;
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;

/// What was sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// Flow records.
    pub records: u64,
    /// Sum of their octetDeltaCount.
    pub octets: u64,
    /// Sum of their reverseOctetDeltaCount.
    pub octets_back: u64,
    /// Sum of their packetDeltaCount.
    pub packets: u64,
}

/// The cluster that the records are of: 200 Pods on two Nodes.
#[must_use]
pub fn inventory() -> String {
    let mut text = String::from(
        "nodes:\n  - {name: node-0, addresses: [172.18.0.2], podCIDRs: [10.10.0.0/24]}\n  \
         - {name: node-1, addresses: [172.18.0.3], podCIDRs: [10.10.1.0/24]}\npods:\n",
    );
    for pod in 0..200 {
        let (node, host) = (pod / 100, pod % 100 + 1);
        text += &format!(
            "  - {{namespace: shop, name: pod-{pod}, node: node-{node}, ips: [10.10.{node}.{host}]}}\n"
        );
    }
    text
}

/// Sends records from number `first` on over one connection, as the agent of node-0.
///
/// # Errors
/// When the collector does not take them.
pub fn send(to: SocketAddr, first: u64, records: u64) -> Result<Sent> {
    let templates = vec![Profile::Full.template(true)?, Profile::Full.template(false)?];
    let settings = ExportSettings::stream(observation_domain("", "node-0"));
    let mut session = ExportingSession::new(settings, templates, &Registry::standard())?;
    let mut stream = TcpStream::connect(to).with_context(|| format!("connecting to the collector {to}"))?;
    let now = now_ms();
    let mut sent = Sent::default();
    for number in first..first + records {
        let record = record(number, now);
        session.add(now, TemplateId::constant(256), Profile::Full.values(&record))?;
        sent.records += 1;
        sent.octets += record.forward.octets_delta;
        sent.octets_back += record.reverse.octets_delta;
        sent.packets += record.forward.packets_delta;
        pass_on(&mut session, &mut stream)?;
    }
    session.flush(now);
    pass_on(&mut session, &mut stream)?;
    Ok(sent)
}

/// Sends records with an element that nobody has described, whose octets are no number.
///
/// # Errors
/// When the collector does not take them.
pub fn send_unknown(to: SocketAddr, element: ElementKey, records: u64) -> Result<()> {
    let id = TemplateId::constant(300);
    let fields = [(ElementKey::iana(8), 4), (ElementKey::iana(1), 8), (element, 1)];
    let fields = fields.map(|(key, length)| FieldSpecifier::new(key, length)).to_vec();
    let template = Template::new(id, fields)?;
    let mut session =
        ExportingSession::new(ExportSettings::stream(7), vec![template], &Registry::standard())?;
    let mut stream = TcpStream::connect(to).with_context(|| format!("connecting to the collector {to}"))?;
    let now = now_ms();
    for number in 0..records {
        let address = Value::Ipv4([10, 10, 0, 1].into());
        session.add(now, id, [address, Value::Unsigned(number), Value::Octets(&[0xff])])?;
    }
    session.flush(now);
    pass_on(&mut session, &mut stream)
}

fn pass_on(session: &mut ExportingSession, stream: &mut TcpStream) -> Result<()> {
    while let Some(message) = session.next_message() {
        stream.write_all(&message.octets).context("sending to the collector")?;
    }
    Ok(())
}

fn record(number: u64, now_ms: u64) -> FlowRecord<'static> {
    let counters = |octets: u64| Counters {
        packets_total: octets.div_ceil(1400) * 2,
        octets_total: octets * 2,
        packets_delta: octets.div_ceil(1400),
        octets_delta: octets,
    };
    let pod =
        |node: u8, of: u64| IpAddr::from([10, 10, node, u8::try_from(of % 100 + 1).unwrap_or_default()]);
    FlowRecord {
        source_port: u16::try_from(number % 28_000 + 32_000).unwrap_or_default(),
        destination_port: 8080,
        start_ms: now_ms - 60_000,
        end_ms: now_ms,
        end_reason: FlowEndReason::ActiveTimeout,
        flow_id: number + 1,
        forward: counters(number % 100_000 + 60),
        reverse: counters(number % 7_000),
        source_pod_namespace: "shop",
        source_pod_name: "pod-17",
        source_node_name: "node-0",
        flow_type: FlowType::InterNode,
        ..FlowRecord::between(pod(0, number), pod(1, number / 100))
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
