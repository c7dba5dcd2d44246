//! The testbed's own claim: on its paths conntrack and nftables count the same, to the octet, in both
//! directions, and what they count fits what the traffic programs sent.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::collections::HashMap;
use std::net::SocketAddr;

use podflow_cluster::Inventory;
use podflow_testbed::counts::{self, Count, Ended, Entry, Tuple};
use podflow_testbed::traffic::{Sent, datagrams, requests, transfer};
use podflow_testbed::{Node, Shape, Testbed, ZONE_IPV4, ZONE_IPV6, plan, tools};

/// Does what an agent does first: from here on the kernel counts.
fn count_from_now(bed: &Testbed) {
    for node in bed.nodes() {
        node.space.set("net/netfilter/nf_conntrack_acct", "1").unwrap();
    }
}

/// Finds each flow in the table of `node`, in `zone`, and compares it with nft's counters.
fn entries_of(node: &Node, flows: &[Sent], zone: u16) -> Vec<Entry> {
    let counted: HashMap<Tuple, Count> = counts::nft(node).unwrap();
    let entries = counts::conntrack(node).unwrap();
    flows
        .iter()
        .map(|flow| {
            let original =
                Tuple { protocol: flow.protocol.number(), source: flow.source, destination: flow.dialled };
            let entry = *entries.iter().find(|entry| entry.original == original).unwrap();
            assert_eq!(entry.zone, zone);
            assert_eq!(counted[&entry.original], entry.original_count, "forward counters of {entry:?}");
            assert_eq!(counted[&entry.reply], entry.reply_count, "reverse counters of {entry:?}");
            let least = match flow.protocol.number() {
                // SYN, its answer, the last acknowledgements: 40 octets each, 20 more with options at times.
                6 => 40,
                _ => 28,
            };
            assert!(entry.original_count.octets > flow.sent + least, "{entry:?} of {flow:?}");
            assert!(entry.reply_count.octets > flow.received + least, "{entry:?} of {flow:?}");
            entry
        })
        .collect()
}

#[test]
fn conntrack_and_nft_agree_on_every_node_of_the_way() {
    let bed = Testbed::start(Shape::default()).unwrap();
    count_from_now(&bed);
    let (from, to) = (bed.pod(0, 0), bed.pod(1, 1));
    let long = transfer(&from.space, to.address(), 50_000_000).unwrap();
    let short = requests(&from.space, to.address(), 200, 1000).unwrap();
    let datagrams = datagrams(&from.space, bed.pod(1, 2).address(), 1000, 512).unwrap();
    assert_eq!((long.sent, short.len(), datagrams.sent), (50_000_000, 200, 512_000));

    let flows: Vec<_> = short.into_iter().chain([long, datagrams]).collect();
    let here = entries_of(bed.node(0), &flows, ZONE_IPV4);
    let there = entries_of(bed.node(1), &flows, ZONE_IPV4);
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(
            (here.original_count, here.reply_count),
            (there.original_count, there.reply_count),
            "{here:?} on the other Node"
        );
    }
    assert_eq!(here.last().unwrap().original_count, Count { packets: 1000, octets: 540_000 });
}

#[test]
fn a_service_leads_to_each_of_its_endpoints() {
    let bed = Testbed::start(Shape { nodes: 3, ..Shape::default() }).unwrap();
    count_from_now(&bed);
    let service = bed.service("cart");
    let flows = requests(&bed.pod(0, 0).space, service.address(), 60, 1000).unwrap();
    let mut endpoints: Vec<SocketAddr> =
        entries_of(bed.node(0), &flows, ZONE_IPV4).iter().map(|entry| entry.reply.source).collect();
    endpoints.sort();
    endpoints.dedup();
    let expected: Vec<_> = service.endpoints.iter().map(|pod| pod.address()).collect();
    assert_eq!(endpoints, expected, "60 requests reached these of the three endpoints");
}

