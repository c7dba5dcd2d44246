//! From the set-up that this one takes the place of: its objects' shapes are written down in old-set-up.yaml.

use serde_json::Value;

use crate::manifests::CONFIGMAP_LINE;
use podflow_e2e_cluster::Cluster;

const APPLY: &str = "build/yamls/elk-flow-collector/elk-flow-collector.yml -n elk-flow-collector";

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn applied_over_the_old_set_up() {
    let cluster = Cluster::up(0, &[]);
    cluster.typed("create namespace elk-flow-collector");
    cluster.typed("apply -f e2e/cluster/tests/kubernetes/old-set-up.yaml -n elk-flow-collector");
    let address = service(&cluster)["spec"]["clusterIP"].clone();

    // As the documents say it: every port is there, and agents' configured address still holds.
    cluster.typed(&format!("apply --server-side --force-conflicts -f {APPLY}"));
    let after = service(&cluster);
    assert_eq!(ports(&after), ["4739/TCP", "4739/UDP", "4740/TCP"]);
    assert_eq!(after["spec"]["clusterIP"], address);
    assert_eq!(after["spec"]["selector"], serde_json::json!({"app": "flow-collector"}));
    assert_eq!(after["spec"]["sessionAffinity"], "ClientIP");

    // Kibana and Elasticsearch were taken over in place; the old Deployment stands idle until it is deleted.
    let kibana = cluster.object("deployment kibana -n elk-flow-collector");
    assert_eq!(image(&kibana), "docker.elastic.co/kibana/kibana:9.4.3");
    let elasticsearch = cluster.object("statefulset elasticsearch -n elk-flow-collector");
    assert_eq!(image(&elasticsearch), "docker.elastic.co/elasticsearch/elasticsearch:9.4.3");
    cluster.typed("delete deployment logstash -n elk-flow-collector");

    // An old ConfigMap, without collector.yml, is replaced by the folder's.
    let rendered = cluster.typed(&format!("{CONFIGMAP_LINE} --dry-run=client -o yaml"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rendered).unwrap();
    cluster.typed(&format!("apply --server-side --force-conflicts -f {}", file.path().display()));
    let configmap = cluster.object("configmap logstash-configmap -n elk-flow-collector");
    assert!(configmap["data"]["collector.yml"].is_string());

    // And from then on a plain apply changes nothing.
    let again = cluster.typed(&format!("apply --server-side --force-conflicts -f {APPLY}"));
    assert!(again.lines().all(|line| line.ends_with("serverside-applied")), "{again}");
    assert_eq!(ports(&service(&cluster)).len(), 3);
}

/// Why the documents say `--server-side`: kubectl's own merge knows a Service's ports by number alone. When this
/// test fails, kubectl has learnt better and the documents can say less.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_plain_apply_loses_a_port() {
    let cluster = Cluster::up(0, &[]);
    cluster.typed("create namespace elk-flow-collector");
    cluster.typed("apply -f e2e/cluster/tests/kubernetes/old-set-up.yaml -n elk-flow-collector");
    cluster.typed(&format!("apply -f {APPLY}"));
    assert_ne!(ports(&service(&cluster)), ["4739/TCP", "4739/UDP", "4740/TCP"]);
}

fn service(cluster: &Cluster) -> Value {
    cluster.object("service logstash -n elk-flow-collector")
}

fn ports(service: &Value) -> Vec<String> {
    let ports = service["spec"]["ports"].as_array().unwrap();
    let mut ports: Vec<String> =
        ports.iter().map(|port| format!("{}/{}", port["port"], port["protocol"].as_str().unwrap())).collect();
    ports.sort();
    ports
}

fn image(workload: &Value) -> &str {
    workload["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap()
}
