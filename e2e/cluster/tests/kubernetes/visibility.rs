//! The smallest way to see flows, on two Nodes: our images, the shipped manifest, real Pods and a real Service.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use podflow_e2e_cluster::{Cluster, root, until};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn flows_with_names_come_out_and_an_upgrade_loses_none() {
    let cluster = Cluster::up(2, &[image("agent"), image("collector")]);
    cluster.typed("apply -f build/yamls/flow-visibility.yml");
    ready(&cluster);
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

    // A rolling upgrade of the agents under traffic.
    let before = flows().len();
    cluster.typed("rollout restart daemonset/podflow-agent -n podflow");
    ready(&cluster);
    until("flows after the upgrade", || (flows().len() > before + 20).then_some(()));
    cluster.typed("delete -f e2e/cluster/tests/kubernetes/shop.yaml --timeout=120s");
    let ended = until("the end of every flow", || Some(flows()).filter(|flows| all_ended(flows)));
    for (flow, records) in by_flow(&ended) {
        let sum: u64 = records.iter().filter_map(|record| record["octetDeltaCount"].as_u64()).sum();
        let total = records.iter().filter_map(|record| record["octetTotalCount"].as_u64()).max();
        assert_eq!(Some(sum), total, "flow {flow}: {records:#?}");
    }
    account();
}

/// Waits until collector and agents are rolled out and ready, as their probes say.
fn ready(cluster: &Cluster) {
    cluster.typed("rollout status statefulset/flow-collector -n podflow --timeout=180s");
    cluster.typed("rollout status daemonset/podflow-agent -n podflow --timeout=180s");
    // A listener that answers is not yet one that the Service's rules on this Node know.
    until("the page's NodePort", || try_curl("http://10.199.0.1:30008/healthz"));
}

/// Records of flows from the client to the Service, newest first: what stands under `ipfix`.
fn flows() -> Vec<Value> {
    let query = json!({"size": 10_000, "query": {"bool": {"filter": [
        {"term": {"ipfix.sourcePodName.keyword": "client"}}, {"term": {"ipfix.destinationTransportPort": 8080}}]}}});
    let answer = ask(&["-H", "content-type: application/json", "-d", &query.to_string(), SEARCH]);
    let answer: Value = answer.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
    hits.into_iter().map(|hit| hit["_source"]["ipfix"].clone()).collect()
}

fn by_flow(records: &[Value]) -> BTreeMap<u64, Vec<&Value>> {
    let mut flows: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for record in records {
        flows.entry(record["flowId"].as_u64().unwrap()).or_default().push(record);
    }
    flows
}

/// flowEndReason 2 is an active flow's record; any other is its last.
fn all_ended(records: &[Value]) -> bool {
    by_flow(records).values().all(|records| records.iter().any(|record| record["flowEndReason"] != 2))
}

/// Every record that came in is somewhere.
fn account() {
    let status: Value = serde_json::from_str(&curl("http://10.199.0.1:30008/status")).unwrap();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let dropped: u64 = status["dropped"].as_object().unwrap().values().map(number).sum();
    let parts = ["stored", "duplicates", "rejected", "in_flight"].map(|part| number(&status[part]));
    assert_eq!(number(&status["received"]["records"]), parts.iter().sum::<u64>() + dropped, "{status:#}");
    assert_eq!((parts[2], dropped), (0, 0), "{status:#}");
}

fn curl(url: &str) -> String {
    try_curl(url).unwrap_or_else(|| panic!("{url} does not answer"))
}

fn try_curl(url: &str) -> Option<String> {
    ask(&[url])
}

fn ask(arguments: &[&str]) -> Option<String> {
    let mut curl = Command::new("curl");
    let output = curl.args(["-sSf", "--globoff", "--max-time", "10"]).args(arguments).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

const SEARCH: &str = "http://10.199.0.1:30008/es/flow-*/_search";

/// An archive that `make test-cluster` made.
fn image(part: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let archive = cache.join("podflow/images").join(format!("{part}.tar"));
    assert!(archive.exists(), "{} is missing: make test-cluster in {}", archive.display(), root().display());
    archive
}
