//! Every way to a Service through a real kube-proxy, and out of the cluster: each is one flow, exported once, by the right Node,
//! with both ends and the Service named.

use std::process::{Child, Command, Stdio};

use podflow_e2e_cluster::flows::{all_ended, by_flow, deltas_are_totals, records};
use podflow_e2e_cluster::traffic::get;
use podflow_e2e_cluster::{Cluster, images, root, until};
use serde_json::{Value, json};

/// One way: who dials what, and what the flow must say.
struct Way {
    name: &'static str,
    /// A Pod, a Node, or `outside`.
    from: &'static str,
    /// Address and port.
    dialled: String,
    says: Value,
}

/// `outside` of settings.sh, neither Node nor Pod.
const OUTSIDE: &str = "10.199.0.100";

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn every_way_to_a_service_is_one_flow_with_names() {
    let cluster = Cluster::up(2, &images());
    cluster.see_flows();
    cluster.typed("apply -f e2e/cluster/tests/kubernetes/paths.yaml");
    cluster.typed("wait --for=condition=Ready pod --all -n paths --timeout=120s");
    for (service, address) in [("balanced", "10.198.0.10"), ("balanced-local", "10.198.0.11")] {
        // As a load balancer's controller says it.
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}).to_string();
        let patch =
            ["patch", "service", service, "-n", "paths", "--subresource=status", "--type=merge", "-p"];
        cluster.kubectl(&[patch.as_slice(), &[&status]].concat());
    }
    let _neighbour = Neighbour::serving();

    let ways = ways(&cluster);
    let dialled: Vec<usize> = ways.iter().map(|way| connect(&cluster, way)).collect();
    // Nobody answers where the policy is Local and no endpoint is on the Node that is dialled.
    assert!(!answers(&cluster, "outside", "10.199.0.1:31004"));

    // What the agents hold, they send before they end: after that, nothing comes that has not been looked at.
    for way in &ways {
        until(way.name, || Some(of(way)).filter(|records| !records.is_empty()));
    }
    cluster.typed("delete daemonset podflow-agent -n podflow --timeout=120s");
    for (way, dialled) in ways.iter().zip(&dialled) {
        let records = until(way.name, || Some(of(way)).filter(|records| all_ended(records)));
        let flows = by_flow(&records);
        // A connection that was given up and dialled anew is a flow, too.
        assert!((1..=*dialled).contains(&flows.len()), "{}, dialled {dialled} times: {records:#?}", way.name);
        for (field, value) in way.says.as_object().unwrap() {
            assert!(
                records.iter().all(|record| record[field] == *value),
                "{field} of {}: {records:#?}",
                way.name
            );
        }
        deltas_are_totals(&records);
    }
    // No other Node told any of them once more, under another name.
    let to = |pod: &str| {
        records(&[("destinationPodNamespace", json!("paths")), ("destinationPodName", json!(pod))])
    };
    let all = [to("near"), to("far")].concat();
    let known = |record: &&Value| {
        !ways.iter().any(|way| of(way).iter().any(|ours| ours["flowId"] == record["flowId"]))
    };
    let more: Vec<&Value> = all.iter().filter(known).collect();
    assert!(more.is_empty(), "{more:#?}");
    let refused = records(&[("destinationServicePortName", json!("paths/far-local"))]);
    assert!(refused.is_empty(), "{refused:#?}");
}

