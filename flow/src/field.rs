//! The one table of a flow record's fields: name, element, length on the wire, document type and value.
//!
//! Templates, records, the index mapping, the store's columns and the dashboards' field list are made from it.
//! Its order is the order on the wire; new fields go to the end.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use podflow_ipfix::ElementKey;
use podflow_ipfix::element::{ANTREA, ANTREA_LEGACY, IANA, REVERSE};
use podflow_ipfix::value::Value;

use crate::index::IndexType;
use crate::record::FlowRecord;

/// Length of a variable-length field in a template (RFC 7011 section 7).
pub const VARIABLE: u16 = 65_535;

/// In which address family's template a field stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// In both.
    Any,
    /// Template 256.
    V4,
    /// Template 257.
    V6,
}

/// One field of a flow record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The element's name; the document field is `ipfix.<name>`.
    pub name: &'static str,
    /// The element as our users' set-up documents it.
    pub element: ElementKey,
    /// The element under Antrea's registered number 56506, where the two differ (profile `antrea`), with the
    /// name that it has there.
    pub antrea: Option<(ElementKey, &'static str)>,
    /// Octets on our wire, or [`VARIABLE`].
    pub length: u16,
    /// In which template it stands.
    pub family: Family,
    /// How its document field is indexed.
    pub index: IndexType,
    /// What the record says for it.
    pub value: for<'a> fn(&'a FlowRecord<'a>) -> Value<'a>,
}

/// How many fields at the head of [`FIELDS`] are those of profile `v0.9` (both families counted).
pub const V09_FIELDS: usize = 25;

