//! Traffic whose truth is known: a web server that logs each connection it answers, and a client that opens one after the other.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{Cluster, until};

/// A web server on the second Node.
#[must_use]
pub fn server(namespace: &str, name: &str) -> Value {
    server_on("node2", namespace, name)
}

/// A web server on that Node.
#[must_use]
pub fn server_on(node: &str, namespace: &str, name: &str) -> Value {
    let serve = "busybox echo hello >/tmp/index.html; exec busybox httpd -f -v -p 8080 -h /tmp";
    pod(namespace, name, "web", node, serve)
}

/// Its client on the first Node: two connections a second to whatever [`dial`] says.
#[must_use]
pub fn client(namespace: &str) -> Value {
    let get = get("$(busybox cat /tmp/target)", 8080);
    let call = format!("while busybox sleep 0.5; do test ! -f /tmp/target || {get} >/dev/null; done");
    pod(namespace, "client", "client", "node1", &call)
}

/// What a shell in a Pod types to get a page. (The wget of a static busybox wants libraries that its image has not.)
#[must_use]
pub fn get(address: &str, port: u16) -> String {
    format!("busybox printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 {address} {port}")
}

/// A Service for the servers of a namespace.
#[must_use]
pub fn service(namespace: &str, name: &str, cluster_ip: &str, port: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": {
        "clusterIP": cluster_ip, "selector": {"app": "web"}, "ports": [{"name": port, "port": 8080, "targetPort": 8080}]}})
}

/// A namespace.
#[must_use]
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn pod(namespace: &str, name: &str, app: &str, node: &str, script: &str) -> Value {
    let metadata = json!({"name": name, "namespace": namespace, "labels": {"app": app}});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {
        "nodeSelector": {"kubernetes.io/hostname": node}, "terminationGracePeriodSeconds": 1,
        "containers": [{"name": app, "image": "localhost/podflow-busybox:1", "imagePullPolicy": "Never",
            "command": ["busybox", "sh", "-c", script], "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}],
        "volumes": [{"name": "tmp", "emptyDir": {}}]}})
}

/// From now on the client of a namespace calls this address.
pub fn dial(cluster: &Cluster, namespace: &str, address: &str) {
    let write = format!("echo {address} >/tmp/new; busybox mv /tmp/new /tmp/target");
    cluster.kubectl(&["exec", "client", "-n", namespace, "--", "busybox", "sh", "-c", &write]);
}

/// Waits until a server has answered so many connections; the clients' ports of all that it answered.
///
/// # Panics
/// When it does not answer as many.
pub fn answered(cluster: &Cluster, namespace: &str, server: &str, count: usize) -> BTreeSet<u64> {
    // "[::ffff:10.244.1.2]:40000: response:200"
    let port = |line: &str| line.strip_suffix(": response:200")?.rsplit(':').next()?.parse().ok();
    until("connections to the server", || {
        let log = cluster.typed(&format!("logs {server} -n {namespace}"));
        Some(log.lines().filter_map(port).collect::<BTreeSet<u64>>()).filter(|ports| ports.len() >= count)
    })
}

/// The address of a Pod.
///
/// # Panics
/// When it has none.
#[must_use]
pub fn address_of(cluster: &Cluster, namespace: &str, pod: &str) -> String {
    cluster.object(&format!("pod {pod} -n {namespace}"))["status"]["podIP"].as_str().unwrap().to_owned()
}
