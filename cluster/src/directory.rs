//! The directory: one place that sources write and everybody else reads.
//!
//! Reads take a shared lock for the time of one look-up; writers hold it for one object at a time, so that a
//! busy decoder never waits for a whole list.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ipnet::IpNet;

use crate::inventory::Inventory;
use crate::object::{Node, Pod, Service, ServicePortName};
use crate::services::Services;
use crate::shared::Names;
use crate::tenure::Tenures;

/// Who is behind an address.
#[derive(Clone, Debug)]
pub enum Owner {
    /// A Pod with that address.
    Pod(Arc<Pod>),
    /// A Node, or a Pod on its network.
    Node(Arc<Node>),
}

impl Owner {
    /// The Node it is, or runs on.
    pub fn node_name(&self) -> &Arc<str> {
        match self {
            Self::Pod(pod) => &pod.node,
            Self::Node(node) => &node.name,
        }
    }
}

/// Pods, Services and Nodes by address.
#[derive(Debug, Default)]
pub struct Directory {
    tables: RwLock<Tables>,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Tables {
    names: Names,
    pods: Tenures,
    services: Services,
    nodes: HashMap<Arc<str>, Arc<Node>>,
    node_addresses: HashMap<IpAddr, Arc<Node>>,
    pod_ranges: Vec<(IpNet, Arc<Node>)>,
    cluster_ranges: Vec<IpNet>,
}

impl Directory {
    /// The owner of `address` for a flow that lasted from `start_ms` to `end_ms` (milliseconds since 1970).
    ///
    /// A Pod of that time, else the Node that has the address, else the Node whose Pod range it comes from
    /// (bridges and tunnel devices take an address of it).
    pub fn owner(&self, address: IpAddr, start_ms: i64, end_ms: i64) -> Option<Owner> {
        self.owner_in_span(address, start_ms, end_ms).0
    }

    /// As [`Directory::owner`], and for which other starts of flows the answer is the same until the directory
    /// changes: `None` where it holds for this flow alone.
    pub fn owner_in_span(
        &self,
        address: IpAddr,
        start_ms: i64,
        end_ms: i64,
    ) -> (Option<Owner>, Option<RangeInclusive<i64>>) {
        let tables = self.read();
        if let Some((pod, span)) = tables.pods.owner(address, start_ms, end_ms) {
            return (Some(Owner::Pod(Arc::clone(pod))), span);
        }
        let known = tables.pods.knows(address);
        let span = (!known).then_some(i64::MIN..=i64::MAX);
        if let Some(node) = tables.node_addresses.get(&address) {
            return (Some(Owner::Node(Arc::clone(node))), span);
        }
        if known {
            return (None, span); // a Pod's, but of another time: naming the Node would be wrong
        }
        let mut ranges = tables.pod_ranges.iter();
        let node = ranges.find(|(range, _)| range.contains(&address)).map(|(_, node)| node);
        (node.map(|node| Owner::Node(Arc::clone(node))), span)
    }

    /// The Service port that a connection which began then dialled by this address, port and IP protocol number: by
    /// ClusterIP, external or load-balancer address, or by NodePort on a Node's address.
    pub fn service(
        &self,
        address: IpAddr,
        port: u16,
        protocol: u8,
        start_ms: i64,
    ) -> Option<ServicePortName> {
        self.service_in_span(address, port, protocol, start_ms).0
    }

    /// The same, and the starts of connections for which the answer would be the same.
    pub fn service_in_span(
        &self,
        address: IpAddr,
        port: u16,
        protocol: u8,
        start_ms: i64,
    ) -> (Option<ServicePortName>, RangeInclusive<i64>) {
        let tables = self.read();
        let (found, span) = tables.services.at_address(address, port, protocol, start_ms);
        if found.is_some() || !tables.node_addresses.contains_key(&address) {
            return (found, span);
        }
        let (found, other) = tables.services.at_node_port(address, port, protocol, start_ms);
        (found, *span.start().max(other.start())..=*span.end().min(other.end()))
    }

    /// A Service by its name.
    pub fn service_named(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.read().services.by_name(namespace, name).cloned()
    }

    /// The Node that has this address itself.
    pub fn node_with_address(&self, address: IpAddr) -> Option<Arc<Node>> {
        self.read().node_addresses.get(&address).cloned()
    }

