//! From the API's objects to what we keep of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::follow::Name;
use crate::directory::Directory;
use crate::object::{Node, Pod, Service, ServicePort, ServiceProtocol};

/// A kind that the directory keeps.
pub(super) trait Watched: Sized {
    /// The object is as given now.
    fn apply(self, directory: &Directory);
    /// The object of this name is gone.
    fn delete(directory: &Directory, name: &Name);
    /// The names of the objects of this kind that the directory holds.
    fn known(directory: &Directory) -> Vec<Name>;
}

impl Watched for api::Pod {
    fn apply(self, directory: &Directory) {
        match pod(&self) {
            Some(pod) => directory.apply_pod(pod, now_ms()),
            // A Pod that lost what made it ours (it cannot), or one on the Node's network: the Node answers.
            None => directory.delete_pod(&self.namespace().unwrap_or_default(), &self.name_any(), now_ms()),
        }
    }

    fn delete(directory: &Directory, (namespace, name): &Name) {
        directory.delete_pod(namespace, name, now_ms());
    }

    fn known(directory: &Directory) -> Vec<Name> {
        directory.pods().iter().map(|pod| (Arc::clone(&pod.namespace), Arc::clone(&pod.name))).collect()
    }
}

impl Watched for api::Service {
    fn apply(self, directory: &Directory) {
        directory.apply_service(service(&self), now_ms());
    }

    fn delete(directory: &Directory, (namespace, name): &Name) {
        directory.delete_service(namespace, name, now_ms());
    }

    fn known(directory: &Directory) -> Vec<Name> {
        let services = directory.services();
        services.iter().map(|service| (Arc::clone(&service.namespace), Arc::clone(&service.name))).collect()
    }
}

impl Watched for api::Node {
    fn apply(self, directory: &Directory) {
        directory.apply_node(node(&self));
    }

    fn delete(directory: &Directory, (_, name): &Name) {
        directory.delete_node(name);
    }

    fn known(directory: &Directory) -> Vec<Name> {
        directory.nodes().iter().map(|node| (Arc::from(""), Arc::clone(&node.name))).collect()
    }
}

/// `None` for Pods on their Node's network and for Pods without a Node.
fn pod(object: &api::Pod) -> Option<Pod> {
    let spec = object.spec.as_ref()?;
    let node = spec.node_name.as_deref()?;
    if spec.host_network.unwrap_or_default() {
        return None;
    }
    let status = object.status.clone().unwrap_or_default();
    let ips = status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect();
    let completed = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    Some(Pod {
        namespace: object.namespace().unwrap_or_default().into(),
        name: object.name_any().into(),
        node: node.into(),
        ips,
        started_ms: status.start_time.as_ref().map_or_else(now_ms, millis),
        ended_ms: completed.then(|| last_container_end(&status).unwrap_or_else(now_ms)),
        probes: probe_ports(spec),
    })
}

/// The TCP ports of all containers' probes, without duplicates.
fn probe_ports(spec: &api::PodSpec) -> Vec<u16> {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mut ports: Vec<u16> = containers
        .flat_map(|container| {
            let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
            probes.into_iter().flatten().filter_map(|probe| probe_port(container, probe))
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn probe_port(container: &api::Container, probe: &api::Probe) -> Option<u16> {
    let asked = (probe.http_get.as_ref().map(|get| &get.port))
        .or_else(|| probe.tcp_socket.as_ref().map(|connect| &connect.port));
    let number = match (asked, &probe.grpc) {
        (Some(IntOrString::Int(number)), _) => *number,
        (Some(IntOrString::String(name)), _) => {
            let named =
                container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name.as_str()));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())?
        }
        (None, Some(grpc)) => grpc.port,
        (None, None) => return None,
    };
    u16::try_from(number).ok()
}

fn last_container_end(status: &api::PodStatus) -> Option<i64> {
    let containers = status.container_statuses.iter().flatten();
    let ends = containers.filter_map(|container| {
        container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref().map(millis)
    });
    // finishedAt has whole seconds: packets may come until that second is over.
    ends.max().map(|end| end + 999)
}

fn service(object: &api::Service) -> Service {
    let spec = object.spec.clone().unwrap_or_default();
    let ingress = object.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    Service {
        namespace: object.namespace().unwrap_or_default().into(),
        name: object.name_any().into(),
        // "None" (headless) is no address and falls out here.
        cluster_ips: addresses(spec.cluster_ips.iter().flatten()),
        external_ips: addresses(spec.external_ips.iter().flatten()),
        load_balancer_ips: addresses(ingress.into_iter().flatten().filter_map(|entry| entry.ip.as_ref())),
        ports: spec.ports.iter().flatten().filter_map(service_port).collect(),
    }
}

