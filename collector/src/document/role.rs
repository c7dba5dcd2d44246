//! Which elements of a record the rest of the document is made from: addresses, ports, counters, names.
//!
//! Roles go by element key, so that a definition file may rename an element and its role stays.

use podflow_ipfix::ElementKey;
use podflow_ipfix::element::{ANTREA, ANTREA_LEGACY, IANA, REVERSE};

use super::model::{Document, Value};

/// What an element says about its flow, whichever exporter sent it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Role {
    SourceAddress,
    DestinationAddress,
    SourcePort,
    DestinationPort,
    Protocol,
    Octets,
    ReverseOctets,
    Packets,
    ReversePackets,
    OctetsTotal,
    ReverseOctetsTotal,
    PacketsTotal,
    ReversePacketsTotal,
    Start,
    End,
    EndMilliseconds,
    EndReason,
    FlowId,
    FlowType,
    SourcePodName,
    SourcePodNamespace,
    SourceNode,
    DestinationPodName,
    DestinationPodNamespace,
    DestinationNode,
    ClusterIp,
    Dialled,
    ServicePort,
    ServicePortName,
    Throughput,
    ReverseThroughput,
    IngressPolicyType,
    EgressPolicyType,
    IngressRuleAction,
    EgressRuleAction,
}

/// How many roles there are.
pub(crate) const ROLES: usize = Role::EgressRuleAction as usize + 1;

impl Role {
    /// The role of an element, if it has one.
    pub(crate) const fn of(key: ElementKey) -> Option<Self> {
        Some(match (key.enterprise, key.id) {
            (IANA, 8 | 27) => Self::SourceAddress,
            (IANA, 12 | 28) => Self::DestinationAddress,
            (IANA, 7 | 180 | 182) => Self::SourcePort,
            (IANA, 11 | 181 | 183) => Self::DestinationPort,
            (IANA, 4) => Self::Protocol,
            (IANA, 1) => Self::Octets,
            (REVERSE, 1) => Self::ReverseOctets,
            (IANA, 2) => Self::Packets,
            (REVERSE, 2) => Self::ReversePackets,
            (IANA, 85) => Self::OctetsTotal,
            (REVERSE, 85) => Self::ReverseOctetsTotal,
            (IANA, 86) => Self::PacketsTotal,
            (REVERSE, 86) => Self::ReversePacketsTotal,
            (IANA, 150 | 152 | 154 | 156) => Self::Start,
            (IANA, 151 | 155 | 157) => Self::End,
            (IANA, 153) => Self::EndMilliseconds,
            (IANA, 136) => Self::EndReason,
            (IANA, 148) => Self::FlowId,
            (ANTREA, 137) => Self::FlowType,
            (ANTREA | ANTREA_LEGACY, 101) => Self::SourcePodName,
            (ANTREA | ANTREA_LEGACY, 100) => Self::SourcePodNamespace,
            (ANTREA | ANTREA_LEGACY, 104) => Self::SourceNode,
            (ANTREA | ANTREA_LEGACY, 103) => Self::DestinationPodName,
            (ANTREA | ANTREA_LEGACY, 102) => Self::DestinationPodNamespace,
            (ANTREA | ANTREA_LEGACY, 105) => Self::DestinationNode,
            (ANTREA_LEGACY, 106) | (ANTREA, 106 | 107) => Self::ClusterIp,
            (ANTREA, 168 | 169) => Self::Dialled,
            (ANTREA_LEGACY, 107) | (ANTREA, 108) => Self::ServicePort,
            (ANTREA_LEGACY, 108) | (ANTREA, 109) => Self::ServicePortName,
            (ANTREA, 145) => Self::Throughput,
            (ANTREA, 146) => Self::ReverseThroughput,
            (ANTREA, 115) => Self::IngressPolicyType,
            (ANTREA, 118) => Self::EgressPolicyType,
            (ANTREA, 139) => Self::IngressRuleAction,
            (ANTREA, 140) => Self::EgressRuleAction,
            _ => return None,
        })
    }
}

/// Where in a document's fields the elements with a role stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places([u16; ROLES]);

impl Places {
    /// Nothing stands anywhere yet.
    pub(crate) const NONE: Self = Self([u16::MAX; ROLES]);

    /// Notes that the role's field is the one at `place`.
    pub(crate) fn set(&mut self, role: Role, place: usize) {
        self.0[role as usize] = u16::try_from(place).unwrap_or(u16::MAX);
    }

    /// The role's field plays no role any more.
    pub(crate) fn clear(&mut self, role: Role) {
        self.0[role as usize] = u16::MAX;
    }

    /// The place of the role's field.
    pub(crate) fn place(&self, role: Role) -> Option<usize> {
        let place = self.0[role as usize];
        (place != u16::MAX).then_some(usize::from(place))
    }

    /// The value of the role's field.
    pub(crate) fn value<'d, 'a>(&self, document: &'d Document<'a>, role: Role) -> Option<&'d Value<'a>> {
        document.fields.get(self.place(role)?).map(|(_, value)| value)
    }

    /// The role's number.
    pub(crate) fn number(&self, document: &Document<'_>, role: Role) -> Option<u64> {
        match self.value(document, role)? {
            Value::Unsigned(number) => Some(*number),
            Value::Time(millis) => u64::try_from(*millis).ok(),
            _ => None,
        }
    }

    /// The role's address, unless it is all zeroes.
    pub(crate) fn address(&self, document: &Document<'_>, role: Role) -> Option<std::net::IpAddr> {
        match self.value(document, role)? {
            Value::Address(ip) if !ip.is_unspecified() => Some(*ip),
            _ => None,
        }
    }

    /// The role's text, empty where there is none.
    pub(crate) fn text<'d>(&self, document: &'d Document<'_>, role: Role) -> &'d str {
        match self.value(document, role) {
            Some(Value::String(text)) => text,
            _ => "",
        }
    }
}
