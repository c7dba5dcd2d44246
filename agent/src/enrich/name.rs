//! Puts the record of a report together: names of what is local, the Service that was dialled.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use podflow_cluster::Directory;
use podflow_cluster::object::ServicePortName;
use podflow_flow::{Counters, FlowKind, FlowRecord, FlowType, Party};

use super::decide::{Left, Verdict, decide, out_of_scope};
use super::place::Place;
use crate::addresses;
use crate::config::{Config, Probes, Rule, Tunnels};
use crate::conntrack::Layer4;
use crate::conntrack::entry::ProtocolState;
use crate::store::{Connection, Report};

/// What is needed to judge and name flows.
pub(crate) struct Names {
    pub(crate) directory: Arc<Directory>,
    /// Name of this Node.
    pub(crate) node: Arc<str>,
    /// Whether Services are named.
    pub(crate) services: bool,
    /// Addresses of this Node's own interfaces.
    pub(crate) interfaces: ArcSwap<Vec<IpAddr>>,
    pub(crate) tunnels: Tunnels,
    pub(crate) probes: Probes,
    pub(crate) exclude: Vec<Rule>,
    /// Our own connection to the collector: its address and port.
    pub(crate) collector: ArcSwap<Option<(IpAddr, u16)>>,
}

/// A judged flow: who is at its ends.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) source: Place,
    pub(crate) destination: Place,
    pub(crate) service: Option<ServicePortName>,
    pub(crate) verdict: Verdict,
}

impl Names {
    /// As the configuration says, for the Node of this name; its interfaces are asked now, the collector is not known yet.
    pub(crate) fn of(config: &Config, node: &str, directory: Arc<Directory>) -> Self {
        Self {
            directory,
            node: node.into(),
            services: config.service_names,
            interfaces: ArcSwap::from_pointee(addresses::own()),
            tunnels: config.tunnels.clone(),
            probes: config.probes,
            exclude: config.exclude.clone(),
            collector: ArcSwap::from_pointee(None),
        }
    }

    /// Looks both ends up and decides whether this Node exports the flow.
    pub(crate) fn judge(&self, connection: &Connection) -> Named {
        let original = &connection.key.original;
        let endpoint = connection.key.endpoint;
        let interfaces = self.interfaces.load();
        let time = (signed(connection.start_ms), signed(connection.moved_ms.max(connection.start_ms)));
        let place = |address| Place::of(&self.directory, &self.node, &interfaces, address, time);
        let (source, destination) = (place(original.source), place(endpoint.address));
        let translated = is_translated(connection);
        let service = self
            .services
            .then(|| {
                let (port, protocol) = (original.destination_port(), original.protocol);
                self.directory.service(original.destination, port, protocol, time.0)
            })
            .flatten()
            // A port of a Node that is not translated is the Node's own, whatever its number.
            // Another Node's NodePort is translated there.
            .filter(|service| translated || service.by_cluster_ip || matches!(destination, Place::OtherNode));
        let kind = FlowKind {
            source: source.party(),
            destination: if service.is_some() { Party::Service } else { destination.party() },
        };
        let verdict = match self.left_out(connection, &source, &destination, kind) {
            Some(left) => Verdict::Leave(left),
            None => match decide(&source, &destination, translated) {
                // What is taken for the outside may be a Pod of another Node. The collector, which knows all Pods, tells.
                Verdict::Export(FlowType::ToExternal)
                    if !self.knows_pods_beside(&source, original.source) =>
                {
                    Verdict::Export(FlowType::Unspecified)
                }
                Verdict::Export(FlowType::FromExternal)
                    if !self.knows_pods_beside(&destination, endpoint.address) =>
                {
                    Verdict::Export(FlowType::Unspecified)
                }
                verdict => verdict,
            },
        };
        Named { source, destination, service, verdict }
    }

    /// The networks are known from which the Pods of other Nodes have their addresses, as far as one can tell from what
    /// is at this Node: where its own Pods' addresses lie outside of them, so may others'.
    fn knows_pods_beside(&self, place: &Place, address: IpAddr) -> bool {
        match place {
            Place::LocalPod(_) => self.directory.is_in_known_range(address),
            _ => self.directory.has_known_ranges(),
        }
    }

    /// What is left out before it is asked whose it is.
    fn left_out(
        &self,
        connection: &Connection,
        source: &Place,
        destination: &Place,
        kind: FlowKind,
    ) -> Option<Left> {
        let original = &connection.key.original;
        let endpoint = connection.key.endpoint;
        if let Some(left) = out_of_scope(original.source, endpoint.address) {
            return Some(left);
        }
        let ports = [original.source_port(), original.destination_port()];
        let between_nodes = (source.party(), destination.party()) == (Party::Node, Party::Node);
        if between_nodes
            && (self.tunnels.protocols.contains(&original.protocol)
                || self.tunnels.ports.contains(&original.destination_port()))
        {
            return Some(Left::Tunnel);
        }
        let collector = self.collector.load();
        if matches!(source, Place::ThisNode)
            && (**collector).is_some_and(|(address, port)| {
                port == original.destination_port()
                    && (address == original.destination || address == endpoint.address)
            })
        {
            return Some(Left::OwnExport);
        }
        if self.probes == Probes::Exclude
            && matches!(source, Place::ThisNode)
            && is_probe(connection, destination)
        {
            return Some(Left::Probe);
        }
        let is_excluded = self.exclude.iter().any(|rule| {
            let in_namespace = |place: &Place, namespace: &str| match place {
                Place::LocalPod(Some(pod)) => *pod.namespace == *namespace,
                _ => false,
            };
            rule.kind.as_deref().is_none_or(|wanted| wanted == kind.name())
                && rule.network.is_none_or(|network| {
                    network.contains(&original.source) || network.contains(&endpoint.address)
                })
                && rule.port.is_none_or(|port| ports.contains(&port) || endpoint.port == port)
                && rule.protocol.is_none_or(|protocol| protocol == original.protocol)
                && rule.namespace.as_deref().is_none_or(|namespace| {
                    in_namespace(source, namespace) || in_namespace(destination, namespace)
                })
        });
        is_excluded.then_some(Left::Excluded)
    }
}

