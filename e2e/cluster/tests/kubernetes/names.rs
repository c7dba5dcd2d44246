//! Names that are right at each time: objects come, change and go while traffic flows, addresses are used again at once,
//! and the API server goes away and comes back. Which Pod answered a connection is known from that Pod's own log.

use std::collections::{BTreeMap, BTreeSet};

use podflow_e2e_cluster::flows::{PAGE, account_is_right, all_ended, deltas_are_totals, records, try_curl};
use podflow_e2e_cluster::traffic::{address_of, answered, client, dial, namespace, server, service};
use podflow_e2e_cluster::{Cluster, images, until};
use serde_json::{Value, json};

const SHOP: &str = "shop";

/// Connections that a Pod answered, by the client's port.
type Answered = BTreeMap<&'static str, BTreeSet<u64>>;

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn names_are_right_while_objects_come_and_go() {
    let cluster = Cluster::up(2, &images());
    cluster.see_flows();
    cluster.apply(&[namespace(SHOP)]);
    cluster.apply(&[service(SHOP, "web", "None", "http"), server(SHOP, "first"), client(SHOP)]);
    cluster.typed("wait --for=condition=Ready pod --all -n shop --timeout=120s");
    let mut by = Answered::new();

    // A Pod takes the place of another, under the same address.
    dial(&cluster, SHOP, &address_of(&cluster, SHOP, "first"));
    by.insert("first", answered(&cluster, SHOP, "first", 5));
    let address = address_of(&cluster, SHOP, "first");
    cluster.typed("delete pod first -n shop --timeout=60s");
    start_under(&cluster, "second", &address);
    by.insert("second", answered(&cluster, SHOP, "second", 5));

    // A Service comes before it, its port gets another name, and another Service gets its address.
    cluster.typed("delete service web -n shop");
    cluster.apply(&[service(SHOP, "web", "10.96.77.7", "http")]);
    dial(&cluster, SHOP, "10.96.77.7");
    named("shop/web:http");
    cluster.apply(&[service(SHOP, "web", "10.96.77.7", "api")]);
    named("shop/web:api");
    cluster.typed("delete service web -n shop");
    cluster.apply(&[service(SHOP, "store", "10.96.77.7", "http")]);
    named("shop/store:http");

    // The API server goes away. What is known goes on being named, and nobody becomes unready.
    let before = answered(&cluster, SHOP, "second", 1).len();
    cluster.command("apiserver stop");
    let known = flows().len();
    until("flows without an API server", || (flows().len() >= known + 20).then_some(()));
    assert!(
        ["node1", "node2"].iter().all(|node| is_ready(&cluster, node)),
        "an agent is unready without the API server"
    );
    assert!(try_curl(&format!("{}/readyz", PAGE)).is_some());
    cluster.command("apiserver start");
    by.insert("second", answered(&cluster, SHOP, "second", before + 10));

    // It is back, and so are the watches once a Pod is named that comes now, under an address of its own.
    cluster.apply(&[server(SHOP, "third")]);
    cluster.typed("wait --for=condition=Ready pod/third -n shop --timeout=120s");
    cluster.typed("delete pod second -n shop --timeout=60s");
    until("the name of a Pod that came after the API server", || {
        flows().iter().any(|record| record["destinationPodName"] == "third").then_some(())
    });
    // Nobody could name it before: only what it answers from now on counts.
    let early = answered(&cluster, SHOP, "third", 1);
    let third = answered(&cluster, SHOP, "third", early.len() + 5);
    by.insert("third", third.difference(&early).copied().collect());

    // Another again takes the address of the one before.
    let address = address_of(&cluster, SHOP, "third");
    cluster.typed("delete pod third -n shop --timeout=60s");
    start_under(&cluster, "fourth", &address);
    by.insert("fourth", answered(&cluster, SHOP, "fourth", 5));

    // The client ends: then every flow has its last record, and the books can be closed.
    cluster.typed("delete pod client -n shop --timeout=60s");
    let flows = until("the end of every flow", || Some(flows()).filter(|flows| all_ended(flows)));
    right_names(&flows, &by);
    deltas_are_totals(&flows);
    account_is_right();
    let restarts =
        cluster.typed("get pods -n podflow -o jsonpath={.items[*].status.containerStatuses[*].restartCount}");
    assert_eq!(restarts.split_whitespace().collect::<BTreeSet<_>>(), BTreeSet::from(["0"]));
}

/// Starts a server under an address that was another's: tried again where the network plugin has not given it back yet.
fn start_under(cluster: &Cluster, name: &str, address: &str) {
    until("a Pod under the address of another", || {
        cluster.command(&format!("next-address node2 {address}"));
        cluster.apply(&[server(SHOP, name)]);
        cluster.typed(&format!("wait --for=condition=Ready pod/{name} -n shop --timeout=120s"));
        if address_of(cluster, SHOP, name) == address {
            return Some(());
        }
        cluster.typed(&format!("delete pod {name} -n shop --timeout=60s"));
        None
    });
}

/// Every connection that a Pod answered is told once, with that Pod's name.
fn right_names(flows: &[Value], answered: &Answered) {
    for (pod, ports) in answered {
        for port in ports {
            let told: Vec<&Value> =
                flows.iter().filter(|record| record["sourceTransportPort"] == *port).collect();
            assert!(!told.is_empty(), "{pod} answered port {port}, and there is no flow of it");
            // A port is used again after a minute at the earliest, so another Pod may have answered then.
            let names: BTreeSet<&str> =
                told.iter().filter_map(|record| record["destinationPodName"].as_str()).collect();
            assert!(names.contains(pod), "{pod} answered port {port}: {told:#?}");
            let others =
                answered.iter().filter(|(other, _)| *other != pod).any(|(_, ports)| ports.contains(port));
            assert!(others || names.len() == 1, "{pod} answered port {port}: {told:#?}");
        }
    }
    assert!(
        flows.iter().all(|record| record["sourcePodName"] == "client" && record["sourceNodeName"] == "node1")
    );
}

/// Waits until so many new connections have the Service's name, none of those that began afterwards having another.
fn named(name: &str) {
    // From here on connections begin after the change; the watch has it a moment later.
    let since = last_start();
    until(name, || {
        let named = |record: &&Value| record["destinationServicePortName"] == name;
        let flows = flows();
        (flows.iter().filter(named).filter(|record| start(record) > since).count() >= 5).then_some(())
    });
    let flows = flows();
    let first = flows.iter().filter(|record| record["destinationServicePortName"] == name).map(start).min();
    let later = flows.iter().filter(|record| Some(start(record)) > first);
    let others: Vec<&Value> = later.filter(|record| record["destinationServicePortName"] != name).collect();
    assert!(others.is_empty(), "after {name}: {others:#?}");
}

fn last_start() -> String {
    flows().iter().map(start).max().unwrap_or_default()
}

fn start(record: &Value) -> String {
    record["flowStartMilliseconds"].as_str().unwrap().to_owned()
}

/// Records of the client's connections to the servers.
fn flows() -> Vec<Value> {
    records(&[("sourcePodName", json!("client")), ("destinationTransportPort", json!(8080))])
}

fn is_ready(cluster: &Cluster, node: &str) -> bool {
    cluster.on(node, "curl -sSf -o /dev/null http://127.0.0.1:10360/readyz").is_some()
}
