//! Connections to a collector that go wrong: a peer that falls silent, one that moves, and a path that gets narrower.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use podflow_testbed::tools::{IP, run};
use podflow_testbed::traffic::requests;
use podflow_testbed::{Namespace, Shape, Testbed};

use super::restarts::metric;
use crate::support::{self, Agent, Collector, NO_STATE};

fn bed() -> Testbed {
    Testbed::start(Shape { nodes: 2, pods_per_node: 2, ..Shape::default() }).unwrap()
}

/// Makes connections of Pods of the first Node; gives back their source ports.
fn traffic(bed: &Testbed, count: usize) -> Vec<String> {
    let sent = requests(&bed.pod(0, 0).space, bed.pod(1, 0).address(), count, 500).unwrap();
    sent.iter().map(|one| one.source.port().to_string()).collect()
}

fn has_all(collector: &Collector, ports: &[String]) -> bool {
    let records = collector.records();
    ports.iter().all(|port| records.iter().any(|record| record.get("sourceTransportPort") == Some(port)))
}

#[test]
fn a_peer_that_falls_silent_is_left_and_nothing_is_lost() {
    let bed = bed();
    let collector = Collector::start(&bed, "tcp");
    let agent = Agent::start(&bed, bed.node(0), &collector, NO_STATE);
    let before = traffic(&bed, 5);
    support::wait_for("the first records", || has_all(&collector, &before));
    // Nothing says goodbye: the other side only does not answer any more.
    let link =
        |state: &str| run(bed.underlay_namespace(), IP, &["link", "set", "collector", state], "").unwrap();
    link("down");
    let meanwhile = traffic(&bed, 5);
    let space = &bed.node(0).space;
    support::wait_for("the agent gives up", || {
        metric(space, "podflow_agent_reconnections_total").unwrap() > 0
    });
    link("up");
    // The routes of the link went with it.
    let address = podflow_testbed::plan::collector().v4;
    run(
        bed.underlay_namespace(),
        IP,
        &["route", "replace", &format!("{address}/32"), "dev", "collector"],
        "",
    )
    .unwrap();
    support::wait_for("everything on another connection", || has_all(&collector, &meanwhile));
    agent.stop();
}

#[test]
fn a_path_that_gets_narrower_costs_no_record() {
    let bed = bed();
    let collector = Collector::start(&bed, "udp");
    let agent = Agent::start(&bed, bed.node(0), &collector, NO_STATE);
    let before = traffic(&bed, 20);
    support::wait_for("the first records", || has_all(&collector, &before));
    // From here on, a datagram of the size that was agreed on is refused (EMSGSIZE).
    run(&bed.node(0).space, IP, &["link", "set", "eth0", "mtu", "700"], "").unwrap();
    let after = traffic(&bed, 20);
    support::wait_for("records in smaller datagrams", || has_all(&collector, &after));
    agent.stop();
}

#[test]
fn a_name_is_looked_up_again_at_every_reconnect() {
    let bed = bed();
    let hosts = bed.folder().join("hosts");
    let space = bed.collector_namespace();
    run(space, IP, &["address", "add", "172.18.0.253/32", "dev", "eth0"], "").unwrap();
    let route = ["route", "add", "172.18.0.253/32", "dev", "collector"];
    run(bed.underlay_namespace(), IP, &route, "").unwrap();
    let first = Collector::listen(space, "172.18.0.254:4739".parse().unwrap(), "tcp", 1);
    let second = Collector::listen(space, "172.18.0.253:4739".parse().unwrap(), "tcp", 0);
    std::fs::write(&hosts, "172.18.0.254 flows.test\n").unwrap();
    let mut agent = start_with_hosts(&bed, &hosts);
    // The first collector crashes on its first record; by then its name means the second one.
    support::wait_for("the agent is connected", || {
        super::restarts::page(&bed.node(0).space, "/metrics")
            .is_some_and(|text| text.contains("podflow_agent_messages_sent_total 1"))
    });
    std::fs::write(&hosts, "172.18.0.253 flows.test\n").unwrap();
    let ports = traffic(&bed, 5);
    support::wait_for("all records at the second address", || has_all(&second, &ports));
    assert!(first.records().is_empty());
    agent.kill().unwrap();
    agent.wait().unwrap();
}

/// The real program with a file of host names of its own.
fn start_with_hosts(bed: &Testbed, hosts: &std::path::Path) -> std::process::Child {
    let node = bed.node(0);
    let file = bed.folder().join("antrea-agent.conf");
    let configuration = format!(
        "flowCollectorAddr: \"flows.test:4739:tcp\"\nflowPollInterval: 1s\nflowExportFrequency: 4\npodflow:\n{NO_STATE}"
    );
    std::fs::write(&file, configuration).unwrap();
    let start = || {
        Command::new("unshare")
            .args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
            .arg(hosts)
            .args([env!("CARGO_BIN_EXE_podflow-agent"), "run", "--node-name", &node.name, "--config"])
            .arg(&file)
            .arg("--inventory")
            .arg(bed.inventory_path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    node.space.enter(start).unwrap().unwrap()
}

#[test]
fn a_collector_that_is_named_by_its_service_is_found_in_the_cluster() {
    let bed = bed();
    let space: &Namespace = bed.collector_namespace();
    let collector = Collector::listen(space, SocketAddr::from(([172, 18, 0, 254], 4739)), "tcp", 0);
    let mut inventory = podflow_cluster::Inventory::read(&bed.inventory_path()).unwrap();
    let mut service = inventory.services[0].clone();
    (service.namespace, service.name) = ("flows".into(), "logstash".into());
    (service.cluster_ips, service.ports) = (vec![collector.address.ip()], Vec::new());
    inventory.services.push(service);
    std::fs::write(bed.inventory_path(), inventory.to_yaml().unwrap()).unwrap();
    let configuration =
        support::configuration(&collector, NO_STATE).replace("172.18.0.254", "flows/logstash");
    let agent = Agent::start_in(&bed.node(0).space, &configuration, bed.inventory_path(), "node-a");
    support::wait_for_counters(&bed.node(0).space);
    let ports = traffic(&bed, 3);
    support::wait_for("records", || has_all(&collector, &ports));
    agent.stop();
}
