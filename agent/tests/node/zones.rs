//! One connection in two zones of a real kernel: first in the CNI's, then, translated, in the Node's own.
//!
//! ```text
//!  client ── c0 │ zone 65520 │ g0 ══ g1 │ zone 0, translates │ s0 ── server
//! ```
//! A packet loses what it was tracked as where it crosses the pair of links inside the Node, as it does in a switch.

use std::net::{Ipv4Addr, UdpSocket};

use podflow_testbed::tools::{CONNTRACK, IP, NFT, run};
use podflow_testbed::{Folder, Namespace};

use super::restarts::metric;
use crate::support::{self, Agent, Collector, NO_STATE, Record};

const RULES: &str = "table ip both {
  chain zones { type filter hook prerouting priority -300;
    iifname { \"c0\", \"g0\" } ct zone set 65520
    iifname \"g1\" udp length 341 drop
  }
  chain translate { type nat hook prerouting priority -100;
    iifname \"g1\" ip daddr 10.96.0.20 udp dport 53 dnat to 10.10.0.12:5353
  }
}
";

const INVENTORY: &str = "
nodes: [{name: node-a, addresses: [172.18.0.2], podCIDRs: [10.10.0.0/24]}]
pods:
  - {namespace: shop, name: client, node: node-a, ips: [10.10.0.11]}
  - {namespace: shop, name: server, node: node-a, ips: [10.10.0.12]}
services: [{namespace: shop, name: names, clusterIPs: [10.96.0.20], ports: [{name: dns, port: 53, protocol: UDP}]}]
";

/// The Node, the client and the server.
fn spaces() -> [Namespace; 3] {
    let [node, client, server] = ["node", "client", "server"].map(|name| Namespace::new(name).unwrap());
    for (setting, value) in
        [("ip_forward", "1"), ("conf/all/rp_filter", "0"), ("conf/default/rp_filter", "0")]
    {
        node.set(&format!("net/ipv4/{setting}"), value).unwrap();
    }
    let commands = format!(
        "link set lo up
link add c0 type veth peer name eth0 netns {}
link add s0 type veth peer name eth0 netns {}
link add g0 address 02:00:00:00:00:99 type veth peer name g1 address 02:00:00:00:00:99
link set g0 arp off up
link set g1 arp off up
address add 10.10.0.1/32 dev c0
address add 10.10.0.1/32 dev s0
link set c0 up
link set s0 up
route add 10.10.0.11 dev c0
route add 10.10.0.12 dev s0
route add default dev g0 table 101
route add default dev g1 table 102
rule add iif c0 lookup 101
rule add iif s0 lookup 102
",
        client.path().display(),
        server.path().display()
    );
    run(&node, IP, &["-batch", "-"], &commands).unwrap();
    for (space, address) in [(&client, "10.10.0.11"), (&server, "10.10.0.12")] {
        let commands = format!(
            "address add {address}/32 dev eth0\nlink set eth0 up\nroute add 10.10.0.1 dev eth0\n\
             route add default via 10.10.0.1 dev eth0\n"
        );
        run(space, IP, &["-batch", "-"], &commands).unwrap();
    }
    run(&node, NFT, &["-f", "-"], RULES).unwrap();
    [node, client, server]
}

/// Packets of the only entry of a zone, in its original direction.
fn counted(node: &Namespace, zone: &str) -> u64 {
    let text = run(node, CONNTRACK, &["-L", "-p", "udp", "-w", zone], "").unwrap();
    let words = text.split_whitespace();
    words.filter_map(|word| word.strip_prefix("packets=")).next().unwrap().parse().unwrap()
}

#[test]
fn one_connection_is_one_flow_with_the_cnis_counters_and_the_nodes_translation() {
    let [node, client, server] = spaces();
    let folder = Folder::new().unwrap();
    let inventory = folder.path().join("inventory.yml");
    std::fs::write(&inventory, INVENTORY).unwrap();
    let collector = Collector::listen(&node, "127.0.0.1:0".parse().unwrap(), "tcp", 0);
    let configuration = support::configuration(&collector, NO_STATE);
    let agent = Agent::start_in(&node, &configuration, inventory, "node-a");
    support::wait_for_counters(&node);

    let echo = server.enter(|| UdpSocket::bind("10.10.0.12:5353")).unwrap().unwrap();
    let asking = client.enter(|| UdpSocket::bind("10.10.0.11:0")).unwrap().unwrap();
    asking.connect((Ipv4Addr::new(10, 96, 0, 20), 53)).unwrap();
    let mut buffer = [0; 512];
    for _ in 0..10 {
        asking.send(&[1; 100]).unwrap();
        let (length, from) = echo.recv_from(&mut buffer).unwrap();
        echo.send_to(&buffer[..length], from).unwrap();
        assert_eq!(asking.recv(&mut buffer).unwrap(), 100);
    }
    // These get lost between the zones.
    for _ in 0..2 {
        asking.send(&[1; 333]).unwrap();
    }
    support::wait_for("the lost ones to be counted", || counted(&node, "65520") == 12);
    assert_eq!(counted(&node, "0"), 10);

    let flows = || -> Vec<Record> {
        collector.records().into_iter().filter(|record| record.contains_key("flowId")).collect()
    };
    let sum = |name: &str| flows().iter().map(|record| record[name].parse::<u64>().unwrap()).sum::<u64>();
    support::wait_for("a record of all", || sum("packetDeltaCount") >= 12);
    let twins = "podflow_agent_flows_not_exported_total{reason=\"twin\"}";
    run(&node, CONNTRACK, &["-F"], "").unwrap();
    support::wait_for("the twin's end", || metric(&node, twins) == Some(1));
    agent.stop();
    assert_eq!((sum("packetDeltaCount"), sum("reversePacketDeltaCount")), (12, 10));
    for record in &flows() {
        assert_eq!(record["flowId"], flows()[0]["flowId"], "one flow");
        for (name, value) in [
            ("sourcePodName", "client"),
            ("destinationPodName", "server"),
            ("destinationIPv4Address", "10.10.0.12"),
            ("destinationTransportPort", "5353"),
            ("destinationClusterIP", "10.96.0.20"),
            ("destinationServicePortName", "shop/names:dns"),
        ] {
            assert_eq!(record[name], value, "{name}");
        }
    }
}
