//! Parts are killed, replaced and taken away under traffic: nothing is lost, or what is lost is said.

use std::io::Read;
use std::process::{Command, Stdio};

use podflow_e2e_cluster::flows::{account_is_right, all_ended, deltas_are_totals, records};
use podflow_e2e_cluster::traffic::{answered, client, dial, namespace, server, service};
use podflow_e2e_cluster::{Cluster, images, kill_container, root, until};
use serde_json::{Value, json};

const SHOP: &str = "shop";

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_killed_collector_and_upgraded_agents_lose_nothing() {
    let cluster = Cluster::up(2, &images());
    cluster.see_flows();
    start_traffic(&cluster);
    let so_far = || answered(&cluster, SHOP, "web", 1).len();
    answered(&cluster, SHOP, "web", 20);

    // Killed, not stopped: kubelet starts another container on the same volume, and the agents send again what was not acknowledged.
    kill_container(&cluster, "podflow", "flow-collector-0");
    until("the collector's next container", || {
        let pod = cluster.object("pod flow-collector-0 -n podflow");
        let container = &pod["status"]["containerStatuses"][0];
        (container["restartCount"] == 1 && container["ready"] == true).then_some(())
    });
    answered(&cluster, SHOP, "web", so_far() + 10);

    // A rolling upgrade of the agents: each remembers what the one before it had reported.
    cluster.typed("rollout restart daemonset/podflow-agent -n podflow");
    cluster.flows_are_seen();
    answered(&cluster, SHOP, "web", so_far() + 10);

    cluster.typed("delete pod client -n shop --timeout=60s");
    let ports = answered(&cluster, SHOP, "web", 1);
    let flows = until("a record of every connection, and its end", || {
        let flows = flows();
        let told = |port: &u64| flows.iter().any(|record| record["sourceTransportPort"] == *port);
        (all_ended(&flows) && ports.iter().all(told)).then_some(flows)
    });
    deltas_are_totals(&flows);
    account_is_right();
    assert!(flows.iter().all(|record| record["destinationServicePortName"] == "shop/web:http"));
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn an_agent_that_ends_without_a_collector_says_what_is_lost() {
    let cluster = Cluster::up(2, &images());
    cluster.see_flows();
    start_traffic(&cluster);
    answered(&cluster, SHOP, "web", 5);
    cluster.typed("scale statefulset/flow-collector -n podflow --replicas=0");
    cluster.typed("wait --for=delete pod/flow-collector-0 -n podflow --timeout=120s");
    let now = answered(&cluster, SHOP, "web", 1).len();
    answered(&cluster, SHOP, "web", now + 20);

    let agents = cluster.object("pods -n podflow -l app=podflow-agent --field-selector=spec.nodeName=node1");
    let agent = agents["items"][0]["metadata"]["name"].as_str().unwrap();
    let mut log = Command::new(root().join("e2e/cluster/cluster"))
        .args(["kubectl", "logs", "-f", "-n", "podflow", agent])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    cluster.typed(&format!("delete pod {agent} -n podflow --timeout=120s"));
    let mut text = String::new();
    log.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    log.wait().unwrap();
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    let said = last.iter().find_map(|line| line.split("ended flows were not exported flows=").nth(1));
    let flows: u64 = said.unwrap_or_else(|| panic!("{text}")).trim().parse().unwrap();
    assert!(flows >= 15, "{flows} flows are said to be lost, of 20 and more that ended unseen");
}

fn start_traffic(cluster: &Cluster) {
    cluster.apply(&[namespace(SHOP)]);
    cluster.apply(&[service(SHOP, "web", "10.96.77.7", "http"), server(SHOP, "web"), client(SHOP)]);
    cluster.typed("wait --for=condition=Ready pod --all -n shop --timeout=120s");
    dial(cluster, SHOP, "10.96.77.7");
}

/// Records of the client's connections to the server.
fn flows() -> Vec<Value> {
    records(&[("sourcePodName", json!("client")), ("destinationTransportPort", json!(8080))])
}
