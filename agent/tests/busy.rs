//! Many short connections: each is reported as ended exactly once, to the byte, though most live and die between two
//! polls.

#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::HashMap;
use std::net::SocketAddr;

use podflow_testbed::counts;
use podflow_testbed::traffic::{Sent, requests};
use podflow_testbed::{Shape, Testbed};
use support::{Agent, Collector, Record};

/// Connections of the test; `PODFLOW_BUSY_CONNECTIONS=60000` makes it a minute of a thousand a second.
const CONNECTIONS: usize = 4_000;

fn number(record: &Record, name: &str) -> u64 {
    record[name].parse().unwrap()
}

#[test]
fn every_short_connection_ends_once_and_adds_up() {
    let connections: usize = std::env::var("PODFLOW_BUSY_CONNECTIONS")
        .map_or(CONNECTIONS, |text| text.parse().expect("PODFLOW_BUSY_CONNECTIONS is a number"));
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 4, ..Shape::default() }).unwrap();
    for node in bed.nodes() {
        // So that entries die between polls, and the test ends in seconds.
        for (name, seconds) in [("time_wait", "1"), ("close", "1"), ("fin_wait", "5"), ("last_ack", "5")] {
            let setting = format!("net/netfilter/nf_conntrack_tcp_timeout_{name}");
            node.space.set(&setting, seconds).unwrap();
        }
    }
    let collector = Collector::start(&bed, "tcp");
    let agents: Vec<_> =
        bed.nodes().iter().map(|node| Agent::start(&bed, node, &collector, "  stateFile: \"\"\n")).collect();
    let sent: Vec<Sent> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|pod| {
                let (client, server) = (bed.pod(0, pod), bed.pod(1, pod));
                let ask = move || requests(&client.space, server.address(), connections / 4, 500).unwrap();
                scope.spawn(ask)
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    support::wait_for("the kernel to forget the connections", || {
        counts::conntrack(bed.node(0))
            .unwrap()
            .iter()
            .all(|entry| entry.original.protocol != 6 || entry.original.source.ip() == bed.node(0).ips[0])
    });
    for agent in agents {
        agent.stop();
    }

    // By source: a client's port is used once while its connection is remembered.
    let mut by_source: HashMap<SocketAddr, Vec<Record>> = HashMap::new();
    let mut overlaps = 0;
    support::wait_for("an end of every connection", || {
        let ended = |record: &Record| record.contains_key("flowId") && record["flowEndReason"] != "2";
        collector.records().iter().filter(|record| ended(record)).count() >= sent.len()
    });
    for record in collector.records().into_iter().filter(|record| record.contains_key("flowId")) {
        let address = record["sourceIPv4Address"].parse().unwrap();
        let port = u16::try_from(number(&record, "sourceTransportPort")).unwrap();
        by_source.entry(SocketAddr::new(address, port)).or_default().push(record);
    }
    let mut flows = 0;
    for one in &sent {
        let records = &by_source[&one.source];
        let mut ids: Vec<&str> = records.iter().map(|record| record["flowId"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        overlaps += usize::from(ids.len() > 1);
        for id in ids {
            flows += 1;
            let of_flow: Vec<&Record> = records.iter().filter(|record| record["flowId"] == *id).collect();
            let ends = of_flow.iter().filter(|record| record["flowEndReason"] != "2").count();
            assert_eq!(ends, 1, "{one:?}");
            for (delta, total) in [
                ("packetDeltaCount", "packetTotalCount"),
                ("octetDeltaCount", "octetTotalCount"),
                ("reversePacketDeltaCount", "reversePacketTotalCount"),
                ("reverseOctetDeltaCount", "reverseOctetTotalCount"),
            ] {
                let sum: u64 = of_flow.iter().map(|record| number(record, delta)).sum();
                let total = of_flow.iter().map(|record| number(record, total)).max().unwrap();
                assert_eq!(sum, total, "{delta} of {one:?}");
            }
            let octets = of_flow.iter().map(|record| number(record, "octetTotalCount")).max().unwrap();
            assert!(octets > one.sent, "{one:?}");
        }
    }
    // A port that was used again is two flows of one source, seen from both of its connections.
    assert!(flows >= sent.len(), "{flows} flows of {} connections, {overlaps} ports used again", sent.len());
}
