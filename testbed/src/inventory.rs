//! The inventory file: who is behind which address, as an agent and a collector without Kubernetes read it.

use std::path::Path;

use anyhow::{Context, Result};
use podflow_cluster::inventory::Inventory;
use podflow_cluster::object;

use crate::bed::{Node, Pod, Service};
use crate::plan;
use crate::traffic::Protocol;

/// Writes the file, whole or not at all: readers watch it.
pub(crate) fn write(path: &Path, nodes: &[Node], services: &[Service], ipv6: bool) -> Result<()> {
    let pods = nodes.iter().flat_map(|node| node.pods.iter().map(|pod| describe_pod(node, pod)));
    let inventory = Inventory {
        nodes: nodes.iter().map(|node| describe_node(node, ipv6)).collect::<Result<_>>()?,
        pods: pods.collect(),
        services: services.iter().map(describe_service).collect(),
    };
    let (text, part) = (inventory.to_yaml()?, path.with_extension("part"));
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("writing the inventory {}", path.display()))
}

fn describe_node(node: &Node, ipv6: bool) -> Result<object::Node> {
    let cidrs = plan::pod_cidrs(node.index).into_iter().take(if ipv6 { 2 } else { 1 });
    let pod_cidrs =
        cidrs.map(|cidr| cidr.parse()).collect::<Result<_, _>>().context("a Node's Pod network")?;
    Ok(object::Node { name: node.name.as_str().into(), addresses: node.ips.clone(), pod_cidrs })
}

fn describe_pod(node: &Node, pod: &Pod) -> object::Pod {
    object::Pod {
        namespace: pod.namespace.into(),
        name: pod.name.as_str().into(),
        node: node.name.as_str().into(),
        ips: pod.ips.clone(),
        started_ms: 0,
        ended_ms: None,
        probes: Vec::new(),
    }
}

fn describe_service(service: &Service) -> object::Service {
    let protocol = match service.protocol {
        Protocol::Tcp => object::ServiceProtocol::Tcp,
        Protocol::Udp => object::ServiceProtocol::Udp,
    };
    let (name, port, node_port) = (service.port_name.into(), service.port, service.node_port);
    object::Service {
        namespace: service.namespace.into(),
        name: service.name.into(),
        cluster_ips: service.cluster_ips.clone(),
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        ports: vec![object::ServicePort { name, port, node_port, protocol }],
    }
}
