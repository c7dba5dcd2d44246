//! Everything that conntrack tracks is exported: ICMP with type and code, SCTP, GRE, and what has no name here.

#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, reason = "a test")]

mod support;

use std::net::{IpAddr, SocketAddr};

use podflow_testbed::{Shape, Testbed};
use socket2::{Domain, Protocol, Socket, Type};
use support::{Agent, Collector, Record};

/// Sends one packet of any protocol from inside a Pod.
fn send(bed: &Testbed, to: IpAddr, protocol: u8, packet: &[u8]) {
    let work = || {
        let domain = if to.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol)))).unwrap();
        socket.send_to(packet, &SocketAddr::new(to, 0).into()).unwrap();
    };
    bed.pod(0, 0).space.enter(work).unwrap();
}

/// An ICMP echo request with its checksum.
fn echo(id: u16) -> Vec<u8> {
    let sum = !(0x0800_u32 + u32::from(id) + 1);
    let [_, _, high, low] = sum.to_be_bytes();
    [&[8, 0, high, low][..], &id.to_be_bytes(), &[0, 1]].concat()
}

#[test]
fn of_every_protocol() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 1, ipv6: true, ..Shape::default() }).unwrap();
    // Our SCTP packet has no checksum.
    bed.node(0).space.set("net/netfilter/nf_conntrack_checksum", "0").unwrap();
    let collector = Collector::start(&bed, "tcp");
    let agent = Agent::start(&bed, bed.node(0), &collector, "  stateFile: \"\"\n");
    let server = bed.pod(1, 0);
    let (v4, v6) = (server.ips[0], server.ips[1]);
    send(&bed, v4, 1, &echo(0x1234));
    // The kernel fills in ICMPv6's checksum.
    send(&bed, v6, 58, &[128, 0, 0, 0, 0, 7, 0, 1]);
    // An INIT chunk (RFC 9260 section 3.3.2) from port 1000 to port 2000.
    let init = [
        &[0x03, 0xe8, 0x07, 0xd0, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[1, 0, 0, 20, 0, 0, 0, 9, 0, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 1],
    ]
    .concat();
    send(&bed, v4, 132, &init);
    send(&bed, v4, 47, &[0, 0, 8, 0, 1, 2, 3, 4]);
    send(&bed, v4, 253, &[1, 2, 3, 4]);

    let find = |protocol: &str, destination: IpAddr| -> Option<Record> {
        collector.records().into_iter().find(|record| {
            let address =
                record.get("destinationIPv4Address").or_else(|| record.get("destinationIPv6Address"));
            record.get("protocolIdentifier").is_some_and(|number| number == protocol)
                && address.is_some_and(|address| *address == destination.to_string())
        })
    };
    let all = [("1", v4), ("58", v6), ("132", v4), ("47", v4), ("253", v4)];
    support::wait_for("a record of each protocol", || {
        all.iter().all(|(protocol, destination)| find(protocol, *destination).is_some())
    });
    agent.stop();

    let field = |protocol, destination, name: &str| find(protocol, destination).unwrap()[name].clone();
    for (protocol, destination) in all {
        assert_eq!(field(protocol, destination, "sourcePodName"), bed.pod(0, 0).name, "protocol {protocol}");
        assert_eq!(field(protocol, destination, "packetTotalCount"), "1", "protocol {protocol}");
        let ports = if protocol == "132" { ["1000", "2000"] } else { ["0", "0"] };
        assert_eq!(field(protocol, destination, "sourceTransportPort"), ports[0], "protocol {protocol}");
        assert_eq!(field(protocol, destination, "destinationTransportPort"), ports[1], "protocol {protocol}");
        assert_eq!(field(protocol, destination, "tcpState"), "", "protocol {protocol}");
        assert_eq!(field(protocol, destination, "flowType"), "2", "protocol {protocol}");
    }
    // Type 8, and 128, code 0.
    assert_eq!(field("1", v4, "icmpTypeCodeIPv4"), (8 * 256).to_string());
    assert_eq!(field("58", v6, "icmpTypeCodeIPv6"), (128 * 256).to_string());
    assert_eq!(field("1", v4, "reversePacketTotalCount"), "1", "the answer");
}
