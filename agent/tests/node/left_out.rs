//! What is left out by default is counted with its reason and never exported; names that come late still come.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use podflow_cluster::Inventory;
use podflow_testbed::traffic::{conversation, requests};
use podflow_testbed::{Shape, Testbed};

use super::restarts::{metric, page};
use crate::support::{self, Agent, Collector, NO_STATE};

fn left(bed: &Testbed, reason: &str) -> u64 {
    let name = format!("podflow_agent_flows_not_exported_total{{reason=\"{reason}\"}}");
    metric(&bed.node(0).space, &name).unwrap()
}

#[test]
fn by_default_and_counted() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 2, ..Shape::default() }).unwrap();
    let (node, other) = (bed.node(0), bed.node(1));
    // Kubelet probes the first Pod, and nobody the second.
    let mut inventory = Inventory::read(&bed.inventory_path()).unwrap();
    let probed = bed.pod(0, 0);
    let pod = inventory.pods.iter_mut().find(|pod| *pod.name == *probed.name).unwrap();
    pod.probes = vec![probed.port];
    std::fs::write(bed.inventory_path(), inventory.to_yaml().unwrap()).unwrap();
    bed.nodes().iter().for_each(|node| node.shorten_timeouts().unwrap());
    // Its first connection ends early: it is the export that is not to be exported.
    let collector = Collector::crashing(&bed, "tcp", 1);
    let more = format!("{NO_STATE}  metricsAddr: \"{}:9464\"\n  exclude: [{{port: 7777}}]\n", node.ips[0]);
    let agent = Agent::start(&bed, node, &collector, &more);

    let tell = |from: (&str, u16), to: SocketAddr| {
        let send = || {
            let socket = UdpSocket::bind(from).unwrap();
            socket.send_to(b"x", to).unwrap();
        };
        node.space.enter(send).unwrap();
    };
    let here = node.ips[0].to_string();
    tell(("127.0.0.1", 0), SocketAddr::from((Ipv4Addr::LOCALHOST, 7_001)));
    tell((&here, 0), SocketAddr::from((Ipv4Addr::new(224, 0, 0, 251), 5_353)));
    tell((&here, 0), SocketAddr::from((Ipv4Addr::new(169, 254, 1, 1), 7_002)));
    tell((&here, 0), SocketAddr::new(other.ips[0], 4_789));
    tell((&here, 0), SocketAddr::new(other.ips[0], 7_777));
    requests(&node.space, probed.address(), 2, 100).unwrap();
    let asked = requests(&node.space, bed.pod(0, 1).address(), 1, 100).unwrap();
    // On the probed port, but far too much for a probe.
    let much = requests(&node.space, probed.address(), 1, 3_000_000).unwrap();

    for (reason, flows) in [
        ("loopback", 1),
        ("multicast", 1),
        ("link_local", 1),
        ("tunnel", 1),
        ("excluded", 1),
        ("probe", 2),
        ("own_export", 1),
    ] {
        support::wait_for(reason, || left(&bed, reason) >= flows);
    }
    let ports = [asked[0].source.port().to_string(), much[0].source.port().to_string()];
    let is = |port: &String| {
        collector.records().iter().any(|record| record.get("sourceTransportPort") == Some(port))
    };
    support::wait_for("what is not left out", || ports.iter().all(is));

    // To others than this Node, the metrics alone.
    let ask = |path: &str| {
        let address = SocketAddr::new(node.ips[0], 9_464);
        other.space.enter(|| super::restarts::get(address, path)).unwrap().unwrap()
    };
    assert!(ask("/metrics").contains("podflow_agent_poll_duration_seconds"));
    assert!(ask("/config").starts_with("HTTP/1.1 404") && ask("/readyz").starts_with("HTTP/1.1 404"));
    let shown = page(&node.space, "/config").unwrap();
    assert!(shown.contains("\"metricsAddr\":\"172.18.0.2:9464\""), "{shown}");
    for name in ["total", "antrea", "max"] {
        let name = format!("antrea_agent_conntrack_{name}_connection_count");
        assert!(metric(&node.space, &name).unwrap() > 0, "{name}");
    }
    agent.stop();
    for record in collector.records().iter().filter(|record| record.contains_key("flowId")) {
        let port = record["destinationTransportPort"].as_str();
        assert!(!["7001", "5353", "7002", "4789", "7777", "4739"].contains(&port), "{record:?}");
    }
}

#[test]
fn an_occupied_port_is_no_reason_to_stop() {
    let bed = Testbed::start(Shape { nodes: 1, pods_per_node: 2, ..Shape::default() }).unwrap();
    let node = bed.node(0);
    let _taken = node.space.enter(|| std::net::TcpListener::bind("127.0.0.1:10360")).unwrap().unwrap();
    let collector = Collector::start(&bed, "tcp");
    let agent = Agent::start(&bed, node, &collector, NO_STATE);
    requests(&bed.pod(0, 0).space, bed.pod(0, 1).address(), 1, 100).unwrap();
    support::wait_for("a record", || collector.records().iter().any(|record| record.contains_key("flowId")));
    agent.stop();
}

#[test]
fn a_name_that_comes_late_is_in_the_next_record() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 1, ..Shape::default() }).unwrap();
    let whole = Inventory::read(&bed.inventory_path()).unwrap();
    let mut without = whole.clone();
    without.pods.clear();
    std::fs::write(bed.inventory_path(), without.to_yaml().unwrap()).unwrap();
    let collector = Collector::start(&bed, "tcp");
    let agent = Agent::start(&bed, bed.node(0), &collector, NO_STATE);
    let client = bed.pod(0, 0);
    let names = || -> Vec<String> {
        let records = collector.records().into_iter();
        records.filter_map(|record| record.get("sourcePodName").cloned()).collect()
    };
    std::thread::scope(|scope| {
        let server = bed.pod(1, 0).address();
        scope.spawn(move || {
            conversation(&client.space, server, &[(100, 100); 60], Duration::from_millis(250)).unwrap()
        });
        support::wait_for("a record without a name", || names().iter().any(String::is_empty));
        std::fs::write(bed.inventory_path(), whole.to_yaml().unwrap()).unwrap();
        support::wait_for("a record with one", || names().contains(&client.name));
    });
    agent.stop();
    assert!(
        metric(&bed.node(0).space, "podflow_agent_names_missed_total").is_none(),
        "the pages end with the agent"
    );
}

#[test]
fn without_antrea_proxy_no_service_is_named() {
    let bed = Testbed::start(Shape { nodes: 1, pods_per_node: 2, ..Shape::default() }).unwrap();
    let collector = Collector::start(&bed, "tcp");
    let configuration =
        format!("featureGates: {{AntreaProxy: false}}\n{}", support::configuration(&collector, NO_STATE));
    let agent = Agent::start_in(&bed.node(0).space, &configuration, bed.inventory_path(), "node-a");
    support::wait_for_counters(&bed.node(0).space);
    let service = bed.service("cart");
    let sent = requests(&bed.pod(0, 0).space, service.address(), 1, 100).unwrap().remove(0);
    let port = sent.source.port().to_string();
    let own =
        || collector.records().into_iter().find(|record| record.get("sourceTransportPort") == Some(&port));
    support::wait_for("a record", || own().is_some());
    agent.stop();
    let record = own().unwrap();
    assert_eq!(record["destinationServicePortName"], "");
    assert_eq!(record["destinationPodName"], bed.pod(0, 1).name, "the endpoint is known all the same");
}
