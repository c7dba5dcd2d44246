//! An exporter for measurements: so many records of the v0.9 template, over tcp or udp, as fast as it can or at a
//! rate. `load tcp 127.0.0.1:4739 1000000 [records a second]`.
//!
//! The records are those of a cluster of 500 Pods on 10 Nodes that talk to each other; no two are the same.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use podflow_flow::record::observation_domain;
use podflow_flow::{Counters, FlowEndReason, FlowRecord, FlowType, Profile};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [transport, address, records, rest @ ..] = arguments.as_slice() else {
        bail!("usage: load tcp|udp ADDRESS RECORDS [RECORDS-A-SECOND]");
    };
    let records: u64 = records.parse().context("RECORDS")?;
    let rate: Option<f64> = rest.first().map(|rate| rate.parse()).transpose().context("RECORDS-A-SECOND")?;
    let mut send = connect(transport, address)?;
    let mut session = session(transport == "udp")?;
    let began = Instant::now();
    let mut sent = 0;
    for number in 0..records {
        let now = now_ms();
        let record = record(number, now);
        session.add(now, TEMPLATE, Profile::V09.fields(true).map(|(field, _)| (field.value)(&record)))?;
        if number + 1 == records {
            session.flush(now);
        }
        while let Some(message) = session.next_message() {
            sent += u64::from(message.records);
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64(sent as f64 / rate);
                #[expect(clippy::disallowed_methods, reason = "a program of its own, without a runtime")]
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            send(&message.octets)?;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{sent} records in {seconds:.2} s: {:.0} a second", sent as f64 / seconds);
    Ok(())
}

/// Sends one message.
type Send = Box<dyn FnMut(&[u8]) -> Result<()>>;

fn connect(transport: &str, address: &str) -> Result<Send> {
    Ok(match transport {
        "tcp" => {
            let mut stream = TcpStream::connect(address)?;
            Box::new(move |octets| Ok(stream.write_all(octets)?))
        }
        "udp" => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(address)?;
            // A listener that is gone answers with an error; what it lost is counted where it listens.
            Box::new(move |octets| Ok(socket.send(octets).map(|_| ()).or(Ok::<_, std::io::Error>(()))?))
        }
        other => bail!("{other} is neither tcp nor udp"),
    })
}

fn session(udp: bool) -> Result<ExportingSession> {
    let domain = observation_domain("", "node-0");
    let settings = if udp { ExportSettings::udp(domain, 1400) } else { ExportSettings::stream(domain) };
    let fields = Profile::V09
        .fields(true)
        .map(|(field, element)| FieldSpecifier::new(element, field.length))
        .collect();
    Ok(ExportingSession::new(settings, vec![Template::new(TEMPLATE, fields)?], &Registry::standard())?)
}

fn record(number: u64, now: u64) -> FlowRecord<'static> {
    let pod = |of: u64| {
        let number = u32::try_from(of % 500).unwrap_or_default();
        std::net::IpAddr::V4((0x0a0a_0000 + number).into())
    };
    let octets = 100 + number % 100_000;
    let counters =
        Counters { packets_total: 10, octets_total: octets, packets_delta: 5, octets_delta: octets / 2 };
    FlowRecord {
        source: pod(number),
        destination: pod(number / 500 + 7),
        source_port: u16::try_from(number % 60_000).unwrap_or_default(),
        destination_port: 8080,
        protocol: 6,
        icmp_type_code: 0,
        start_ms: now - 60_000,
        end_ms: now,
        end_reason: FlowEndReason::ActiveTimeout,
        flow_id: number,
        forward: counters,
        reverse: counters,
        source_pod_namespace: "shop",
        source_pod_name: "cart-7d9f8b6c5-x2x9z",
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

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

const TEMPLATE: TemplateId = TemplateId::constant(256);
