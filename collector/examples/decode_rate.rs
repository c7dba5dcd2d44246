//! How many records a second one core turns from message octets into NDJSON: the 23 elements of the v0.9 template,
//! remote names filled in from a directory of 1,000 Pods, derived fields and `_id` included.
//! `cargo run --release -p podflow-collector --example decode_rate [records]`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use podflow_cluster::{Directory, Inventory};
use podflow_collector::document::names::Members;
use podflow_collector::document::shape::{Origin, Window};
use podflow_collector::document::unknown::UnknownNames;
use podflow_collector::document::{Builder, Drafted, json};
use podflow_flow::record::observation_domain;
use podflow_flow::{Counters, FlowEndReason, FlowRecord, FlowType, Profile};
use podflow_ipfix::Limits;
use podflow_ipfix::collect::{CollectingSession, Transport};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};

fn main() -> Result<()> {
    let records: u64 = std::env::args().nth(1).map_or(Ok(2_000_000), |records| records.parse())?;
    let messages = messages()?;
    let octets: usize = messages.iter().map(Vec::len).sum();
    let mut builder = builder()?;
    let mut session = CollectingSession::new(
        Transport::Stream,
        Arc::new(Limits::default()),
        Arc::new(Registry::standard()),
    );
    let mut out = Vec::with_capacity(16 << 20);
    let (mut done, mut written, mut decoded) = (0_u64, 0_u64, 0_u64);
    let exporter = "172.18.0.2".parse()?;
    let began = Instant::now();
    while done < records {
        for message in &messages {
            session.receive(0, message, &mut |record| {
                let origin = Origin::of(&record, exporter, EXPORT_MS as i64, 0);
                if let Drafted::Ready(draft) = builder.draft(&origin, record.fields()) {
                    let (document, _) = builder.finish(draft);
                    out.extend_from_slice(br#"{"create":{"_index":"flow-2026.11.22","_id":""#);
                    out.extend_from_slice(&document.id.text());
                    out.extend_from_slice(b"\"}}\n");
                    json::write(&document, &mut out);
                    out.push(b'\n');
                    done += 1;
                }
            })?;
            decoded += message.len() as u64;
            if out.len() > 5_000_000 {
                written += out.len() as u64;
                out.clear();
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    written += out.len() as u64;
    println!("{done} records in {seconds:.2} s: {:.0} a second on one core", done as f64 / seconds);
    println!(
        "{} octets of IPFIX in {octets}-octet rounds, {} octets of NDJSON a record",
        decoded,
        written / done
    );
    Ok(())
}

fn builder() -> Result<Builder> {
    let mut text = String::from("nodes:\n");
    for node in 0..10 {
        text += &format!(
            "  - {{name: node-{node}, addresses: [172.18.0.{}], podCIDRs: [10.10.{node}.0/24]}}\n",
            node + 2
        );
    }
    text += "pods:\n";
    for pod in 0..1000 {
        let (node, host) = (pod / 100, pod % 100 + 1);
        text += &format!(
            "  - {{namespace: shop, name: cart-7d9f8b6c5-{pod}, node: node-{node}, ips: [10.10.{node}.{host}]}}\n"
        );
    }
    let directory = Arc::new(Directory::default());
    directory.replace(Inventory::parse(&text)?, 0);
    let day = Duration::from_secs(86_400);
    let members = Members::new("", Vec::new());
    Ok(Builder::new(directory, members, Window { past: day, future: day }, Arc::new(UnknownNames::default())))
}

/// Messages of 1,400 octets, 10,000 records together.
fn messages() -> Result<Vec<Vec<u8>>> {
    let id = TemplateId::try_from(256_u16).context("template id")?;
    let fields = Profile::V09
        .fields(true)
        .map(|(field, element)| FieldSpecifier::new(element, field.length))
        .collect();
    let settings = ExportSettings::udp(observation_domain("", "node-0"), 1400);
    let mut session =
        ExportingSession::new(settings, vec![Template::new(id, fields)?], &Registry::standard())?;
    for number in 0..10_000_u64 {
        let record = record(number);
        session.add(EXPORT_MS, id, Profile::V09.fields(true).map(|(field, _)| (field.value)(&record)))?;
    }
    session.flush(EXPORT_MS);
    Ok(std::iter::from_fn(|| session.next_message()).map(|message| message.octets).collect())
}

fn record(number: u64) -> FlowRecord<'static> {
    let address = |node: u64, host: u64| std::net::Ipv4Addr::from([10, 10, byte(node), byte(host)]).into();
    let counters = Counters {
        packets_total: 1000 + number,
        octets_total: 1_000_000 + number,
        packets_delta: 50,
        octets_delta: 71_234,
    };
    FlowRecord {
        source: address(0, number % 100 + 1),
        destination: address(number % 10, number / 10 % 100 + 1),
        source_port: 40_000,
        destination_port: 8080,
        protocol: 6,
        icmp_type_code: 0,
        start_ms: EXPORT_MS - 60_000,
        end_ms: EXPORT_MS - number % 1000,
        end_reason: FlowEndReason::ActiveTimeout,
        flow_id: number,
        forward: counters,
        reverse: counters,
        source_pod_namespace: "shop",
        source_pod_name: "cart-7d9f8b6c5-17",
        source_node_name: "node-0",
        destination_pod_namespace: "",
        destination_pod_name: "",
        destination_node_name: "",
        cluster_ip: None,
        service_port: 0,
        service_port_name: "",
        tcp_state: "ESTABLISHED",
        flow_type: FlowType::InterNode,
        throughput: 1000,
        reverse_throughput: 1000,
        post_nat_source: None,
        post_nat_source_port: 0,
        dialled: None,
    }
}

fn byte(number: u64) -> u8 {
    u8::try_from(number % 256).unwrap_or_default()
}

/// 2026-11-22T20:00:00Z in milliseconds.
const EXPORT_MS: u64 = 1_795_377_600_000;
