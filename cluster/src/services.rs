//! Services by what is dialled: address, port and protocol, or a NodePort on any Node's address. What was changed or deleted
//! answers for a while for connections that began before.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::object::{Service, ServicePortName};
use crate::tenure::KEPT_AFTER_END_MS;

type Key = (IpAddr, u16, u8);

/// Every Service port, by each of its addresses.
#[derive(Debug, Default)]
pub(crate) struct Services {
    by_name: HashMap<(Arc<str>, Arc<str>), Arc<Service>>,
    by_address: HashMap<Key, ServicePortName>,
    by_node_port: HashMap<(u16, u8), Arc<Service>>,
    past_addresses: Past<Key, ServicePortName>,
    past_node_ports: Past<(u16, u8), Arc<Service>>,
}

/// An answer, and the starts of connections for which it would be the same.
pub(crate) type Spanned<T> = (Option<T>, RangeInclusive<i64>);

impl Services {
    /// A Service is as given now.
    pub(crate) fn apply(&mut self, service: Service, now_ms: i64) {
        let key = (Arc::clone(&service.namespace), Arc::clone(&service.name));
        if self.by_name.get(&key).is_some_and(|known| **known == service) {
            return;
        }
        self.delete(&service.namespace, &service.name, now_ms);
        let service = Arc::new(service);
        for (key, name) in entries(&service) {
            self.by_address.insert(key, name);
        }
        for port in service.ports.iter().filter(|port| port.node_port != 0) {
            self.by_node_port.insert((port.node_port, port.protocol.number()), Arc::clone(&service));
        }
        self.by_name.insert(key, service);
    }

    /// A Service was deleted.
    pub(crate) fn delete(&mut self, namespace: &str, name: &str, now_ms: i64) {
        let Some(service) = self.by_name.remove(&(Arc::from(namespace), Arc::from(name))) else { return };
        // An address may have gone to another Service meanwhile: only what is still this one's is removed.
        for (key, ours) in entries(&service) {
            if self.by_address.get(&key).is_some_and(|entry| entry.name == ours.name) {
                self.by_address.remove(&key);
                self.past_addresses.add(key, ours, now_ms);
            }
        }
        for port in service.ports.iter().filter(|port| port.node_port != 0) {
            let key = (port.node_port, port.protocol.number());
            if self.by_node_port.get(&key).is_some_and(|other| Arc::ptr_eq(other, &service)) {
                self.by_node_port.remove(&key);
                self.past_node_ports.add(key, Arc::clone(&service), now_ms);
            }
        }
    }

    /// The Services, by namespace and name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.by_name.values()
    }

    /// A Service by namespace and name.
    pub(crate) fn by_name(&self, namespace: &str, name: &str) -> Option<&Arc<Service>> {
        self.by_name.get(&(Arc::from(namespace), Arc::from(name)))
    }

    /// The Service port behind a Service's address, for a connection of that time.
    pub(crate) fn at_address(
        &self,
        address: IpAddr,
        port: u16,
        protocol: u8,
        start_ms: i64,
    ) -> Spanned<ServicePortName> {
        let key = (address, port, protocol);
        let (past, span) = self.past_addresses.at(&key, start_ms);
        (past.or_else(|| self.by_address.get(&key)).cloned(), span)
    }

    /// The Service port behind a NodePort of `address`, which is known to be a Node's, for a connection of that time.
    pub(crate) fn at_node_port(
        &self,
        address: IpAddr,
        port: u16,
        protocol: u8,
        start_ms: i64,
    ) -> Spanned<ServicePortName> {
        let key = (port, protocol);
        let (past, span) = self.past_node_ports.at(&key, start_ms);
        let service = past.or_else(|| self.by_node_port.get(&key));
        let name = service.and_then(|service| {
            let mut ports = service.ports.iter();
            let found = ports.find(|p| p.node_port == port && p.protocol.number() == protocol)?;
            Some(named(service, &found.name, found.port, address, false))
        });
        (name, span)
    }
}

/// Who had a key, and until when.
#[derive(Debug)]
struct Past<K, T> {
    by_key: HashMap<K, VecDeque<(i64, T)>>,
    order: VecDeque<(i64, K)>,
}

