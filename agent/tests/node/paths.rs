//! Each way a connection can take through a cluster, with real traffic: exported once, by the right Node, with the names
//! that this Node can know, and with the kernel's counters.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use podflow_cluster::Inventory;
use podflow_cluster::object::{Service, ServicePort, ServiceProtocol};
use podflow_flow::record::observation_domain;
use podflow_testbed::bed::OUTSIDE_PORT;
use podflow_testbed::counts;
use podflow_testbed::tools::{IP, NFT, run};
use podflow_testbed::traffic::{Sent, datagrams, requests};
use podflow_testbed::{Namespace, Shape, Testbed, plan};

use crate::support::{self, Agent, Collector, NO_STATE, Record};

/// What a load balancer gave a Service, and what a Service that leads back to its own client has.
const LOAD_BALANCER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const HAIRPIN: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 99);

/// Ports of the first Node: `externalTrafficPolicy: Cluster` with an endpoint elsewhere and here, `Local` without one.
const REMOTE: u16 = 31_000;
const HERE: u16 = 31_001;
const NOWHERE: u16 = 31_002;

/// Where a Node's own program listens.
const NODES_OWN: u16 = 9_100;

/// What kube-proxy does on the first Node, beside the testbed's own rules. Masqueraded connections are tracked in zone 0,
/// others in Antrea's, each in both directions.
fn rules(bed: &Testbed) -> String {
    let (node, [cidr, _]) = (bed.node(0).ips[0], plan::pod_cidrs(0));
    let (local, other, remote) = (bed.pod(0, 0).ips[0], bed.pod(0, 1), bed.pod(1, 0));
    format!(
        "table ip rows {{
  chain zones {{ type filter hook prerouting priority -310;
    ip daddr {node} tcp dport {NOWHERE} drop
    iifname \"pod*\" ip saddr {other_ip} tcp sport {other_port} ip daddr {gateway} ct zone set 0
    iifname \"eth0\" tcp sport {OUTSIDE_PORT} ip daddr {node} ct zone set 65520
    iifname \"eth0\" ip daddr {LOAD_BALANCER} ct zone set 65520
  }}
  chain translate {{ type nat hook prerouting priority -110;
    ip daddr {node} tcp dport {REMOTE} dnat to {remote_ip}:{remote_port}
    ip daddr {node} tcp dport {HERE} dnat to {other_ip}:{other_port}
    ip daddr {LOAD_BALANCER} tcp dport 80 dnat to {local}:8080
    ip saddr {local} ip daddr {HAIRPIN} tcp dport 80 dnat to {local}:8080
  }}
  chain hide {{ type nat hook postrouting priority 100;
    meta l4proto tcp ct original proto-dst {{ {REMOTE}, {HERE} }} masquerade
    ip saddr {local} ip daddr {local} masquerade
    ip saddr {cidr} ip daddr 203.0.113.0/24 masquerade
  }}
}}
",
        gateway = plan::gateway(0).v4,
        other_ip = other.ips[0],
        other_port = other.port,
        remote_ip = remote.ips[0],
        remote_port = remote.port,
    )
}

/// The Services of these rules, beside the testbed's own.
fn services() -> Vec<Service> {
    let service = |name: &str, cluster_ip: Ipv4Addr, load_balancer: Option<Ipv4Addr>, node_port| Service {
        namespace: "rows".into(),
        name: name.into(),
        cluster_ips: vec![cluster_ip.into()],
        external_ips: Vec::new(),
        load_balancer_ips: load_balancer.map(IpAddr::V4).into_iter().collect(),
        ports: vec![ServicePort { name: "http".into(), port: 80, node_port, protocol: ServiceProtocol::Tcp }],
    };
    vec![
        service("remote", Ipv4Addr::new(10, 96, 0, 90), None, REMOTE),
        service("here", Ipv4Addr::new(10, 96, 0, 91), None, HERE),
        service("balanced", Ipv4Addr::new(10, 96, 0, 92), Some(LOAD_BALANCER), 0),
        service("hairpin", HAIRPIN, None, 0),
    ]
}

/// Answers so many datagrams on a Node, each with one of its size.
fn listen(space: &Namespace, address: IpAddr, count: usize) {
    let socket = space.enter(|| UdpSocket::bind((address, NODES_OWN))).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2_000];
        for _ in 0..count {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
}

struct Row {
    case: &'static str,
    sent: Sent,
    /// The Node that exports it.
    node: usize,
    /// The Pods that this Node can name, and the Service.
    names: [String; 3],
    flow_type: &'static str,
}