    /// A Node by its name.
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.read().nodes.get(name).cloned()
    }

    /// Every Node that is known.
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.read().nodes.values().cloned().collect()
    }

    /// Whether an address belongs to the cluster: a Pod's, a Node's, of a Node's Pod range or of the
    /// configured ranges.
    pub fn is_in_cluster(&self, address: IpAddr) -> bool {
        let tables = self.read();
        tables.node_addresses.contains_key(&address)
            || tables.pods.knows(address)
            || tables.pod_ranges.iter().any(|(range, _)| range.contains(&address))
            || tables.cluster_ranges.iter().any(|range| range.contains(&address))
    }

    /// Whether an address lies in a range that is known to be inside the cluster, whoever holds it.
    pub fn is_in_known_range(&self, address: IpAddr) -> bool {
        let tables = self.read();
        tables.pod_ranges.iter().any(|(range, _)| range.contains(&address))
            || tables.cluster_ranges.iter().any(|range| range.contains(&address))
    }

    /// Any network of Pods is known.
    pub fn has_known_ranges(&self) -> bool {
        let tables = self.read();
        !tables.pod_ranges.is_empty() || !tables.cluster_ranges.is_empty()
    }

    /// Grows with every change, so that what was made from the directory can be made anew.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Ranges that are inside the cluster whatever the Nodes say (`clusterCIDRs`).
    pub fn set_cluster_ranges(&self, ranges: Vec<IpNet>) {
        self.write().cluster_ranges = ranges;
    }

    /// A Pod is as given now.
    pub fn apply_pod(&self, pod: Pod, now_ms: i64) {
        // Most of what a watch tells changes nothing that we keep.
        if !self.read().pods.lives_as(&pod) {
            self.write().apply_pod(pod, now_ms);
        }
    }

    /// A Pod was deleted.
    pub fn delete_pod(&self, namespace: &str, name: &str, now_ms: i64) {
        self.write().pods.delete(namespace, name, now_ms);
    }

    /// The Pods that live, as far as is known.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.read().pods.living().cloned().collect()
    }

    /// The Services that are known.
    pub fn services(&self) -> Vec<Arc<Service>> {
        self.read().services.all().cloned().collect()
    }

    /// A Service is as given now.
    pub fn apply_service(&self, service: Service, now_ms: i64) {
        self.write().services.apply(service, now_ms);
    }

    /// A Service was deleted.
    pub fn delete_service(&self, namespace: &str, name: &str, now_ms: i64) {
        self.write().services.delete(namespace, name, now_ms);
    }

    /// A Node is as given now.
    pub fn apply_node(&self, node: Node) {
        if self.read().nodes.get(&node.name).is_some_and(|known| **known == node) {
            return;
        }
        let mut tables = self.write();
        tables.remove_node(&node.name);
        tables.add_node(Arc::new(node));
    }

    /// A Node was deleted.
    pub fn delete_node(&self, name: &str) {
        self.write().remove_node(name);
    }

    /// The inventory is the whole truth: what it does not name is gone.
    pub fn replace(&self, inventory: Inventory, now_ms: i64) {
        let mut tables = self.write();
        for name in tables.nodes.keys().cloned().collect::<Vec<_>>() {
            tables.remove_node(&name);
        }
        for node in inventory.nodes {
            tables.add_node(Arc::new(node));
        }
        for pod in tables.pods.living().cloned().collect::<Vec<_>>() {
            if !inventory.pods.iter().any(|p| p.namespace == pod.namespace && p.name == pod.name) {
                tables.pods.delete(&pod.namespace, &pod.name, now_ms);
            }
        }
        for pod in inventory.pods {
            tables.apply_pod(pod, now_ms);
        }
        for service in tables.services.all().cloned().collect::<Vec<_>>() {
            if !inventory.services.iter().any(|s| s.namespace == service.namespace && s.name == service.name)
            {
                tables.services.delete(&service.namespace, &service.name, now_ms);
            }
        }
        for service in inventory.services {
            tables.services.apply(service, now_ms);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        let tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        // While nobody can read: who sees this generation sees its tables.
        self.generation.fetch_add(1, Ordering::AcqRel);
        tables
    }
}