/// Every field that our exporter sends, in the order of the wire.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    // v0.9: 23 elements a template.
    field("flowStartSeconds",            (IANA, 150),           4,        Family::Any, IndexType::Date,    |r| Value::Seconds(r.start_ms / 1000)),
    field("flowEndSeconds",              (IANA, 151),           4,        Family::Any, IndexType::Date,    |r| Value::Seconds(r.end_ms / 1000)),
    field("sourceIPv4Address",           (IANA, 8),             4,        Family::V4,  IndexType::Ip,      |r| ipv4(Some(r.source))),
    field("sourceIPv6Address",           (IANA, 27),            16,       Family::V6,  IndexType::Ip,      |r| ipv6(Some(r.source))),
    field("destinationIPv4Address",      (IANA, 12),            4,        Family::V4,  IndexType::Ip,      |r| ipv4(Some(r.destination))),
    field("destinationIPv6Address",      (IANA, 28),            16,       Family::V6,  IndexType::Ip,      |r| ipv6(Some(r.destination))),
    field("sourceTransportPort",         (IANA, 7),             2,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.source_port.into())),
    field("destinationTransportPort",    (IANA, 11),            2,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.destination_port.into())),
    field("protocolIdentifier",          (IANA, 4),             1,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.protocol.into())),
    field("packetTotalCount",            (IANA, 86),            8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.forward.packets_total)),
    field("octetTotalCount",             (IANA, 85),            8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.forward.octets_total)),
    field("packetDeltaCount",            (IANA, 2),             8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.forward.packets_delta)),
    field("octetDeltaCount",             (IANA, 1),             8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.forward.octets_delta)),
    field("reversePacketTotalCount",     (REVERSE, 86),         8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.reverse.packets_total)),
    field("reverseOctetTotalCount",      (REVERSE, 85),         8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.reverse.octets_total)),
    field("reversePacketDeltaCount",     (REVERSE, 2),          8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.reverse.packets_delta)),
    field("reverseOctetDeltaCount",      (REVERSE, 1),          8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.reverse.octets_delta)),
    field("sourcePodName",               (ANTREA_LEGACY, 101),  VARIABLE, Family::Any, IndexType::Keyword, |r| text(r.source_pod_name)),
    field("sourcePodNamespace",          (ANTREA_LEGACY, 100),  VARIABLE, Family::Any, IndexType::Keyword, |r| text(r.source_pod_namespace)),
    field("sourceNodeName",              (ANTREA_LEGACY, 104),  VARIABLE, Family::Any, IndexType::Keyword, |r| text(r.source_node_name)),
    field("destinationPodName",          (ANTREA_LEGACY, 103),  VARIABLE, Family::Any, IndexType::Keyword, |r| text(r.destination_pod_name)),
    field("destinationPodNamespace",     (ANTREA_LEGACY, 102),  VARIABLE, Family::Any, IndexType::Keyword, |r| text(r.destination_pod_namespace)),
    field("destinationNodeName",         (ANTREA_LEGACY, 105),  VARIABLE, Family::Any, IndexType::Keyword, |r| text(r.destination_node_name)),
    field("destinationClusterIP",        (ANTREA_LEGACY, 106),  4,        Family::V4,  IndexType::Ip,      |r| ipv4(r.cluster_ip)).in_antrea(106, "destinationClusterIPv4"),
    field("destinationServicePortName",  (ANTREA_LEGACY, 108),  VARIABLE, Family::Any, IndexType::Keyword, |r| text(r.service_port_name)).in_antrea(109, "destinationServicePortName"),
    // full: everything above, and these.
    field("flowEndReason",               (IANA, 136),           1,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.end_reason as u64)),
    field("flowStartMilliseconds",       (IANA, 152),           8,        Family::Any, IndexType::Date,    |r| Value::Milliseconds(r.start_ms)),
    field("flowEndMilliseconds",         (IANA, 153),           8,        Family::Any, IndexType::Date,    |r| Value::Milliseconds(r.end_ms)),
    field("flowId",                      (IANA, 148),           8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.flow_id)),
    field("destinationServicePort",      (ANTREA_LEGACY, 107),  2,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.service_port.into())).in_antrea(108, "destinationServicePort"),
    field("tcpState",                    (ANTREA, 136),         VARIABLE, Family::Any, IndexType::Keyword, |r| text(r.tcp_state)),
    field("flowType",                    (ANTREA, 137),         1,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.flow_type.to_wire().into())),
    field("throughput",                  (ANTREA, 145),         8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.throughput)),
    field("reverseThroughput",           (ANTREA, 146),         8,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.reverse_throughput)),
    field("icmpTypeCodeIPv4",            (IANA, 32),            2,        Family::V4,  IndexType::Long,    |r| Value::Unsigned(r.icmp_type_code.into())),
    field("icmpTypeCodeIPv6",            (IANA, 139),           2,        Family::V6,  IndexType::Long,    |r| Value::Unsigned(r.icmp_type_code.into())),
    field("postNATSourceIPv4Address",    (IANA, 225),           4,        Family::V4,  IndexType::Ip,      |r| ipv4(r.post_nat_source)),
    field("postNATSourceIPv6Address",    (IANA, 281),           16,       Family::V6,  IndexType::Ip,      |r| ipv6(r.post_nat_source)),
    field("postNAPTSourceTransportPort", (IANA, 227),           2,        Family::Any, IndexType::Long,    |r| Value::Unsigned(r.post_nat_source_port.into())),
    field("destinationServiceIPv4",      (ANTREA, 168),         4,        Family::V4,  IndexType::Ip,      |r| ipv4(r.dialled)),
    field("destinationServiceIPv6",      (ANTREA, 169),         16,       Family::V6,  IndexType::Ip,      |r| ipv6(r.dialled)),
    field("destinationClusterIPv6",      (ANTREA, 107),         16,       Family::V6,  IndexType::Ip,      |r| ipv6(r.cluster_ip)),
];

const fn field(
    name: &'static str,
    (enterprise, id): (u32, u16),
    length: u16,
    family: Family,
    index: IndexType,
    value: for<'a> fn(&'a FlowRecord<'a>) -> Value<'a>,
) -> Field {
    // Antrea kept ids and names from 55829 to 56506 except where `in_antrea` says otherwise.
    let antrea = if enterprise == ANTREA_LEGACY { Some((ElementKey::new(ANTREA, id), name)) } else { None };
    Field { name, element: ElementKey::new(enterprise, id), antrea, length, family, index, value }
}

impl Field {
    const fn in_antrea(self, id: u16, name: &'static str) -> Self {
        Self { antrea: Some((ElementKey::new(ANTREA, id), name)), ..self }
    }
}

const fn text(name: &str) -> Value<'_> {
    Value::String(Cow::Borrowed(name))
}

/// An address that does not apply (or is of the other family) is all zeroes on the wire.
fn ipv4(address: Option<IpAddr>) -> Value<'static> {
    match address {
        Some(IpAddr::V4(address)) => Value::Ipv4(address),
        _ => Value::Ipv4(Ipv4Addr::UNSPECIFIED),
    }
}

fn ipv6(address: Option<IpAddr>) -> Value<'static> {
    match address {
        Some(IpAddr::V6(address)) => Value::Ipv6(address),
        _ => Value::Ipv6(Ipv6Addr::UNSPECIFIED),
    }
}