impl<K, T> Default for Past<K, T> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + std::hash::Hash, T> Past<K, T> {
    fn add(&mut self, key: K, was: T, until_ms: i64) {
        self.by_key.entry(key).or_default().push_back((until_ms, was));
        self.order.push_back((until_ms, key));
        while let Some((ended_ms, key)) = self.order.front().copied()
            && (self.order.len() > MAX_PAST || ended_ms < until_ms.saturating_sub(KEPT_AFTER_END_MS))
        {
            self.order.pop_front();
            if let Some(pasts) = self.by_key.get_mut(&key) {
                pasts.pop_front();
                if pasts.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }

    /// Who had the key then; nobody where it is whoever has it now.
    fn at(&self, key: &K, start_ms: i64) -> (Option<&T>, RangeInclusive<i64>) {
        let Some(pasts) = self.by_key.get(key) else { return (None, i64::MIN..=i64::MAX) };
        let place = pasts.partition_point(|(until_ms, _)| *until_ms <= start_ms);
        let before = place.checked_sub(1).and_then(|place| pasts.get(place));
        let since = before.map_or(i64::MIN, |(until_ms, _)| *until_ms);
        match pasts.get(place) {
            Some((until_ms, was)) => (Some(was), since..=until_ms.saturating_sub(1)),
            None => (None, since..=i64::MAX),
        }
    }
}

/// Ports of changed and deleted Services that are kept: a thousand changes of Services of ten addresses and ports.
const MAX_PAST: usize = 10_000;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{ServicePort, ServiceProtocol};

    fn service(name: &str, port_name: &str) -> Service {
        Service {
            namespace: "shop".into(),
            name: name.into(),
            cluster_ips: vec!["10.96.0.20".parse().unwrap()],
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            ports: vec![ServicePort {
                name: port_name.into(),
                port: 80,
                node_port: 30080,
                protocol: ServiceProtocol::Tcp,
            }],
        }
    }

    /// By ClusterIP and by NodePort, which must say the same.
    fn at(services: &Services, start_ms: i64) -> Option<String> {
        let (name, span) = services.at_address("10.96.0.20".parse().unwrap(), 80, 6, start_ms);
        let (by_node, node_span) = services.at_node_port("172.18.0.2".parse().unwrap(), 30080, 6, start_ms);
        let name = name.map(|service| service.name.to_string());
        assert_eq!(by_node.map(|service| service.name.to_string()), name);
        assert_eq!(span, node_span);
        assert!(span.contains(&start_ms));
        name
    }

    #[test]
    fn a_connection_has_the_service_of_its_beginning() {
        let mut services = Services::default();
        services.apply(service("web", "http"), 1_000);
        services.apply(service("web", "http"), 1_500); // told again, unchanged
        services.apply(service("web", "api"), 2_000);
        services.delete("shop", "web", 3_000);
        for (start, expected) in [
            (500, Some("shop/web:http")), // older than what is known: the first that was
            (1_700, Some("shop/web:http")),
            (1_999, Some("shop/web:http")),
            (2_000, Some("shop/web:api")),
            (2_999, Some("shop/web:api")),
            (3_000, None),
        ] {
            assert_eq!(at(&services, start).as_deref(), expected, "{start}");
        }
        services.apply(service("store", "http"), 4_000);
        assert_eq!(at(&services, 2_500).as_deref(), Some("shop/web:api"));
        // Before another came, nobody was there; a watch may be late, so who came answers.
        assert_eq!(at(&services, 3_500).as_deref(), Some("shop/store:http"));
    }

    #[test]
    fn the_past_is_bounded_in_time_and_number() {
        let mut services = Services::default();
        services.apply(service("web", "http"), 0);
        services.apply(service("web", "api"), 1);
        services.apply(service("web", "http"), 2 + KEPT_AFTER_END_MS);
        assert_eq!(at(&services, 0).as_deref(), Some("shop/web:api"), "the first name is forgotten");

        let mut past = Past::default();
        for until in 0..=MAX_PAST {
            past.add(until % 7, until, 0);
        }
        assert_eq!(past.order.len(), MAX_PAST);
        assert_eq!(past.by_key.values().map(VecDeque::len).sum::<usize>(), MAX_PAST);
    }
}
