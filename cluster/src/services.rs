//! Services by what is dialled: address, port and protocol, or a NodePort on any Node's address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::object::{Service, ServicePortName};

type Key = (IpAddr, u16, u8);

/// Every Service port, by each of its addresses.
#[derive(Debug, Default)]
pub(crate) struct Services {
    by_name: HashMap<(Arc<str>, Arc<str>), Arc<Service>>,
    by_address: HashMap<Key, ServicePortName>,
    by_node_port: HashMap<(u16, u8), Arc<Service>>,
}

impl Services {
    /// A Service is as given now.
    pub(crate) fn apply(&mut self, service: Service) {
        self.delete(&service.namespace, &service.name);
        let service = Arc::new(service);
        for (key, name) in entries(&service) {
            self.by_address.insert(key, name);
        }
        for port in service.ports.iter().filter(|port| port.node_port != 0) {
            self.by_node_port.insert((port.node_port, port.protocol.number()), Arc::clone(&service));
        }
        let key = (Arc::clone(&service.namespace), Arc::clone(&service.name));
        self.by_name.insert(key, service);
    }

    /// A Service was deleted.
    pub(crate) fn delete(&mut self, namespace: &str, name: &str) {
        let Some(service) = self.by_name.remove(&(Arc::from(namespace), Arc::from(name))) else { return };
        // An address may have gone to another Service meanwhile: only what is still this one's is removed.
        for (key, ours) in entries(&service) {
            if self.by_address.get(&key).is_some_and(|entry| entry.name == ours.name) {
                self.by_address.remove(&key);
            }
        }
        self.by_node_port.retain(|_, other| !Arc::ptr_eq(other, &service));
    }

    /// The Services, by namespace and name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.by_name.values()
    }

    /// A Service by namespace and name.
    pub(crate) fn by_name(&self, namespace: &str, name: &str) -> Option<&Arc<Service>> {
        self.by_name.get(&(Arc::from(namespace), Arc::from(name)))
    }

    /// The Service port behind a Service's address.
    pub(crate) fn at_address(&self, address: IpAddr, port: u16, protocol: u8) -> Option<ServicePortName> {
        self.by_address.get(&(address, port, protocol)).cloned()
    }

    /// The Service port behind a NodePort of `address`, which is known to be a Node's.
    pub(crate) fn at_node_port(&self, address: IpAddr, port: u16, protocol: u8) -> Option<ServicePortName> {
        let service = self.by_node_port.get(&(port, protocol))?;
        let found = service.ports.iter().find(|p| p.node_port == port && p.protocol.number() == protocol)?;
        Some(named(service, &found.name, found.port, address, false))
    }
}

fn entries(service: &Service) -> Vec<(Key, ServicePortName)> {
    let addresses = service
        .cluster_ips
        .iter()
        .map(|ip| (*ip, true))
        .chain(service.external_ips.iter().chain(&service.load_balancer_ips).map(|ip| (*ip, false)));
    addresses
        .flat_map(|(ip, by_cluster_ip)| {
            service.ports.iter().map(move |port| {
                let name = named(service, &port.name, port.port, ip, by_cluster_ip);
                ((ip, port.port, port.protocol.number()), name)
            })
        })
        .collect()
}

fn named(
    service: &Service,
    port_name: &str,
    port: u16,
    dialled: IpAddr,
    by_cluster_ip: bool,
) -> ServicePortName {
    let separator = if port_name.is_empty() { "" } else { ":" };
    ServicePortName {
        name: format!("{}/{}{separator}{port_name}", service.namespace, service.name).into(),
        port,
        cluster_ip: service.cluster_ips.iter().copied().find(|ip| ip.is_ipv4() == dialled.is_ipv4()),
        by_cluster_ip,
    }
}
