//! The three lines of the documents, and the agents: everything into a real Elasticsearch, by its Service's DNS name, on its volume.

use std::path::PathBuf;

use podflow_e2e_cluster::traffic::{answered, client, dial, namespace, server_on, service};
use podflow_e2e_cluster::{Cluster, images, try_image, until};
use serde_json::{Value, json};

use crate::manifests::CONFIGMAP_LINE;

const NAMESPACE: &str = "elk-flow-collector";
const APPLY: &str = "apply -f build/yamls/elk-flow-collector/elk-flow-collector.yml -n elk-flow-collector";

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn three_lines_and_the_agents_fill_elasticsearch() {
    let Some(elasticsearch) = try_image("elasticsearch") else {
        assert!(std::env::var_os("CI").is_none(), "there is no image of Elasticsearch: make test-cluster");
        println!(
            "SKIPPED the three lines: there is no image of Elasticsearch (its archive, and a JDK of version 21)"
        );
        return;
    };
    let with: Vec<PathBuf> = [images(), vec![elasticsearch]].concat();
    let cluster = Cluster::up(1, &with);
    cluster.typed("create namespace elk-flow-collector");
    cluster.typed(CONFIGMAP_LINE);
    cluster.typed(APPLY);
    let service_of = |name: &str| {
        let service = cluster.object(&format!("service {name} -n {NAMESPACE}"));
        service["spec"]["clusterIP"].as_str().unwrap().to_owned()
    };
    let elasticsearch = service_of("elasticsearch");
    // What the cluster's DNS would say.
    cluster.command(&format!("name elasticsearch.{NAMESPACE} {elasticsearch}"));
    cluster.typed("apply -f build/yamls/flow-agent.yml");
    cluster.typed("rollout status statefulset/elasticsearch -n elk-flow-collector --timeout=600s");
    cluster.typed("rollout status statefulset/flow-collector -n elk-flow-collector --timeout=180s");
    cluster.typed("rollout status daemonset/podflow-agent -n podflow --timeout=180s");

    cluster.apply(&[namespace("shop"), service("shop", "web", "10.96.77.7", "http")]);
    cluster.apply(&[server_on("node1", "shop", "web"), client("shop")]);
    cluster.typed("wait --for=condition=Ready pod --all -n shop --timeout=120s");
    dial(&cluster, "shop", "10.96.77.7");
    answered(&cluster, "shop", "web", 20);
    cluster.typed("delete pod client -n shop --timeout=60s");
    let ports = answered(&cluster, "shop", "web", 20);
    let documents = until("a document of every connection in Elasticsearch", || {
        let documents = search(&cluster, &elasticsearch);
        let told = |port: &u64| {
            documents.iter().any(|document| document["_source"]["ipfix"]["sourceTransportPort"] == *port)
        };
        ports.iter().all(told).then_some(documents)
    });
    for document in &documents {
        assert!(document["_index"].as_str().unwrap().starts_with("flow-20"), "{document}");
        let ipfix = &document["_source"]["ipfix"];
        assert_eq!(ipfix["sourceName"], "shop/client", "{document}");
        assert_eq!(ipfix["destinationName"], "shop/web", "{document}");
        assert_eq!(ipfix["destinationServicePortName"], "shop/web:http", "{document}");
    }

    // It wrote into its volume, and the volume is the folder of the manifest.
    let count = |folder: &str| {
        let listed = std::fs::read_dir(cluster.node_folder("node1").join(folder));
        listed.map_or(0, Iterator::count)
    };
    assert!(count("data/elasticsearch/indices") > 0);
    // Its Pod goes, and with the next one everything is there again.
    cluster.typed("delete pod elasticsearch-0 -n elk-flow-collector --timeout=180s");
    cluster.typed("rollout status statefulset/elasticsearch -n elk-flow-collector --timeout=600s");
    until("the documents after a restart", || {
        (search(&cluster, &elasticsearch).len() == documents.len()).then_some(())
    });

    // There is no image of Kibana to be had without a registry: its Pod is accepted and waits for one.
    let kibana = cluster.object("pods -n elk-flow-collector -l app=kibana");
    let waiting = &kibana["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
    println!("Kibana was not run, its image cannot be had here: {waiting}");
    assert!(waiting == "ErrImagePull" || waiting == "ImagePullBackOff", "{kibana:#}");
}

/// The documents of the client's connections.
fn search(cluster: &Cluster, elasticsearch: &str) -> Vec<Value> {
    let found = cluster.on("node1", &format!(
        "curl -sSf --globoff --max-time 10 http://{elasticsearch}:9200/flow-*/_search?size=1000&q=ipfix.sourcePodName:client"));
    let found: Value = found.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(json!({}));
    found["hits"]["hits"].as_array().cloned().unwrap_or_default()
}