#[test]
fn each_is_exported_once() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 3, ..Shape::default() }).unwrap();
    run(&bed.node(0).space, NFT, &["-f", "-"], &rules(&bed)).unwrap();
    let way = format!("route add {LOAD_BALANCER}/32 via {} dev node-a onlink\n", bed.node(0).ips[0]);
    run(bed.underlay_namespace(), IP, &["-batch", "-"], &way).unwrap();
    let mut inventory = Inventory::read(&bed.inventory_path()).unwrap();
    inventory.services.extend(services());
    std::fs::write(bed.inventory_path(), inventory.to_yaml().unwrap()).unwrap();
    let collector = Collector::start(&bed, "tcp");
    let agents: Vec<_> =
        bed.nodes().iter().map(|node| Agent::start(&bed, node, &collector, NO_STATE)).collect();
    // Nobody listens behind a Local port without an endpoint: no connection, and so no flow.
    let node = |index: usize| bed.node(index).ips[0];
    let refused = bed.outside_namespace().enter(|| {
        let patience = std::time::Duration::from_millis(300);
        std::net::TcpStream::connect_timeout(&SocketAddr::new(node(0), NOWHERE), patience)
    });
    assert!(refused.unwrap().is_err());

    let rows = make(&bed);
    let flows = || {
        let mut flows: HashMap<String, Vec<Record>> = HashMap::new();
        for record in collector.records() {
            if let Some(id) = record.get("flowId").cloned() {
                flows.entry(id).or_default().push(record);
            }
        }
        flows
    };
    support::wait_for("a flow of each row", || flows().len() >= rows.len());
    agents.into_iter().for_each(Agent::stop);
    let flows = flows();
    let is_of = |record: &Record, row: &Row| {
        record["sourceIPv4Address"] == row.sent.source.ip().to_string()
            && record["sourceTransportPort"] == row.sent.source.port().to_string()
            && record["protocolIdentifier"] == row.sent.protocol.number().to_string()
    };
    let mut found = HashSet::new();
    for row in &rows {
        let case = row.case;
        let own: Vec<_> = flows.iter().filter(|(_, records)| is_of(&records[0], row)).collect();
        assert_eq!(own.len(), 1, "{case}: {own:?}");
        let (id, records) = own[0];
        found.insert(id.clone());
        let domain = observation_domain("", &bed.node(row.node).name).to_string();
        for record in records {
            assert_eq!(record["observationDomain"], domain, "{case}");
            let names = ["sourcePodName", "destinationPodName", "destinationServicePortName"];
            assert_eq!(names.map(|name| record[name].clone()), row.names, "{case}");
            assert_eq!(record["flowType"], row.flow_type, "{case}");
        }
        let entries = counts::conntrack(bed.node(row.node)).unwrap();
        let entry = entries.iter().find(|entry| {
            (entry.original.source, entry.original.destination) == (row.sent.source, row.sent.dialled)
        });
        let entry = entry.unwrap_or_else(|| panic!("{case}: conntrack has no such entry"));
        let number = |record: &Record, name: &str| record[name].parse::<u64>().unwrap();
        for (name, kernel) in [
            ("packetDeltaCount", entry.original_count.packets),
            ("octetDeltaCount", entry.original_count.octets),
            ("reversePacketDeltaCount", entry.reply_count.packets),
            ("reverseOctetDeltaCount", entry.reply_count.octets),
        ] {
            assert_eq!(
                records.iter().map(|record| number(record, name)).sum::<u64>(),
                kernel,
                "{case} {name}"
            );
        }
    }
    let stray: Vec<_> = flows.iter().filter(|(id, _)| !found.contains(*id)).collect();
    assert!(stray.is_empty(), "{stray:?}");
}

