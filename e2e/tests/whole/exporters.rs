//! Other people's exporters watch known traffic and export to a running collector: what it stores is what was sent, and
//! record by record what tshark reads in a capture of the same datagrams.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use jiff::Timestamp;
use podflow_e2e::on_wire::OnWire;
use podflow_e2e::pdml::{self, Shown};
use podflow_e2e::wire::{Known, Watcher, Wire};
use serde_json::Value;

/// Flows of the known traffic.
const FLOWS: u16 = 60;
/// The ports they come from, beginning here.
const FIRST_PORT: u16 = 20_000;

#[test]
fn softflowd_netflow_5() {
    let (documents, _) = agreement(5, |wire, to| Watcher::softflowd(wire, to.folder(), to.port, 5, 1));
    let ipfix = &documents[0]["ipfix"];
    assert_eq!((&documents[0]["type"], &documents[0]["host"]), (&"ipfix".into(), &"127.0.0.1".into()));
    assert!(ipfix["flowset_id"].is_null() && ipfix["paddingOctets"].is_null(), "{ipfix}");
    assert!(ipfix["engineType"].is_u64() && ipfix["engineId"].is_u64(), "{ipfix}");
}

#[test]
fn softflowd_netflow_9() {
    let (documents, _) = agreement(9, |wire, to| Watcher::softflowd(wire, to.folder(), to.port, 9, 1));
    assert!(documents.iter().all(|document| document["ipfix"]["samplingInterval"] == 1));
}

#[test]
fn softflowd_ipfix() {
    let (documents, _) = agreement(10, |wire, to| Watcher::softflowd(wire, to.folder(), to.port, 10, 1));
    assert!(documents.iter().all(|document| document["ipfix"]["samplingInterval"] == 1));
}

#[test]
fn pmacctd_netflow_9() {
    agreement(9, |wire, to| Watcher::pmacctd(wire, to.folder(), to.port, 9));
}

#[test]
fn pmacctd_ipfix() {
    agreement(10, |wire, to| Watcher::pmacctd(wire, to.folder(), to.port, 10));
}

/// One packet of four is seen. Every document says so, and its counters are those that were exported.
#[test]
fn sampling_that_softflowd_announces_is_in_every_document() {
    for version in [5, 9, 10] {
        let wire = Wire::start().unwrap();
        let collector = OnWire::start(&wire).unwrap();
        let mut watcher = Watcher::softflowd(&wire, collector.folder(), collector.port, version, 4).unwrap();
        until_it_exports(&wire, &collector, &mut watcher).unwrap();
        let mut port = FIRST_PORT;
        collector
            .until("some dozens of flows were sampled", || {
                wire.send_known(port, FLOWS, false)?;
                port += FLOWS;
                wire.send_filler()?;
                watcher.nudge()?;
                Ok((collector.documents()?.len() > 48).then_some(()))
            })
            .unwrap();
        watcher.stop().unwrap();
        let (capture, documents) = exported(&wire, collector);
        compare(&documents, &capture);
        for document in &documents {
            assert_eq!(document["ipfix"]["samplingInterval"], 4, "version {version}: {document}");
        }
    }
}

/// softflowd's IPFIX numbers count a message's own records before it. That is found out: said once, and all its data
/// is read.
#[test]
fn softflowds_wrong_sequence_numbers_are_said_once_and_lose_nothing() {
    let wire = Wire::start().unwrap();
    let collector = OnWire::start(&wire).unwrap();
    let mut watcher = Watcher::softflowd(&wire, collector.folder(), collector.port, 10, 1).unwrap();
    until_it_exports(&wire, &collector, &mut watcher).unwrap();
    let mut known = Known::new();
    let (mut port, mut round) = (FIRST_PORT, 0);
    let counter = "podflow_collector_bad_input_total{kind=\"sequence_unreliable\"}";
    collector
        .until("the sequence numbers are found to be wrong", || {
            // Messages of different lengths: among equal ones the fault does not show.
            let flows = 1 + round * 7 % 20;
            known.extend(wire.send_known(port, flows, false)?);
            (port, round) = (port + flows, round + 1);
            wire.send_filler()?;
            watcher.nudge()?;
            Ok(Some(collector.counter(counter)?).filter(|count| *count > 0))
        })
        .unwrap();
    until_all_are_there(&wire, &collector, &mut watcher, &known).unwrap();
    let status = collector.status().unwrap();
    assert_eq!(status["exporters"][0]["sequence_numbers"], "unreliable", "{status}");
    watcher.stop().unwrap();
    let (capture, documents) = exported(&wire, collector);
    assert_known(&documents, &known);
    compare(&documents, &capture);
}

/// Lets an exporter watch known traffic, and compares; gives the documents of it, and all.
fn agreement(version: u16, start: impl Fn(&Wire, &OnWire) -> Result<Watcher>) -> (Vec<Value>, Vec<Value>) {
    let wire = Wire::start().unwrap();
    let collector = OnWire::start(&wire).unwrap();
    let mut watcher = start(&wire, &collector).unwrap();
    until_it_exports(&wire, &collector, &mut watcher).unwrap();
    let known = wire.send_known(FIRST_PORT, FLOWS, version > 5).unwrap();
    until_all_are_there(&wire, &collector, &mut watcher, &known).unwrap();
    watcher.stop().unwrap();
    let (capture, documents) = exported(&wire, collector);
    assert!(documents.iter().all(|document| document["ipfix"]["version"] == version));
    compare(&documents, &capture);
    (assert_known(&documents, &known), documents)
}

