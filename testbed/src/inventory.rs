//! The inventory file: who is behind which address, as an agent and a collector without Kubernetes read it.
//!
//! Names and addresses here hold no character that YAML would want quoted, except IPv6 addresses.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};

use crate::bed::{Node, Service};
use crate::plan;

/// Writes the file, whole or not at all: readers watch it.
pub(crate) fn write(path: &Path, nodes: &[Node], services: &[Service], ipv6: bool) -> Result<()> {
    let part = path.with_extension("part");
    std::fs::write(&part, text(nodes, services, ipv6))
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("writing the inventory {}", path.display()))
}

fn text(nodes: &[Node], services: &[Service], ipv6: bool) -> String {
    let mut text = "nodes:\n".to_owned();
    for node in nodes {
        let cidrs = plan::pod_cidrs(node.index).into_iter().take(if ipv6 { 2 } else { 1 });
        let cidrs: Vec<_> = cidrs.map(|cidr| format!("\"{cidr}\"")).collect();
        let (name, addresses) = (&node.name, list(&node.ips));
        text += &format!("  - {{name: {name}, addresses: {addresses}, podCIDRs: [{}]}}\n", cidrs.join(", "));
    }
    text += "pods:\n";
    for pod in nodes.iter().flat_map(|node| node.pods.iter().map(move |pod| (node, pod))) {
        let (node, pod) = (&pod.0.name, pod.1);
        let (namespace, name, ips) = (pod.namespace, &pod.name, list(&pod.ips));
        text += &format!("  - {{namespace: {namespace}, name: {name}, node: {node}, ips: {ips}}}\n");
    }
    text += "services:\n";
    for service in services {
        let (namespace, name, ips) = (service.namespace, service.name, list(&service.cluster_ips));
        let (port_name, port, protocol) =
            (service.port_name, service.port, service.protocol.name().to_uppercase());
        let node_port = match service.node_port {
            0 => String::new(),
            port => format!(", nodePort: {port}"),
        };
        text += &format!(
            "  - {{namespace: {namespace}, name: {name}, clusterIPs: {ips}, externalIPs: [], loadBalancerIPs: [], \
             ports: [{{name: {port_name}, port: {port}, protocol: {protocol}{node_port}}}]}}\n"
        );
    }
    text
}

fn list(addresses: &[IpAddr]) -> String {
    let quoted: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    format!("[{}]", quoted.join(", "))
}