impl Tables {
    fn apply_pod(&mut self, pod: Pod, now_ms: i64) {
        let (namespace, node) = (self.names.shared(pod.namespace), self.names.shared(pod.node));
        self.pods.apply(Pod { namespace, node, ..pod }, now_ms);
    }

    fn add_node(&mut self, node: Arc<Node>) {
        for address in &node.addresses {
            self.node_addresses.insert(*address, Arc::clone(&node));
        }
        self.pod_ranges.extend(node.pod_cidrs.iter().map(|range| (*range, Arc::clone(&node))));
        self.nodes.insert(Arc::clone(&node.name), node);
    }

    fn remove_node(&mut self, name: &str) {
        self.nodes.remove(name);
        self.node_addresses.retain(|_, node| &*node.name != name);
        self.pod_ranges.retain(|(_, node)| &*node.name != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "
nodes:
  - {name: node-a, addresses: [172.18.0.2, 'fd00::2'], podCIDRs: [10.10.0.0/24]}
  - {name: node-b, addresses: [172.18.0.3], podCIDRs: [10.10.1.0/24]}
pods:
  - {namespace: shop, name: cart-7d9, node: node-a, ips: [10.10.0.5]}
services:
  - {namespace: shop, name: cart, clusterIPs: [10.96.0.20], loadBalancerIPs: [192.0.2.7],
     ports: [{name: http, port: 80, nodePort: 30080, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]}
  - {namespace: shop, name: plain, clusterIPs: [10.96.0.21], ports: [{port: 443}]}
";

    fn directory() -> Directory {
        let directory = Directory::default();
        directory.replace(Inventory::parse(SAMPLE).unwrap(), 0);
        directory
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn owner(directory: &Directory, address: &str) -> String {
        match directory.owner(ip(address), 1_000, 2_000) {
            Some(Owner::Pod(pod)) => format!("{}/{} on {}", pod.namespace, pod.name, pod.node),
            Some(Owner::Node(node)) => node.name.to_string(),
            None => "nobody".into(),
        }
    }

    #[test]
    fn addresses_have_owners() {
        let directory = directory();
        for (address, expected) in [
            ("10.10.0.5", "shop/cart-7d9 on node-a"),
            ("172.18.0.3", "node-b"),
            ("fd00::2", "node-a"),
            ("10.10.1.1", "node-b"),
            ("198.51.100.1", "nobody"),
        ] {
            assert_eq!(owner(&directory, address), expected, "{address}");
            assert_eq!(directory.is_in_cluster(ip(address)), expected != "nobody", "{address}");
            assert_eq!(directory.is_in_known_range(ip(address)), address.starts_with("10.10."), "{address}");
        }
    }

    #[test]
    fn services_by_every_address() {
        let directory = directory();
        for (address, port, protocol, expected) in [
            ("10.96.0.20", 80, 6, Some("shop/cart:http 80 cluster")),
            ("10.96.0.20", 53, 17, Some("shop/cart:dns 53 cluster")),
            ("10.96.0.20", 80, 17, None),
            ("192.0.2.7", 80, 6, Some("shop/cart:http 80 other")),
            ("172.18.0.3", 30080, 6, Some("shop/cart:http 80 other")),
            ("10.10.0.5", 30080, 6, None),
            ("10.96.0.21", 443, 6, Some("shop/plain 443 cluster")),
        ] {
            let found = directory.service(ip(address), port, protocol, 1_000).map(|s| {
                format!("{} {} {}", s.name, s.port, if s.by_cluster_ip { "cluster" } else { "other" })
            });
            assert_eq!(found.as_deref(), expected, "{address}:{port}/{protocol}");
        }
    }

    #[test]
    fn what_a_new_inventory_leaves_out_is_gone() {
        let directory = directory();
        let before = directory.generation();
        directory.replace(Inventory::default(), 1_500);
        assert!(directory.generation() > before);
        assert_eq!(owner(&directory, "172.18.0.3"), "nobody");
        assert!(directory.service(ip("10.96.0.20"), 80, 6, 1_500).is_none());
        assert!(directory.service(ip("10.96.0.20"), 80, 6, 1_499).is_some(), "of that time it still answers");
        assert_eq!(
            owner(&directory, "10.10.0.5"),
            "shop/cart-7d9 on node-a",
            "of that time it still answers"
        );
        assert!(directory.owner(ip("10.10.0.5"), 2_000, 2_000).is_none());
    }
}