impl Named {
    /// The record of a report.
    pub(crate) fn record<'a>(
        &'a self,
        report: &Report,
        node: &'a str,
        flow_type: FlowType,
    ) -> FlowRecord<'a> {
        let connection = &report.connection;
        let original = &connection.key.original;
        let endpoint = connection.key.endpoint;
        let translated_source = connection.translated_source;
        let masqueraded =
            translated_source.address != original.source || translated_source.port != original.source_port();
        let (throughput, reverse_throughput) = report.throughput();
        let (total, delta) = (connection.counters, report.delta);
        let has_ports = matches!(original.layer4, Layer4::Ports { .. }) && original.protocol != GRE;
        FlowRecord {
            source: original.source,
            destination: endpoint.address,
            source_port: if has_ports { original.source_port() } else { 0 },
            destination_port: if has_ports { endpoint.port } else { 0 },
            protocol: original.protocol,
            icmp_type_code: match original.layer4 {
                Layer4::Icmp { kind, code, .. } => u16::from_be_bytes([kind, code]),
                _ => 0,
            },
            start_ms: connection.start_ms,
            end_ms: report.end_ms(),
            end_reason: report.end,
            flow_id: connection.flow_id,
            forward: Counters {
                packets_total: total.packets,
                octets_total: total.octets,
                packets_delta: delta.packets,
                octets_delta: delta.octets,
            },
            reverse: Counters {
                packets_total: total.reverse_packets,
                octets_total: total.reverse_octets,
                packets_delta: delta.reverse_packets,
                octets_delta: delta.reverse_octets,
            },
            source_pod_namespace: self.source.pod().map_or("", |pod| &pod.namespace),
            source_pod_name: self.source.pod().map_or("", |pod| &pod.name),
            source_node_name: if self.source.is_local() { node } else { "" },
            destination_pod_namespace: self.destination.pod().map_or("", |pod| &pod.namespace),
            destination_pod_name: self.destination.pod().map_or("", |pod| &pod.name),
            destination_node_name: if self.destination.is_local() { node } else { "" },
            cluster_ip: self
                .service
                .as_ref()
                .filter(|service| service.by_cluster_ip)
                .map(|_| original.destination),
            service_port: self.service.as_ref().map_or(0, |service| service.port),
            service_port_name: self.service.as_ref().map_or("", |service| &service.name),
            tcp_state: tcp_state(connection.state),
            flow_type,
            throughput,
            reverse_throughput,
            post_nat_source: masqueraded.then_some(translated_source.address),
            post_nat_source_port: if masqueraded && has_ports { translated_source.port } else { 0 },
            dialled: is_translated(connection).then_some(original.destination),
        }
    }
}

/// A short connection to a port on which kubelet probes a local Pod.
fn is_probe(connection: &Connection, destination: &Place) -> bool {
    let (original, counters) = (&connection.key.original, connection.counters);
    let packets = counters.packets.saturating_add(counters.reverse_packets);
    original.protocol == podflow_flow::protocol::TCP
        && packets <= PROBE_PACKETS
        && destination.pod().is_some_and(|pod| pod.probes.contains(&connection.key.endpoint.port))
}

/// The destination that was dialled is not the endpoint that answers.
fn is_translated(connection: &Connection) -> bool {
    let original = &connection.key.original;
    let endpoint = connection.key.endpoint;
    // ICMP's reply tuple has no ports, and GRE's keys may differ by direction.
    original.destination != endpoint.address
        || (matches!(original.layer4, Layer4::Ports { .. })
            && original.protocol != GRE
            && original.destination_port() != endpoint.port)
}

/// The kernel's name of a TCP state; empty for everything else.
pub(crate) fn tcp_state(state: ProtocolState) -> &'static str {
    match state {
        ProtocolState::Tcp(number) => TCP_STATES.get(usize::from(number)).copied().unwrap_or_default(),
        ProtocolState::Sctp(_) | ProtocolState::None => "",
    }
}

fn signed(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

/// `enum tcp_conntrack`, in the kernel's order.
const TCP_STATES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

/// A probe of HTTP asks for little and reads 10 KiB of the answer at most; with room for TLS.
const PROBE_PACKETS: u64 = 64;

/// GRE's keys stand where other protocols have ports.
const GRE: u8 = podflow_flow::protocol::GRE;