fn exported(wire: &Wire, collector: OnWire) -> ((Vec<u8>, u16), Vec<Value>) {
    let port = collector.port;
    let (capture, documents) = collector.finish(wire).unwrap();
    ((capture, port), documents)
}

fn until_it_exports(wire: &Wire, collector: &OnWire, watcher: &mut Watcher) -> Result<()> {
    collector.until("anything is exported", || {
        wire.send_filler()?;
        watcher.nudge()?;
        Ok((!collector.documents()?.is_empty()).then_some(()))
    })
}

fn until_all_are_there(wire: &Wire, collector: &OnWire, watcher: &mut Watcher, known: &Known) -> Result<()> {
    let packets = |flows: &Known| flows.values().map(|(packets, _)| packets).sum::<u64>();
    collector.until("every known packet is exported", || {
        wire.send_filler()?;
        watcher.nudge()?;
        let seen = by_flow(&collector.documents()?, known);
        Ok((packets(&seen) >= packets(known)).then_some(()))
    })
}

/// What documents say of the known flows.
fn by_flow(documents: &[Value], known: &Known) -> Known {
    let mut flows = Known::new();
    for ipfix in documents.iter().map(|document| &document["ipfix"]) {
        let Some(key) = key(ipfix).filter(|key| known.contains_key(key)) else { continue };
        let flow = flows.entry(key).or_default();
        flow.0 += ipfix["packetDeltaCount"].as_u64().unwrap_or_default();
        flow.1 += ipfix["octetDeltaCount"].as_u64().unwrap_or_default();
    }
    flows
}

fn key(ipfix: &Value) -> Option<(SocketAddr, SocketAddr)> {
    let end = |address: &str, port: &str| {
        let address: IpAddr = ipfix[address].as_str()?.parse().ok()?;
        Some(SocketAddr::new(address, u16::try_from(ipfix[port].as_u64()?).ok()?))
    };
    Some((end("sourceIP", "sourceTransportPort")?, end("destinationIP", "destinationTransportPort")?))
}

/// Packets and octets of each known flow are those that were sent; gives the documents that say so.
fn assert_known(documents: &[Value], known: &Known) -> Vec<Value> {
    assert_eq!(by_flow(documents, known), *known);
    let of_known = |document: &&Value| key(&document["ipfix"]).is_some_and(|key| known.contains_key(&key));
    documents.iter().filter(of_known).cloned().collect()
}

/// Every document has a record that tshark read with the same values, and no record is without a document.
///
/// The first NetFlow 9 headers of softflowd count too few records, and tshark reads no more than they say; we read all
/// that is there. Only such a document may be without a record of tshark's.
fn compare(documents: &[Value], (capture, port): &(Vec<u8>, u16)) {
    let mut counts: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    let shown = pdml::flows(capture, *port).unwrap();
    for record in &shown {
        *counts.entry(theirs(record)).or_default() += 1;
    }
    for document in documents {
        *counts.entry(ours(&document["ipfix"])).or_default() -= 1;
    }
    counts.retain(|_, count| *count != 0);
    let version = &documents[0]["ipfix"]["version"];
    let beyond_the_header = *version == 9 && shown.len() * 2 > documents.len();
    let unexplained: Vec<_> = counts.iter().filter(|(_, count)| **count > 0 || !beyond_the_header).collect();
    assert!(
        unexplained.is_empty(),
        "{} documents of version {version}; differing (positive: tshark's alone): {counts:#?}",
        documents.len()
    );
}

/// What tshark and a document both say, tshark's names first.
const COMPARED: [(&[&str], &[&str]); 11] = [
    (&["srcaddr", "srcaddrv6"], &["sourceIPv4Address", "sourceIPv6Address"]),
    (&["dstaddr", "dstaddrv6"], &["destinationIPv4Address", "destinationIPv6Address"]),
    (&["srcport"], &["sourceTransportPort"]),
    (&["dstport"], &["destinationTransportPort"]),
    (&["protocol"], &["protocolIdentifier"]),
    (&["octets"], &["octetDeltaCount"]),
    (&["packets"], &["packetDeltaCount"]),
    (&["tcpflags"], &["tcpControlBits"]),
    (&["tos"], &["ipClassOfService"]),
    (&["inputint"], &["ingressInterface"]),
    (&["flow_end_reason"], &["flowEndReason"]),
];

fn theirs(shown: &Shown) -> Vec<String> {
    let mut values: Vec<String> = COMPARED
        .iter()
        .map(|(names, _)| match shown.first(names) {
            hex if hex.starts_with("0x") => u64::from_str_radix(&hex[2..], 16).unwrap().to_string(),
            text => text.to_owned(),
        })
        .collect();
    let seconds: f64 = shown.first(&["timedelta"]).parse().unwrap();
    values.push(format!("{:.0} ms", seconds * 1000.0));
    values
}

fn ours(ipfix: &Value) -> Vec<String> {
    let mut values: Vec<String> = COMPARED
        .iter()
        .map(|(_, names)| {
            let value = names.iter().map(|name| &ipfix[name]).find(|value| !value.is_null());
            value.map_or_else(String::new, |value| {
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            })
        })
        .collect();
    let moment = |name: &str| match &ipfix[name] {
        Value::String(date) => date.parse::<Timestamp>().unwrap().as_millisecond(),
        number => number.as_i64().unwrap_or_default(),
    };
    let last = moment("flowEndMilliseconds").max(moment("flowEndSysUpTime"));
    let first = moment("flowStartMilliseconds").max(moment("flowStartSysUpTime"));
    values.push(format!("{} ms", last - first));
    values
}