fn make(bed: &Testbed) -> Vec<Row> {
    let (here, other, there) = (bed.pod(0, 0), bed.pod(0, 1), bed.pod(1, 0));
    let outside = bed.outside_namespace();
    let node = |index: usize, port| SocketAddr::new(bed.node(index).ips[0], port);
    let ask = |from: &Namespace, to: SocketAddr| requests(from, to, 1, 500).unwrap().remove(0);
    let tell = |from: &Namespace, to: SocketAddr| datagrams(from, to, 3, 300).unwrap();
    let far = SocketAddr::new(plan::outside()[0].v4.into(), OUTSIDE_PORT);
    listen(&bed.node(0).space, bed.node(0).ips[0], 3);
    listen(&bed.node(1).space, bed.node(1).ips[0], 6);
    let (nobody, here_name, other_name) = ("", here.name.as_str(), other.name.as_str());
    let row = |case, sent, exporter, names: [&str; 3], flow_type| Row {
        case,
        sent,
        node: exporter,
        names: names.map(str::to_owned),
        flow_type,
    };
    let front = bed.service("frontend");
    let (intra, inter, out, inward) = ("1", "2", "3", "4");
    vec![
        row("Pod to local Pod", ask(&here.space, other.address()), 0, [here_name, other_name, ""], intra),
        row("Pod to remote Pod", ask(&here.space, there.address()), 0, [here_name, nobody, ""], inter),
        row(
            "NodePort, Cluster, remote endpoint",
            ask(outside, node(0, REMOTE)),
            0,
            [nobody, nobody, "rows/remote:http"],
            inward,
        ),
        row(
            "NodePort, Cluster, local endpoint",
            ask(outside, node(0, HERE)),
            0,
            [nobody, other_name, "rows/here:http"],
            inward,
        ),
        row(
            "NodePort, Local, local endpoint",
            ask(outside, node(1, front.node_port)),
            1,
            [nobody, there.name.as_str(), "shop/frontend:http"],
            inward,
        ),
        row(
            "load balancer's address",
            ask(outside, SocketAddr::new(LOAD_BALANCER.into(), 80)),
            0,
            [nobody, here_name, "rows/balanced:http"],
            inward,
        ),
        row(
            "hairpin through a Service",
            ask(&here.space, SocketAddr::new(HAIRPIN.into(), 80)),
            0,
            [here_name, here_name, "rows/hairpin:http"],
            intra,
        ),
        row("Pod masqueraded to outside", ask(&here.space, far), 0, [here_name, nobody, ""], out),
        row("outside to Pod", ask(outside, there.address()), 1, [nobody, there.name.as_str(), ""], inward),
        row("Pod to its Node", tell(&here.space, node(0, NODES_OWN)), 0, [here_name, nobody, ""], intra),
        row("Pod to another Node", tell(&here.space, node(1, NODES_OWN)), 0, [here_name, nobody, ""], inter),
        row("Node to its Pod", ask(&bed.node(0).space, here.address()), 0, [nobody, here_name, ""], intra),
        row("Node to remote Pod", ask(&bed.node(0).space, there.address()), 0, [nobody, nobody, ""], inter),
        row("Node to Node", tell(&bed.node(0).space, node(1, NODES_OWN)), 0, [nobody, nobody, ""], inter),
    ]
}

/// Where Pods' addresses lie in no known network, as in some clouds, neither Node can tell the other's Pods from the
/// outside: each exports its own side, and the collector, which knows all Pods, leaves the destination's copy out.
#[test]
fn without_known_networks_both_sides_are_exported_and_told_apart() {
    let bed = Testbed::start(Shape { nodes: 2, pods_per_node: 1, ..Shape::default() }).unwrap();
    let collector = Collector::start(&bed, "tcp");
    let whole = Inventory::read(&bed.inventory_path()).unwrap();
    let agents: Vec<_> = bed
        .nodes()
        .iter()
        .map(|node| {
            // As over the Kubernetes API: all Nodes, and the Pods of this one.
            let mut own = whole.clone();
            own.nodes.iter_mut().for_each(|node| node.pod_cidrs.clear());
            own.pods.retain(|pod| *pod.node == *node.name);
            let path = bed.folder().join(format!("{}.yml", node.name));
            std::fs::write(&path, own.to_yaml().unwrap()).unwrap();
            let agent =
                Agent::start_in(&node.space, &support::configuration(&collector, NO_STATE), path, &node.name);
            support::wait_for_counters(&node.space);
            agent
        })
        .collect();
    let sent = requests(&bed.pod(0, 0).space, bed.pod(1, 0).address(), 1, 100).unwrap().remove(0);
    let of = |index: usize| -> Vec<Record> {
        let domain = observation_domain("", &bed.node(index).name).to_string();
        let is_ours = |record: &Record| {
            record.get("sourceTransportPort") == Some(&sent.source.port().to_string())
                && record["observationDomain"] == domain
        };
        collector.records().into_iter().filter(is_ours).collect()
    };
    support::wait_for("both Nodes' records", || !of(0).is_empty() && !of(1).is_empty());
    agents.into_iter().for_each(Agent::stop);
    let names = |record: &Record| {
        ["sourcePodName", "destinationPodName", "flowType"].map(|name| record[name].clone())
    };
    // Whether the other end is outside, neither can tell.
    assert_eq!(names(&of(0)[0]), [bed.pod(0, 0).name.as_str(), "", "0"]);
    assert_eq!(names(&of(1)[0]), ["", bed.pod(1, 0).name.as_str(), "0"]);
}
