//! The smallest way to see flows, on two Nodes: our images, the shipped manifest, real Pods and a real Service.

use podflow_e2e_cluster::flows::{account_is_right, all_ended, curl, deltas_are_totals, records, status};
use podflow_e2e_cluster::{Cluster, images, until};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn flows_with_names_come_out_and_are_on_the_page() {
    let cluster = Cluster::up(2, &images());
    // Nodes with ranges, as most clusters have them; the other tests do without.
    for node in 1..=2 {
        let range = format!("10.244.{node}.0/24");
        let ranges = json!({"spec": {"podCIDR": range, "podCIDRs": [range]}}).to_string();
        cluster.kubectl(&["patch", "node", &format!("node{node}"), "-p", &ranges]);
    }
    cluster.see_flows();
    cluster.typed("apply -f e2e/cluster/tests/kubernetes/shop.yaml");
    cluster.typed("rollout status deployment/web -n shop --timeout=120s");
    cluster.typed("wait --for=condition=Ready pod/client -n shop --timeout=120s");

    let document = until("a flow from the client to the Service", || flows().into_iter().next());
    let pod = cluster.object("pods -n shop -l app=web")["items"][0]["metadata"]["name"].clone();
    let address = cluster.object("service web -n shop")["spec"]["clusterIP"].clone();
    for (field, value) in [
        ("sourcePodNamespace", json!("shop")),
        ("sourceNodeName", json!("node1")),
        ("destinationPodName", pod),
        ("destinationPodNamespace", json!("shop")),
        ("destinationNodeName", json!("node2")),
        ("destinationServicePortName", json!("shop/web:http")),
        ("destinationClusterIP", address),
        ("destinationTransportPort", json!(8080)),
        ("flowKind", json!("Pod-to-Service")),
        ("flowType", json!(2)),
        ("flowTypeStr", json!("Inter-Node")),
        ("exporterNode", json!("node1")),
    ] {
        assert_eq!(document[field], value, "{field} of {document}");
    }

    // The page is on every Node.
    for node in ["10.199.0.1", "10.199.0.2"] {
        let page = curl(&format!("http://{node}:30008/"));
        assert!(page.to_lowercase().contains("<!doctype html"), "{page}");
    }

    cluster.typed("delete -f e2e/cluster/tests/kubernetes/shop.yaml --timeout=120s");
    let ended = until("the end of every flow", || Some(flows()).filter(|flows| all_ended(flows)));
    deltas_are_totals(&ended);
    account_is_right();
    assert_eq!(status()["dropped"]["other_side"], 0);
}

/// Records of flows from the client to the Service.
fn flows() -> Vec<Value> {
    records(&[("sourcePodName", json!("client")), ("destinationTransportPort", json!(8080))])
}