/// `None` for port numbers that no packet can have.
fn service_port(port: &api::ServicePort) -> Option<ServicePort> {
    Some(ServicePort {
        name: port.name.as_deref().unwrap_or_default().into(),
        port: port.port.try_into().ok()?,
        node_port: port.node_port.unwrap_or_default().try_into().ok()?,
        protocol: match port.protocol.as_deref() {
            Some("UDP") => ServiceProtocol::Udp,
            Some("SCTP") => ServiceProtocol::Sctp,
            _ => ServiceProtocol::Tcp,
        },
    })
}

fn node(object: &api::Node) -> Node {
    let status_addresses = object.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let ranges = object.spec.iter().flat_map(|spec| spec.pod_cidrs.iter().flatten());
    Node {
        name: object.name_any().into(),
        addresses: addresses(status_addresses.map(|address| &address.address)),
        pod_cidrs: ranges.filter_map(|range| range.parse().ok()).collect(),
    }
}

// Host names stand among Node addresses: what is no address is left out.
fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<IpAddr> {
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn millis(time: &Time) -> i64 {
    time.0.as_millisecond()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod_of(status: Value, spec: Value) -> Option<Pod> {
        let object =
            json!({"metadata": {"namespace": "shop", "name": "cart"}, "spec": spec, "status": status});
        pod(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_running_pod() {
        let status = json!({"phase": "Running", "startTime": "2026-01-01T00:00:00Z",
                            "podIPs": [{"ip": "10.0.0.5"}, {"ip": "fd00::5"}]});
        let pod = pod_of(status, json!({"nodeName": "a", "containers": []})).unwrap();
        assert_eq!(pod.ips, ["10.0.0.5".parse::<IpAddr>().unwrap(), "fd00::5".parse().unwrap()]);
        assert_eq!((pod.started_ms, pod.ended_ms), (1_767_225_600_000, None));
    }

    #[test]
    fn the_ports_that_kubelet_probes() {
        let container = json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"port": "web"}}, "livenessProbe": {"tcpSocket": {"port": 9090}},
            "startupProbe": {"grpc": {"port": 5000}}});
        let sidecar = json!({"name": "s", "readinessProbe": {"httpGet": {"port": 8080}},
            "livenessProbe": {"exec": {"command": ["true"]}}, "startupProbe": {"httpGet": {"port": "nobody"}}});
        let spec = json!({"nodeName": "a", "containers": [container], "initContainers": [sidecar]});
        assert_eq!(pod_of(json!({}), spec).unwrap().probes, [5000, 8080, 9090]);
    }

    #[test]
    fn a_completed_pod_ends_with_its_last_container() {
        let terminated = |at: &str| {
            json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                                           "state": {"terminated": {"exitCode": 0, "finishedAt": at}}})
        };
        let status = json!({"phase": "Succeeded", "startTime": "2026-01-01T00:00:00Z",
            "containerStatuses": [terminated("2026-01-01T00:00:09Z"), terminated("2026-01-01T00:00:05Z")]});
        let pod = pod_of(status, json!({"nodeName": "a", "containers": []})).unwrap();
        assert_eq!(pod.ended_ms, Some(1_767_225_609_999));
    }

    #[test]
    fn pods_on_the_nodes_network_and_pods_without_a_node_are_not_ours() {
        assert_eq!(pod_of(json!({}), json!({"nodeName": "a", "hostNetwork": true, "containers": []})), None);
        assert_eq!(pod_of(json!({}), json!({"containers": []})), None);
    }

    #[test]
    fn a_service_with_every_kind_of_address() {
        let object = json!({"metadata": {"namespace": "shop", "name": "cart"},
            "spec": {"clusterIPs": ["10.96.0.20", "None"], "externalIPs": ["192.0.2.1"],
                     "ports": [{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}, {"port": -1}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}, {"hostname": "lb"}]}}});
        let service = service(&serde_json::from_value(object).unwrap());
        assert_eq!(
            service.cluster_ips.len() + service.external_ips.len() + service.load_balancer_ips.len(),
            3
        );
        assert_eq!(service.ports.len(), 1);
        assert_eq!(service.ports[0].protocol, ServiceProtocol::Udp);
    }

    #[test]
    fn a_nodes_host_name_is_no_address() {
        let object = json!({"metadata": {"name": "a"}, "spec": {"podCIDRs": ["10.0.0.0/24", "bad"]},
            "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}, {"type": "Hostname", "address": "a"}]}});
        let node = node(&serde_json::from_value(object).unwrap());
        assert_eq!((node.addresses.len(), node.pod_cidrs.len()), (1, 1));
    }
}
