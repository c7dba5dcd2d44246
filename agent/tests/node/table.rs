//! What happens to the kernel's table while the agent looks: ports used again and again, and a table that is emptied.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use podflow_testbed::counts::{self, Ended};
use podflow_testbed::tools::{CONNTRACK, run};
use podflow_testbed::{Shape, Testbed};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::{self, Agent, Collector, NO_STATE, Record};

const CONNECTIONS: usize = 1_000;
const PORTS: [u16; 5] = [40_001, 40_002, 40_003, 40_004, 40_005];

fn number(record: &Record, name: &str) -> u64 {
    record[name].parse().unwrap()
}

#[test]
fn a_thousand_connections_from_five_ports_are_a_thousand_flows() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 1, ..Shape::default() }).unwrap();
    bed.nodes().iter().for_each(|node| node.shorten_timeouts().unwrap());
    let collector = Collector::start(&bed, "tcp");
    let agent = Agent::start(&bed, bed.node(0), &collector, NO_STATE);
    let witness = Ended::listen(bed.node(0)).unwrap();
    let (client, server) = (bed.pod(0, 0), bed.pod(1, 0).address());
    let connect = || {
        for port in PORTS.into_iter().cycle().take(CONNECTIONS) {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&SocketAddr::new(client.ips[0], port).into()).unwrap();
            // A program that another test starts holds a copy of the closed socket until it runs.
            support::wait_for("the port to be free again", || {
                match socket.connect(&SockAddr::from(server)) {
                    Err(error) if error.kind() == ErrorKind::AddrNotAvailable => false,
                    connected => connected.map(|()| true).unwrap(),
                }
            });
            // Closed by a reset, so that the port is free at once.
            socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
    };
    client.space.enter(connect).unwrap();
    let is_client = |address: SocketAddr| PORTS.contains(&address.port()) && address.ip() == client.ips[0];
    support::wait_for("the kernel to forget the last ones", || {
        !counts::conntrack(bed.node(0)).unwrap().iter().any(|entry| is_client(entry.original.source))
    });
    let mut ended = witness.finish().unwrap();
    ended.retain(|entry| is_client(entry.original.source));
    assert_eq!(ended.len(), CONNECTIONS, "the kernel's own count");
    let ends = || {
        let records = collector.records().into_iter();
        records.filter(|record| record.get("flowEndReason").is_some_and(|reason| reason != "2")).count()
    };
    support::wait_for("every connection's end", || ends() >= CONNECTIONS);
    agent.stop();
    let mut flows: HashMap<String, Vec<Record>> = HashMap::new();
    for record in collector.records() {
        if record
            .get("sourceTransportPort")
            .is_some_and(|port| PORTS.iter().any(|one| one.to_string() == *port))
        {
            flows.entry(record["flowId"].clone()).or_default().push(record);
        }
    }
    assert_eq!(flows.len(), CONNECTIONS);
    for records in flows.values() {
        assert_eq!(records.iter().filter(|record| record["flowEndReason"] != "2").count(), 1, "{records:?}");
    }
    let all = flows.values().flatten();
    let reported: u64 =
        all.map(|record| number(record, "octetDeltaCount") + number(record, "reverseOctetDeltaCount")).sum();
    let counted: u64 = ended.iter().map(|entry| entry.original_count.octets + entry.reply_count.octets).sum();
    assert_eq!(reported, counted);
}

#[test]
fn a_table_that_is_emptied_ends_flows_and_begins_others() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 1, ..Shape::default() }).unwrap();
    let collector = Collector::start(&bed, "tcp");
    let agent = Agent::start(&bed, bed.node(0), &collector, NO_STATE);
    let (client, server) = (bed.pod(0, 0), bed.pod(1, 0).address());
    let socket = client.space.enter(|| UdpSocket::bind((client.ips[0], 0))).unwrap().unwrap();
    let ask = |count: usize| {
        for _ in 0..count {
            socket.send_to(&[1; 300], server).unwrap();
            socket.recv(&mut [0; 512]).unwrap();
        }
    };
    let port = socket.local_addr().unwrap().port().to_string();
    let own = || -> Vec<Record> {
        let records = collector.records().into_iter();
        records.filter(|record| record.get("sourceTransportPort") == Some(&port)).collect()
    };
    ask(7);
    support::wait_for("its first record", || !own().is_empty());
    ask(2);
    run(&bed.node(0).space, CONNTRACK, &["-F"], "").unwrap();
    support::wait_for("the end of the flow", || own().iter().any(|record| record["flowEndReason"] == "4"));
    ask(5);
    agent.stop();
    support::wait_for("the second flow", || own().iter().any(|record| record["packetTotalCount"] == "5"));
    let mut flows: HashMap<String, u64> = HashMap::new();
    for record in own() {
        *flows.entry(record["flowId"].clone()).or_default() += number(&record, "packetDeltaCount");
    }
    let mut packets: Vec<u64> = flows.into_values().collect();
    packets.sort_unstable();
    assert_eq!(packets, [5, 9]);
    let deleted: Vec<_> = own().into_iter().filter(|record| record["flowEndReason"] != "2").collect();
    assert_eq!(
        (deleted.len(), number(&deleted[0], "packetTotalCount")),
        (1, 9),
        "deleted by someone, counted whole"
    );
}
