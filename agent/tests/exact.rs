//! The sum of a flow's deltas is what conntrack and nft counted, to the byte; each flow comes from one Node.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test"
)]

mod support;

use std::collections::HashMap;
use std::net::SocketAddr;

use podflow_testbed::counts::{self, Tuple};
use podflow_testbed::traffic::{datagrams, requests, transfer};
use podflow_testbed::{Shape, Testbed};
use support::{Agent, Collector, Record};

/// What the records of one flow say together.
#[derive(Clone, Debug, Default, PartialEq)]
struct Flow {
    deltas: [u64; 4],
    totals: [u64; 4],
    ends: usize,
    names: HashMap<String, String>,
}

const DELTAS: [&str; 4] =
    ["packetDeltaCount", "octetDeltaCount", "reversePacketDeltaCount", "reverseOctetDeltaCount"];
const TOTALS: [&str; 4] =
    ["packetTotalCount", "octetTotalCount", "reversePacketTotalCount", "reverseOctetTotalCount"];

fn number(record: &Record, name: &str) -> u64 {
    record[name].parse().unwrap()
}

/// Records by flow: protocol, source and dialled destination.
fn flows(records: &[Record]) -> HashMap<(u8, SocketAddr, SocketAddr), Flow> {
    let mut flows: HashMap<_, Flow> = HashMap::new();
    for record in records.iter().filter(|record| record.contains_key("flowId")) {
        let family = if record.contains_key("sourceIPv4Address") { "IPv4" } else { "IPv6" };
        let address = |name: &str| record[&format!("{name}{family}Address")].parse().unwrap();
        let dialled: std::net::IpAddr = record[&format!("destinationService{family}")].parse().unwrap();
        let translated = !dialled.is_unspecified();
        let destination = if translated { dialled } else { address("destination") };
        let service_port = number(record, "destinationServicePort");
        let port = if service_port != 0 { service_port } else { number(record, "destinationTransportPort") };
        let source = SocketAddr::new(address("source"), number(record, "sourceTransportPort") as u16);
        let key =
            (number(record, "protocolIdentifier") as u8, source, SocketAddr::new(destination, port as u16));
        let flow = flows.entry(key).or_default();
        for (sum, name) in flow.deltas.iter_mut().zip(DELTAS) {
            *sum += number(record, name);
        }
        flow.totals = TOTALS.map(|name| number(record, name));
        flow.ends += usize::from(record["flowEndReason"] != "2");
        flow.names.clone_from(record);
    }
    flows
}

fn exact_over(protocol: &'static str, ipv6: bool) {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 2, ipv6, ..Shape::default() }).unwrap();
    let collector = Collector::start(&bed, protocol);
    let agents: Vec<_> = bed.nodes().iter().map(|node| Agent::start(&bed, node, &collector, "")).collect();
    let family = usize::from(ipv6);
    let client = bed.pod(0, 0);
    let server = bed.pod(1, 1);
    let address = SocketAddr::new(server.ips[family], server.port);
    let service = bed.service("cart");
    let service_address = SocketAddr::new(service.cluster_ips[family], service.port);

    let mut sent = vec![transfer(&client.space, address, 5_000_000).unwrap()];
    sent.extend(requests(&client.space, service_address, 200, 1_000).unwrap());
    sent.push(datagrams(&client.space, address, 1_000, 200).unwrap());
    // Two polls later everything is known; the stop exports what is left.
    support::wait_for("the transfer's record", || {
        flows(&collector.records())
            .values()
            .any(|flow| flow.deltas[1] > 5_000_000 || flow.deltas[3] > 5_000_000)
    });
    for agent in agents {
        agent.stop();
    }

    let counted = counts::conntrack(bed.node(0)).unwrap();
    let nft = counts::nft(bed.node(0)).unwrap();
    support::wait_for("the last records", || {
        let flows = flows(&collector.records());
        sent.iter().all(|flow| flows.contains_key(&(flow.protocol.number(), flow.source, flow.dialled)))
    });
    let flows = flows(&collector.records());
    for one in &sent {
        let tuple = Tuple { protocol: one.protocol.number(), source: one.source, destination: one.dialled };
        let flow = &flows[&(tuple.protocol, one.source, one.dialled)];
        let entry = counted.iter().find(|entry| entry.original == tuple).unwrap();
        let (forward, reverse) = (entry.original_count, entry.reply_count);
        assert_eq!(flow.deltas, flow.totals, "{tuple:?}");
        let kernel = [forward.packets, forward.octets, reverse.packets, reverse.octets];
        assert_eq!(flow.totals, kernel, "{tuple:?}");
        assert_eq!([forward, reverse], [nft[&tuple], nft[&entry.reply]], "{tuple:?}");
        assert!(forward.octets > one.sent && reverse.octets > one.received, "{tuple:?}");
        assert!(flow.ends <= 1, "{tuple:?} ended {} times", flow.ends);
        assert_eq!(flow.names["sourcePodName"], client.name);
        assert_eq!(flow.names["sourceNodeName"], bed.node(0).name);
        assert_eq!(flow.names["sourcePodNamespace"], client.namespace);
        assert_ne!(flow.names["destinationPodName"], server.name, "only what is local is named");
        let service_name = if one.dialled == service_address { service.full_name() } else { String::new() };
        assert_eq!(flow.names["destinationServicePortName"], service_name);
    }
}

#[test]
fn over_tcp() {
    exact_over("tcp", false);
}

#[test]
fn over_udp_and_ipv6() {
    exact_over("udp", true);
}
