//! Last step of a document: the fields that no element carries, each as `podflow_flow::DERIVED` describes it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use podflow_flow::derived::{policy_type_name, rule_action_name};
use podflow_flow::record::flow_id;
use podflow_flow::{FlowKind, FlowType, Party, protocol};

use super::model::{Document, Value};
use super::role::Role;
use super::shape::Draft;

/// Adds the derived fields; the document is complete then.
pub(crate) fn derive<'a>(mut draft: Draft<'a>) -> Document<'a> {
    draft.set_destination_copy_aside();
    let mut derived = Derived { fields: Vec::new() };
    let source = draft.address(Role::SourceAddress);
    let destination = draft.address(Role::DestinationAddress);
    let number = draft.number(Role::Protocol).and_then(|number| u8::try_from(number).ok());

    derived.sum("bytes", draft.number(Role::Octets), draft.number(Role::ReverseOctets));
    derived.sum("packets", draft.number(Role::Packets), draft.number(Role::ReversePackets));
    derived.address("sourceIP", source);
    derived.address("destinationIP", destination);
    derived.word("protocol", number.and_then(protocol::name));
    let kind = draft.kind();
    derived.word("flowKind", kind.map(FlowKind::name));
    derived.word("flowTypeStr", draft.flow_type(kind).name());

    let source_name = draft.end_name(Role::SourcePodNamespace, Role::SourcePodName, Role::SourceNode, source);
    let destination_name = draft.end_name(
        Role::DestinationPodNamespace,
        Role::DestinationPodName,
        Role::DestinationNode,
        destination,
    );
    let both = !source_name.is_empty() && !destination_name.is_empty();
    derived.some("flowKey", both.then(|| draft.flow_key(&source_name, &destination_name, number)));
    if draft.number(Role::FlowId).is_none()
        && let (Some(source), Some(destination)) = (source, destination)
    {
        derived.push("flowId", Value::Unsigned(draft.made_flow_id(source, destination, number)));
    }
    let service = draft.text(Role::ServicePortName);
    let pod_pair = both.then(|| pair(&source_name, &destination_name));
    let service_pair = (!source_name.is_empty() && !service.is_empty()).then(|| pair(&source_name, service));
    derived.some("sourceName", Some(source_name).filter(|name| !name.is_empty()));
    derived.some("destinationName", Some(destination_name).filter(|name| !name.is_empty()));
    derived.some("podPair", pod_pair);
    derived.some("servicePair", service_pair);
    let (source_node, destination_node) = (draft.text(Role::SourceNode), draft.text(Role::DestinationNode));
    let both = !source_node.is_empty() && !destination_node.is_empty();
    derived.some("nodePair", both.then(|| pair(source_node, destination_node)));
    derived.some("exporterNode", draft.exporter_node.as_ref().map(ToString::to_string));
    for (role, name) in [
        (Role::IngressPolicyType, "ingressNetworkPolicyTypeStr"),
        (Role::EgressPolicyType, "egressNetworkPolicyTypeStr"),
    ] {
        derived.word(name, draft.number(role).and_then(policy_type_name));
    }
    for (role, name) in [
        (Role::IngressRuleAction, "ingressNetworkPolicyRuleActionStr"),
        (Role::EgressRuleAction, "egressNetworkPolicyRuleActionStr"),
    ] {
        derived.word(name, draft.number(role).and_then(rule_action_name));
    }
    let mut document = draft.document;
    document.fields.append(&mut derived.fields);
    document
}

struct Derived<'a> {
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Derived<'a> {
    fn push(&mut self, name: &'static str, value: Value<'a>) {
        self.fields.push((Cow::Borrowed(name), value));
    }

    fn sum(&mut self, name: &'static str, forward: Option<u64>, reverse: Option<u64>) {
        if forward.is_some() || reverse.is_some() {
            // Both are at most 2^63 - 1, and so is what is stored.
            let sum = forward.unwrap_or(0).saturating_add(reverse.unwrap_or(0)).min(i64::MAX as u64);
            self.push(name, Value::Unsigned(sum));
        }
    }

    fn address(&mut self, name: &'static str, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.push(name, Value::Address(address));
        }
    }

    fn word(&mut self, name: &'static str, word: Option<&'static str>) {
        if let Some(word) = word {
            self.push(name, Value::String(Cow::Borrowed(word)));
        }
    }

    fn some(&mut self, name: &'static str, text: Option<String>) {
        if let Some(text) = text {
            self.push(name, Value::String(Cow::Owned(text)));
        }
    }
}