fn ways(cluster: &Cluster) -> Vec<Way> {
    let pod = |name: &str| cluster.object(&format!("pod {name} -n paths"))["status"]["podIP"].clone();
    let (near, far) = (pod("near"), pod("far"));
    let cluster_ip = |name: &str| {
        let service = cluster.object(&format!("service {name} -n paths"));
        service["spec"]["clusterIP"].as_str().unwrap().to_owned()
    };
    let (near_service, far_service) = (cluster_ip("near-cluster"), cluster_ip("far-cluster"));
    // What a flow says of its end at the Pod on each Node, and of its beginning.
    let to_near = json!({"destinationPodName": "near", "destinationNodeName": "node1", "destinationIP": near, "destinationTransportPort": 8080});
    let to_far = json!({"destinationPodName": "far", "destinationNodeName": "node2", "destinationIP": far, "destinationTransportPort": 8080});
    let outside = json!({"sourceIP": OUTSIDE, "sourcePodName": "", "flowKind": "External-to-Service", "flowTypeStr": "From External", "exporterNode": "node1"});
    let from_near = json!({"sourceIP": near, "sourcePodName": "near", "sourceNodeName": "node1", "exporterNode": "node1"});
    let service = |name: &str, address: &str| json!({"destinationServicePortName": format!("paths/{name}"), "destinationServiceIPv4": address});
    let masqueraded = |address: &str| json!({"postNATSourceIPv4Address": address});
    let kind = |kind: &str, inter: &str| json!({"flowKind": kind, "flowTypeStr": inter});
    let (bridge, node) = ("10.244.1.1", "10.199.0.1");
    let way = |name, from, dialled: &str, says: &[&Value]| {
        let says = says.iter().flat_map(|part| part.as_object().unwrap().clone()).collect();
        Way { name, from, dialled: dialled.to_owned(), says: Value::Object(says) }
    };
    vec![
        way(
            "NodePort, Cluster, local endpoint",
            "outside",
            "10.199.0.1:31001",
            &[&outside, &to_near, &service("near-cluster:http", node), &masqueraded(bridge)],
        ),
        way(
            "NodePort, Local, local endpoint",
            "outside",
            "10.199.0.1:31002",
            &[&outside, &to_near, &service("near-local", node), &masqueraded_not()],
        ),
        way(
            "NodePort, Cluster, remote endpoint",
            "outside",
            "10.199.0.1:31003",
            &[&outside, &to_far, &service("far-cluster", node), &masqueraded(node)],
        ),
        way(
            "load balancer, Cluster, remote endpoint",
            "outside",
            "10.198.0.10:80",
            &[&outside, &to_far, &service("balanced", "10.198.0.10"), &masqueraded(node)],
        ),
        way(
            "load balancer, Local, local endpoint",
            "outside",
            "10.198.0.11:80",
            &[&outside, &to_near, &service("balanced-local", "10.198.0.11"), &masqueraded_not()],
        ),
        way(
            "external address, remote endpoint",
            "outside",
            "10.198.0.12:80",
            &[&outside, &to_far, &service("balanced", "10.198.0.12"), &masqueraded(node)],
        ),
        way(
            "hairpin through a Service",
            "near",
            &format!("{near_service}:80"),
            &[
                &from_near,
                &to_near,
                &service("near-cluster:http", &near_service),
                &masqueraded(bridge),
                &kind("Pod-to-Service", "Intra-Node"),
                &json!({"destinationClusterIP": near_service}),
            ],
        ),
        way(
            "Pod to a Service, remote endpoint",
            "near",
            &format!("{far_service}:80"),
            &[
                &from_near,
                &to_far,
                &service("far-cluster", &far_service),
                &masqueraded_not(),
                &kind("Pod-to-Service", "Inter-Node"),
                &json!({"destinationClusterIP": far_service}),
            ],
        ),
        way(
            "Pod to its own Node's NodePort",
            "near",
            "10.199.0.1:31003",
            &[&from_near, &to_far, &service("far-cluster", node), &kind("Pod-to-Service", "Inter-Node")],
        ),
        way(
            "Pod to a load balancer's address",
            "near",
            "10.198.0.10:80",
            &[
                &from_near,
                &to_far,
                &service("balanced", "10.198.0.10"),
                &kind("Pod-to-Service", "Inter-Node"),
            ],
        ),
        way(
            "Pod to another Node's NodePort, and back",
            "near",
            "10.199.0.2:31001",
            &[
                &from_near,
                &kind("Pod-to-Service", "Inter-Node"),
                &masqueraded(node),
                &json!({"destinationServicePortName": "paths/near-cluster:http", "destinationIP": "10.199.0.2",
                    "destinationTransportPort": 31001, "destinationNodeName": "node2"}),
            ],
        ),
        way(
            "Node to a Service, remote endpoint",
            "node1",
            &format!("{far_service}:80"),
            &[
                &to_far,
                &service("far-cluster", &far_service),
                &kind("Node-to-Service", "Inter-Node"),
                &json!({"sourceIP": node, "sourcePodName": "", "sourceNodeName": "node1", "exporterNode": "node1"}),
            ],
        ),
        way(
            "Pod to the outside, under its Node's address",
            "near",
            &format!("{OUTSIDE}:8000"),
            &[
                &from_near,
                &masqueraded(node),
                &kind("Pod-to-External", "To External"),
                &json!({"destinationIP": OUTSIDE, "destinationTransportPort": 8000, "destinationPodName": ""}),
            ],
        ),
    ]
}

/// The source kept its address.
fn masqueraded_not() -> Value {
    json!({"postNATSourceIPv4Address": null})
}

/// The records of a way: those between its ends by way of its Service, whoever exported them.
fn of(way: &Way) -> Vec<Value> {
    let ends = [
        "sourceIP",
        "destinationIP",
        "destinationTransportPort",
        "destinationServicePortName",
        "destinationServiceIPv4",
    ];
    let fields: Vec<(&str, Value)> =
        ends.into_iter().filter_map(|field| Some((field, way.says.get(field)?.clone()))).collect();
    records(&fields)
}

/// Dials until it is answered: kube-proxy learns of a new Service in its own time. How often it was dialled.
fn connect(cluster: &Cluster, way: &Way) -> usize {
    let mut times = 0;
    until(way.name, || {
        times += 1;
        answers(cluster, way.from, &way.dialled).then_some(())
    });
    times
}

fn answers(cluster: &Cluster, from: &str, dialled: &str) -> bool {
    let page = match from {
        "near" | "far" => {
            let (address, port) = dialled.rsplit_once(':').unwrap();
            let get = get(address, port.parse().unwrap());
            let said = cluster.try_kubectl(&["exec", from, "-n", "paths", "--", "busybox", "sh", "-c", &get]);
            Some(said.out).filter(|_| said.success)
        }
        place => cluster.on(place, &format!("curl -sSf --max-time 10 http://{dialled}/")),
    };
    page.is_some_and(|page| page.contains("hello"))
}

/// A web server outside of the cluster; ends with this object.
struct Neighbour {
    server: Child,
    _pages: tempfile::TempDir,
}

impl Neighbour {
    fn serving() -> Self {
        let pages = tempfile::tempdir().unwrap();
        std::fs::write(pages.path().join("index.html"), "hello\n").unwrap();
        let server = Command::new(root().join("e2e/cluster/cluster"))
            .args(["on", "outside", "busybox", "httpd", "-f", "-p", &format!("{OUTSIDE}:8000"), "-h"])
            .arg(pages.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { server, _pages: pages }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}
