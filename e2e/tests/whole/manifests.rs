//! What is shipped for Kubernetes, as far as it can be checked without one: rendered from its sources, one version,
//! configurations that our programs accept. On a real API server: e2e/cluster.

use std::path::Path;
use std::process::Command;

use podflow_collector::config::{Config, Store};
use podflow_e2e::unavailable;

#[test]
fn manifests_are_those_of_their_sources() {
    let output = Command::new(root().join("deploy/render.sh")).arg("--check").output().unwrap();
    if output.status.code() == Some(2) {
        return unavailable("deploy/render.sh", &String::from_utf8_lossy(&output.stderr));
    }
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn images_have_the_version_of_the_workspace() {
    let version = concat!("newTag: ", env!("CARGO_PKG_VERSION"), "}");
    let images = read("deploy/images/kustomization.yaml");
    for part in ["agent", "collector"] {
        assert!(images.contains(&format!("name: podflow/{part}, {version}")), "{part}: {version}");
    }
}

#[test]
fn shipped_collector_configurations_are_good() {
    let small = Config::parse(&read("deploy/flow-visibility/collector.yml")).unwrap();
    let Store::Embedded(embedded) = small.store else { panic!("the small variant has no Elasticsearch") };
    assert!(embedded.path.starts_with("/var/lib/podflow"), "only the volume can be written");

    let elastic = Config::parse(&read("build/yamls/elk-flow-collector/logstash/collector.yml")).unwrap();
    let Store::Elasticsearch(server) = elastic.store else { panic!("the ELK variant has Elasticsearch") };
    assert_eq!(
        (server.hosts, server.index_prefix),
        (vec!["http://elasticsearch:9200".to_owned()], "flow-".to_owned())
    );
}

#[test]
fn a_stray_key_in_a_shipped_configuration_is_refused_by_name() {
    for file in
        ["deploy/flow-visibility/collector.yml", "build/yamls/elk-flow-collector/logstash/collector.yml"]
    {
        let text = read(file);
        for table in ["listen:", "cluster:", "store:", "http:"] {
            assert!(text.contains(table), "{file} has no {table}");
            let spoilt = text.replace(&format!("\n{table}\n"), &format!("\n{table}\n  strayKey: 1\n"));
            let faults = Config::parse(&spoilt).unwrap_err().to_string();
            assert!(faults.contains("strayKey"), "{file} {table} {faults}");
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}