impl Draft<'_> {
    /// The copy that the destination's agent made of a flow between two Nodes (Antrea since v0.12): its counters
    /// go under their `…FromDestinationNode` names, so that no sum counts the flow twice.
    fn set_destination_copy_aside(&mut self) {
        if !self.destination_copy {
            return;
        }
        for (role, name) in [
            (Role::PacketsTotal, "packetTotalCountFromDestinationNode"),
            (Role::OctetsTotal, "octetTotalCountFromDestinationNode"),
            (Role::Packets, "packetDeltaCountFromDestinationNode"),
            (Role::Octets, "octetDeltaCountFromDestinationNode"),
            (Role::ReversePacketsTotal, "reversePacketTotalCountFromDestinationNode"),
            (Role::ReverseOctetsTotal, "reverseOctetTotalCountFromDestinationNode"),
            (Role::ReversePackets, "reversePacketDeltaCountFromDestinationNode"),
            (Role::ReverseOctets, "reverseOctetDeltaCountFromDestinationNode"),
            (Role::Throughput, "throughputFromDestinationNode"),
            (Role::ReverseThroughput, "reverseThroughputFromDestinationNode"),
        ] {
            if let Some((old, _)) =
                self.places.place(role).and_then(|place| self.document.fields.get_mut(place))
            {
                *old = Cow::Borrowed(name);
            }
            self.places.clear(role);
        }
    }

    /// Who talks to whom; unknown where neither the record nor the directory names anybody and the exporter is
    /// not of this cluster.
    fn kind(&self) -> Option<FlowKind> {
        let party = |pod, node| {
            if !self.text(pod).is_empty() {
                Party::Pod
            } else if !self.text(node).is_empty() {
                Party::Node
            } else {
                Party::External
            }
        };
        let source = party(Role::SourcePodName, Role::SourceNode);
        let destination = if self.text(Role::ServicePortName).is_empty() {
            party(Role::DestinationPodName, Role::DestinationNode)
        } else {
            Party::Service
        };
        let nobody = source == Party::External && destination == Party::External;
        (self.of_cluster || !nobody).then_some(FlowKind { source, destination })
    }

    /// The record's own flow type, else what the ends say.
    fn flow_type(&self, kind: Option<FlowKind>) -> FlowType {
        let told = FlowType::from_wire(self.number(Role::FlowType).unwrap_or_default());
        let Some(kind) = kind.filter(|_| told == FlowType::Unspecified) else { return told };
        let (source, destination) = (self.text(Role::SourceNode), self.text(Role::DestinationNode));
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
    fn end_name(&self, namespace: Role, pod: Role, node: Role, address: Option<IpAddr>) -> String {
        let (namespace, pod, node) = (self.text(namespace), self.text(pod), self.text(node));
        if !pod.is_empty() {
            let mut name = String::with_capacity(namespace.len() + 1 + pod.len());
            name.push_str(namespace);
            name.push('/');
            name.push_str(pod);
            name
        } else if !node.is_empty() {
            node.to_owned()
        } else {
            address.map(|address| address.to_string()).unwrap_or_default()
        }
    }

    /// `source:port→destination:port TCP`; without ports for protocols that have none.
    fn flow_key(&self, source: &str, destination: &str, number: Option<u8>) -> String {
        let mut key = String::with_capacity(source.len() + destination.len() + 24);
        let has_ports = matches!(number, Some(protocol::TCP | protocol::UDP | protocol::SCTP));
        let (from, to) = (self.port(Role::SourcePort), self.port(Role::DestinationPort));
        let has_ports = has_ports || from != 0 || to != 0;
        for (name, port, before) in [(source, from, ""), (destination, to, "→")] {
            key.push_str(before);
            // An IPv6 address ends in brackets before its port.
            let bracket = has_ports && name.contains(':');
            // Writing to a String cannot fail.
            match (bracket, has_ports) {
                (true, _) => write!(key, "[{name}]:{port}"),
                (false, true) => write!(key, "{name}:{port}"),
                (false, false) => write!(key, "{name}"),
            }
            .unwrap_or_default();
        }
        if let Some(number) = number {
            match protocol::name(number) {
                Some(name) => write!(key, " {name}"),
                None => write!(key, " {number}"),
            }
            .unwrap_or_default();
        }
        key
    }

    /// An id for flows whose exporter gives none: domain, key and start.
    fn made_flow_id(&self, source: IpAddr, destination: IpAddr, number: Option<u8>) -> u64 {
        fn octets(ip: IpAddr) -> [u8; 16] {
            match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            }
        }
        flow_id(&[
            &self.origin.domain.to_be_bytes(),
            &octets(source),
            &octets(destination),
            &self.port(Role::SourcePort).to_be_bytes(),
            &self.port(Role::DestinationPort).to_be_bytes(),
            &[number.unwrap_or_default()],
            &self.number(Role::Start).unwrap_or_default().to_be_bytes(),
        ])
    }
}

/// `a → b`.
fn pair(a: &str, b: &str) -> String {
    let mut text = String::with_capacity(a.len() + b.len() + 5);
    text.push_str(a);
    text.push_str(" → ");
    text.push_str(b);
    text
}
