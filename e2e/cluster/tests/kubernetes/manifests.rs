//! Every manifest as users apply it, to a real API server: strictly validated, twice, and deleted.

use podflow_e2e_cluster::Cluster;

/// Namespace to create first (none: the manifest brings its own), and the manifest.
const MANIFESTS: [(Option<&str>, &str); 4] = [
    (None, "build/yamls/flow-agent.yml"),
    (None, "build/yamls/flow-visibility.yml"),
    (Some("elk-flow-collector"), "build/yamls/elk-flow-collector/elk-flow-collector.yml"),
    (Some("elk-flow-collector"), "build/yamls/elk-flow-collector/elk-flow-collector-logstash.yml"),
];

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn applied_strictly_then_without_a_change_then_deleted() {
    let cluster = Cluster::up(0, &[]);
    for (namespace, manifest) in MANIFESTS {
        let place = namespace.map(|name| format!("-n {name}")).unwrap_or_default();
        if let Some(name) = namespace {
            cluster.typed(&format!("create namespace {name}"));
            cluster.typed(CONFIGMAP_LINE);
        }
        // Tried without effect first: the server validates every field.
        cluster.typed(&format!("apply --validate=strict --dry-run=client -f {manifest} {place}"));
        let first = cluster.typed(&format!("apply --validate=strict -f {manifest} {place}"));
        assert!(first.lines().count() > 5 && first.lines().all(|line| line.ends_with(" created")), "{first}");
        let second = cluster.typed(&format!("apply --validate=strict -f {manifest} {place}"));
        assert_eq!(second.lines().count(), first.lines().count());
        assert!(second.lines().all(|line| line.ends_with(" unchanged")), "{manifest}:\n{second}");

        cluster.typed(&format!("delete --timeout=60s -f {manifest} {place}"));
        for kind in ["clusterroles", "clusterrolebindings", "persistentvolumes", "storageclasses"] {
            let left = cluster.typed(&format!("get {kind} -o name"));
            let ours = |line: &&str| line.contains("flow") || line.contains("elastic");
            assert_eq!(left.lines().find(ours), None, "{manifest} leaves something behind");
        }
        if let Some(name) = namespace {
            cluster.typed(&format!("delete namespace {name} --timeout=60s"));
        }
    }
}

/// The API server says what of a Pod template violates a level, as a warning to whoever applies it.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn pod_security_levels() {
    let cluster = Cluster::up(0, &[]);
    let manifest = MANIFESTS[2].1;
    let warnings = |level: &str| {
        let namespace = format!("warn-{level}");
        cluster.typed(&format!("create namespace {namespace}"));
        cluster.typed(&format!(
            "label namespace {namespace} pod-security.kubernetes.io/warn={level} --overwrite"
        ));
        let said = cluster.try_kubectl(&["apply", "-f", manifest, "-n", &namespace]);
        assert!(said.success, "{}", said.err);
        cluster.typed(&format!("delete -f {manifest} -n {namespace}"));
        said.err
    };
    assert_eq!(warnings("baseline"), "", "all of it meets level baseline");
    let restricted = warnings("restricted");
    assert_eq!(restricted.matches("would violate PodSecurity").count(), 1, "{restricted}");
    // The one is Elasticsearch, whose volume may be a folder of the Node that only root can give away.
    assert!(restricted.contains("\"volume-owner\""), "{restricted}");
}

/// Line 2 of the documents.
pub(crate) const CONFIGMAP_LINE: &str = "create configmap logstash-configmap -n elk-flow-collector \
     --from-file=build/yamls/elk-flow-collector/logstash/";

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn lines_typed_twice() {
    let cluster = Cluster::up(0, &[]);
    cluster.typed("create namespace elk-flow-collector");
    cluster.typed(CONFIGMAP_LINE);
    let again = cluster.try_kubectl(&CONFIGMAP_LINE.split_whitespace().collect::<Vec<_>>());
    assert!(!again.success && again.err.contains("already exists"), "{}", again.err);

    // The documents' other form says the same twice.
    let rendered = cluster.typed(&format!("{CONFIGMAP_LINE} --dry-run=client -o yaml"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rendered).unwrap();
    let apply = format!("apply --server-side --force-conflicts -f {}", file.path().display());
    cluster.typed(&apply);
    let keys = cluster.object("configmap logstash-configmap -n elk-flow-collector");
    let keys: Vec<&str> = keys["data"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["collector.yml", "ipfix.yml", "logstash.conf", "logstash.yml"]);
}
