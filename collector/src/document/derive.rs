//! Last step of a document: the fields that no element carries, each as `podflow_flow::DERIVED` describes it.

use std::net::IpAddr;

use podflow_flow::derived::{policy_type_name, rule_action_name};
use podflow_flow::record::flow_id;
use podflow_flow::{FlowKind, FlowType, Party, protocol};

use super::facts::Facts;
use super::keys::{Key, key};
use super::role::Role;

/// Where derived fields go.
pub(crate) trait Output {
    /// Keeps the name of an end of the flow, of which several fields are made.
    fn name(&mut self, end: End, parts: &[Part<'_>]);

    fn unsigned(&mut self, key: &'static Key, number: u64);

    fn address(&mut self, key: &'static Key, address: IpAddr);

    /// A text of several parts.
    fn text(&mut self, key: &'static Key, parts: &[Part<'_>]);
}

/// An end of a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// A part of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// As the record or the directory says it.
    Text(&'a str),
    /// Ours, and free of anything that JSON would escape.
    Plain(&'static str),
    Number(u64),
    Address(IpAddr),
    /// The name that was kept for that end.
    Name(End),
}

/// What is known of the exporter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exporter<'a> {
    /// Whether it is of this cluster.
    pub(crate) of_cluster: bool,
    /// Its Node.
    pub(crate) node: Option<&'a str>,
}

/// Gives out the derived fields of a record.
pub(crate) fn derive(facts: &impl Facts, exporter: Exporter<'_>, out: &mut impl Output) {
    let source = facts.address(Role::SourceAddress);
    let destination = facts.address(Role::DestinationAddress);
    let number = facts.number(Role::Protocol).and_then(|number| u8::try_from(number).ok());

    sum(out, key!("bytes"), facts.number(Role::Octets), facts.number(Role::ReverseOctets));
    sum(out, key!("packets"), facts.number(Role::Packets), facts.number(Role::ReversePackets));
    if let Some(address) = source {
        out.address(key!("sourceIP"), address);
    }
    if let Some(address) = destination {
        out.address(key!("destinationIP"), address);
    }
    word(out, key!("protocol"), number.and_then(protocol::name));
    let kind = kind(facts, exporter);
    word(out, key!("flowKind"), kind.map(FlowKind::name));
    word(out, key!("flowTypeStr"), flow_type(facts, kind).name());

    let from = EndName::of(facts, [Role::SourcePodNamespace, Role::SourcePodName, Role::SourceNode], source);
    let to = EndName::of(
        facts,
        [Role::DestinationPodNamespace, Role::DestinationPodName, Role::DestinationNode],
        destination,
    );
    from.keep(out, End::Source);
    to.keep(out, End::Destination);
    let (a, b) = (Part::Name(End::Source), Part::Name(End::Destination));
    let both = from.is_some() && to.is_some();
    if both {
        flow_key(facts, [from, to], number, out);
    }
    if facts.number(Role::FlowId).is_none()
        && let (Some(source), Some(destination)) = (source, destination)
    {
        out.unsigned(key!("flowId"), made_flow_id(facts, source, destination, number));
    }
    if from.is_some() {
        out.text(key!("sourceName"), &[a]);
    }
    if to.is_some() {
        out.text(key!("destinationName"), &[b]);
    }
    if both {
        out.text(key!("podPair"), &[a, ARROW, b]);
    }
    let service = facts.text(Role::ServicePortName);
    if from.is_some() && !service.is_empty() {
        out.text(key!("servicePair"), &[a, ARROW, Part::Text(service)]);
    }
    let (source_node, destination_node) = (facts.text(Role::SourceNode), facts.text(Role::DestinationNode));
    if !source_node.is_empty() && !destination_node.is_empty() {
        out.text(key!("nodePair"), &[Part::Text(source_node), ARROW, Part::Text(destination_node)]);
    }
    if let Some(node) = exporter.node {
        out.text(key!("exporterNode"), &[Part::Text(node)]);
    }
    for (role, key) in [
        (Role::IngressPolicyType, key!("ingressNetworkPolicyTypeStr")),
        (Role::EgressPolicyType, key!("egressNetworkPolicyTypeStr")),
    ] {
        word(out, key, facts.number(role).and_then(policy_type_name));
    }
    for (role, key) in [
        (Role::IngressRuleAction, key!("ingressNetworkPolicyRuleActionStr")),
        (Role::EgressRuleAction, key!("egressNetworkPolicyRuleActionStr")),
    ] {
        word(out, key, facts.number(role).and_then(rule_action_name));
    }
}

fn sum(out: &mut impl Output, key: &'static Key, forward: Option<u64>, reverse: Option<u64>) {
    if forward.is_some() || reverse.is_some() {
        // Both are at most 2^63 - 1, and so is what is stored.
        out.unsigned(key, forward.unwrap_or(0).saturating_add(reverse.unwrap_or(0)).min(i64::MAX as u64));
    }
}

fn word(out: &mut impl Output, key: &'static Key, word: Option<&'static str>) {
    if let Some(word) = word {
        out.text(key, &[Part::Plain(word)]);
    }
}

/// Who talks to whom; unknown where neither the record nor the directory names anybody and the exporter is not of
/// this cluster.
fn kind(facts: &impl Facts, exporter: Exporter<'_>) -> Option<FlowKind> {
    let party = |pod, node| {
        if !facts.text(pod).is_empty() {
            Party::Pod
        } else if !facts.text(node).is_empty() {
            Party::Node
        } else {
            Party::External
        }
    };
    let source = party(Role::SourcePodName, Role::SourceNode);
    let destination = if facts.text(Role::ServicePortName).is_empty() {
        party(Role::DestinationPodName, Role::DestinationNode)
    } else {
        Party::Service
    };
    let nobody = source == Party::External && destination == Party::External;
    (exporter.of_cluster || !nobody).then_some(FlowKind { source, destination })
}

/// The record's own flow type, else what the ends say.
fn flow_type(facts: &impl Facts, kind: Option<FlowKind>) -> FlowType {
    let told = FlowType::from_wire(facts.number(Role::FlowType).unwrap_or_default());
    let Some(kind) = kind.filter(|_| told == FlowType::Unspecified) else { return told };
    let (source, destination) = (facts.text(Role::SourceNode), facts.text(Role::DestinationNode));
    match (kind.source, kind.destination) {
        (Party::External, Party::External) => FlowType::Unspecified,
        (Party::External, _) => FlowType::FromExternal,
        (_, Party::External) => FlowType::ToExternal,
        _ if source.is_empty() || destination.is_empty() => FlowType::Unspecified,
        _ if source == destination => FlowType::IntraNode,
        _ => FlowType::InterNode,
    }
}

/// `namespace/pod`, else Node, else address.
#[derive(Clone, Copy)]
enum EndName<'a> {
    Pod(&'a str, &'a str),
    Node(&'a str),
    Address(IpAddr),
    Nobody,
}

impl<'a> EndName<'a> {
    fn of(facts: &'a impl Facts, [namespace, pod, node]: [Role; 3], address: Option<IpAddr>) -> Self {
        let (namespace, pod, node) = (facts.text(namespace), facts.text(pod), facts.text(node));
        match address {
            _ if !pod.is_empty() => Self::Pod(namespace, pod),
            _ if !node.is_empty() => Self::Node(node),
            Some(address) => Self::Address(address),
            None => Self::Nobody,
        }
    }

    fn keep(self, out: &mut impl Output, end: End) {
        match self {
            Self::Pod(namespace, pod) => {
                out.name(end, &[Part::Text(namespace), Part::Plain("/"), Part::Text(pod)]);
            }
            Self::Node(node) => out.name(end, &[Part::Text(node)]),
            Self::Address(address) => out.name(end, &[Part::Address(address)]),
            Self::Nobody => {}
        }
    }

    const fn is_some(self) -> bool {
        !matches!(self, Self::Nobody)
    }

    /// An IPv6 address ends in brackets before its port.
    const fn needs_brackets(self) -> bool {
        matches!(self, Self::Address(IpAddr::V6(_)))
    }
}

/// `source:port→destination:port TCP`; without ports for protocols that have none.
fn flow_key(facts: &impl Facts, ends: [EndName<'_>; 2], number: Option<u8>, out: &mut impl Output) {
    let ports = [facts.port(Role::SourcePort), facts.port(Role::DestinationPort)];
    let has_ports = matches!(number, Some(protocol::TCP | protocol::UDP | protocol::SCTP)) || ports != [0, 0];
    let mut parts = [Part::Plain(""); 14];
    let mut count = 0;
    let mut push = |part| {
        if let Some(place) = parts.get_mut(count) {
            *place = part;
            count += 1;
        }
    };
    for ((end, which), port) in ends.into_iter().zip([End::Source, End::Destination]).zip(ports) {
        if which == End::Destination {
            push(Part::Plain("→"));
        }
        let brackets = has_ports && end.needs_brackets();
        if brackets {
            push(Part::Plain("["));
        }
        push(Part::Name(which));
        if has_ports {
            push(Part::Plain(if brackets { "]:" } else { ":" }));
            push(Part::Number(port.into()));
        }
    }
    if let Some(number) = number {
        push(Part::Plain(" "));
        push(protocol::name(number).map_or_else(|| Part::Number(number.into()), Part::Plain));
    }
    out.text(key!("flowKey"), &parts[..count]);
}

/// An id for flows whose exporter gives none: domain, key and start.
fn made_flow_id(facts: &impl Facts, source: IpAddr, destination: IpAddr, number: Option<u8>) -> u64 {
    fn octets(ip: IpAddr) -> [u8; 16] {
        match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        }
    }
    flow_id(&[
        &facts.origin().domain.to_be_bytes(),
        &octets(source),
        &octets(destination),
        &facts.port(Role::SourcePort).to_be_bytes(),
        &facts.port(Role::DestinationPort).to_be_bytes(),
        &[number.unwrap_or_default()],
        &facts.number(Role::Start).unwrap_or_default().to_be_bytes(),
    ])
}

const ARROW: Part<'static> = Part::Plain(" → ");