#[test]
fn the_outside_is_reached_and_reaches_a_node_port() {
    let bed = Testbed::start(Shape::default()).unwrap();
    count_from_now(&bed);
    let outside = SocketAddr::new(plan::outside()[0].v4.into(), podflow_testbed::bed::OUTSIDE_PORT);
    let flow = transfer(&bed.pod(1, 1).space, outside, 100_000).unwrap();
    entries_of(bed.node(1), &[flow], ZONE_IPV4);

    let service = bed.service("frontend");
    let dialled = SocketAddr::new(bed.node(1).ips[0], service.node_port);
    let flows = requests(bed.outside_namespace(), dialled, 3, 1000).unwrap();
    for entry in entries_of(bed.node(1), &flows, ZONE_IPV4) {
        assert_eq!(entry.reply.source, bed.pod(1, 0).address());
    }
}

#[test]
fn everything_again_over_ipv6() {
    let bed = Testbed::start(Shape { ipv6: true, small_segments: true, ..Shape::default() }).unwrap();
    count_from_now(&bed);
    let (from, service) = (bed.pod(0, 0), bed.service("cart"));
    let pod = SocketAddr::new(bed.pod(1, 1).ips[1], bed.pod(1, 1).port);
    let long = transfer(&from.space, pod, 1_000_000).unwrap();
    let mut flows =
        requests(&from.space, SocketAddr::new(service.cluster_ips[1], service.port), 5, 1000).unwrap();
    flows.push(long);
    let entries = entries_of(bed.node(0), &flows, ZONE_IPV6);
    let most_octets_per_packet = 1500;
    assert!(entries[5].original_count.packets > 1_000_000 / most_octets_per_packet, "{:?}", entries[5]);
}

#[test]
fn what_the_kernel_forgets_it_tells_with_its_last_counters() {
    let bed = Testbed::start(Shape { ipv6: true, ..Shape::default() }).unwrap();
    count_from_now(&bed);
    let node = bed.node(0);
    node.space.set("net/netfilter/nf_conntrack_events", "1").unwrap();
    let ended = Ended::listen(node).unwrap();
    let (from, service) = (bed.pod(0, 0), bed.service("cart"));
    let mut flows = requests(&from.space, service.address(), 5, 1000).unwrap();
    flows.extend(
        requests(&from.space, SocketAddr::new(service.cluster_ips[1], service.port), 5, 1000).unwrap(),
    );
    let mut before = counts::conntrack(node).unwrap();
    before.retain(|entry| flows.iter().any(|flow| flow.source == entry.original.source));
    assert_eq!(before.len(), 10);
    tools::run(&node.space, tools::CONNTRACK, &["-F"], "").unwrap();
    let mut after = ended.finish().unwrap();
    after.retain(|entry| flows.iter().any(|flow| flow.source == entry.original.source));
    before.sort_by_key(|entry| entry.original);
    after.sort_by_key(|entry| entry.original);
    assert_eq!(after, before);
}

#[test]
fn shapes_have_bounds() {
    let error = Testbed::start(Shape { nodes: 0, ..Shape::default() }).unwrap_err();
    assert_eq!(error.to_string(), "0 nodes: must be 1 to 200");
    let error = Testbed::start(Shape { pods_per_node: 201, ..Shape::default() }).unwrap_err();
    assert_eq!(error.to_string(), "201 Pods per Node: must be 1 to 200");
}

#[test]
fn nothing_is_left_and_nothing_of_the_machine_is_touched() {
    let links = || std::fs::read_to_string("/proc/net/dev").unwrap().lines().count();
    let before = links();
    let bed = Testbed::start(Shape::default()).unwrap();
    let (folder, space) = (bed.folder().to_owned(), bed.node(0).space.path());
    let inventory = Inventory::read(&bed.inventory_path()).unwrap();
    assert_eq!((inventory.nodes.len(), inventory.pods.len(), inventory.services.len()), (2, 6, 3));
    assert!(space.exists());
    assert_eq!(links(), before);
    drop(bed);
    assert!(!folder.exists());
    assert_eq!(links(), before);
}
