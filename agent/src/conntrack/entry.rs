//! One connection as conntrack describes it: two tuples, zones, counters, state and times.
//!
//! [`Entry::parse`] reads the attributes of one message of the kernel. Attributes it does not know are stepped over;
//! only an entry without both tuples is refused. Numbers are the kernel's (include/uapi/linux/netfilter).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::conntrack::attributes::{Attribute, Attributes};

/// One connection tracking entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    /// The zones it is kept in, one per direction.
    pub(crate) zones: Zones,
    /// The packet that opened the connection, before any translation.
    pub(crate) original: Tuple,
    /// What answers are expected to look like: its source is the real endpoint, after translation.
    pub(crate) reply: Tuple,
    /// The kernel's name for the entry. Successive connections of one tuple may get the same.
    pub(crate) id: u32,
    /// `IPS_…` bits.
    pub(crate) status: Status,
    /// Absent where the kernel's counters were off when the entry was born.
    pub(crate) counters: Option<Counters>,
    /// When the entry was confirmed, nanoseconds since 1970; absent where timestamps were off.
    pub(crate) start_ns: Option<u64>,
    /// When it expired or was deleted, nanoseconds since 1970; only in destroy events.
    pub(crate) stop_ns: Option<u64>,
    /// Seconds until it expires, as of the moment it was read.
    pub(crate) timeout_seconds: Option<u32>,
    /// State of the protocol's own machine, for TCP and SCTP.
    pub(crate) state: ProtocolState,
}

/// The conntrack zones of the two directions. They differ only where a rule assigns them per direction.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Zones {
    pub(crate) original: u16,
    pub(crate) reply: u16,
}

/// Addresses and transport of one direction.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Tuple {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// IANA protocol number.
    pub(crate) protocol: u8,
    pub(crate) layer4: Layer4,
}

impl Tuple {
    /// Source port; 0 where the protocol has none.
    pub(crate) fn source_port(&self) -> u16 {
        if let Layer4::Ports { source, .. } = self.layer4 { source } else { 0 }
    }

    /// Destination port; 0 where the protocol has none.
    pub(crate) fn destination_port(&self) -> u16 {
        if let Layer4::Ports { destination, .. } = self.layer4 { destination } else { 0 }
    }
}

/// What the protocol above IP adds to a tuple.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Layer4 {
    /// Nothing: the addresses and the protocol are all there is.
    None,
    /// TCP, UDP, SCTP, DCCP; for GRE the keys.
    Ports { source: u16, destination: u16 },
    /// ICMP and ICMPv6.
    Icmp { id: u16, kind: u8, code: u8 },
}

/// Packets and octets of both directions, in the kernel's units (GRO and GSO packets, octets from layer 3 up).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counters {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) reverse_packets: u64,
    pub(crate) reverse_octets: u64,
}

impl Counters {
    /// What was added since `earlier`; `None` where any counter went back.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            packets: self.packets.checked_sub(earlier.packets)?,
            octets: self.octets.checked_sub(earlier.octets)?,
            reverse_packets: self.reverse_packets.checked_sub(earlier.reverse_packets)?,
            reverse_octets: self.reverse_octets.checked_sub(earlier.reverse_octets)?,
        })
    }
}

/// State of the transport protocol's own machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ProtocolState {
    /// The protocol has none, or the kernel did not say.
    #[default]
    None,
    /// `enum tcp_conntrack`.
    Tcp(u8),
    /// `enum sctp_conntrack`.
    Sctp(u8),
}

/// The `IPS_…` bits of an entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Status(pub(crate) u32);

impl Status {
    /// Forwarded by a flowtable (bit 14) or by hardware (bit 15): counters may stand still.
    pub(crate) const OFFLOADED: u32 = 1 << 14 | 1 << 15;

    /// True when any of the given bits is set.
    pub(crate) fn any(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}

impl Entry {
    /// Reads the attributes of one conntrack message (what follows the four octets of `struct nfgenmsg`).
    /// `None` where a tuple is missing or cut short: such an entry cannot be told from another.
    pub(crate) fn parse(attributes: &[u8]) -> Option<Self> {
        let mut original = None;
        let mut reply = None;
        let mut zone = 0;
        let mut id = 0;
        let mut status = Status::default();
        let mut forward = None;
        let mut backward = None;
        let mut start_ns = None;
        let mut stop_ns = None;
        let mut timeout_seconds = None;
        let mut state = ProtocolState::None;
        for attribute in Attributes::new(attributes) {
            match attribute.kind {
                CTA_TUPLE_ORIG => original = Some(read_tuple(attribute)?),
                CTA_TUPLE_REPLY => reply = Some(read_tuple(attribute)?),
                CTA_STATUS => status = Status(attribute.u32()?),
                CTA_PROTOINFO => state = read_state(attribute),
                CTA_TIMEOUT => timeout_seconds = attribute.u32(),
                CTA_COUNTERS_ORIG => forward = read_counters(attribute),
                CTA_COUNTERS_REPLY => backward = read_counters(attribute),
                CTA_ID => id = attribute.u32()?,
                CTA_ZONE => zone = attribute.u16()?,
                CTA_TIMESTAMP => (start_ns, stop_ns) = read_timestamps(attribute),
                _ => {}
            }
        }
        let ((original, zone_original), (reply, zone_reply)) = (original?, reply?);
        let counters = match (forward, backward) {
            (None, None) => None,
            (forward, backward) => {
                let (packets, octets) = forward.unwrap_or_default();
                let (reverse_packets, reverse_octets) = backward.unwrap_or_default();
                Some(Counters { packets, octets, reverse_packets, reverse_octets })
            }
        };
        Some(Self {
            zones: Zones { original: zone_original.unwrap_or(zone), reply: zone_reply.unwrap_or(zone) },
            original,
            reply,
            id,
            status,
            counters,
            start_ns,
            stop_ns,
            timeout_seconds,
            state,
        })
    }
}

/// CTA_TUPLE_ORIG and CTA_TUPLE_REPLY; the zone is there only when it belongs to this direction alone.
fn read_tuple(tuple: Attribute<'_>) -> Option<(Tuple, Option<u16>)> {
    let mut addresses = None;
    let mut protocol = None;
    let mut zone = None;
    for attribute in tuple.nested() {
        match attribute.kind {
            CTA_TUPLE_IP => addresses = read_addresses(attribute),
            CTA_TUPLE_PROTO => protocol = read_protocol(attribute),
            CTA_TUPLE_ZONE => zone = attribute.u16(),
            _ => {}
        }
    }
    let (source, destination) = addresses?;
    let (protocol, layer4) = protocol?;
    Some((Tuple { source, destination, protocol, layer4 }, zone))
}

fn read_addresses(ip: Attribute<'_>) -> Option<(IpAddr, IpAddr)> {
    let mut source = None;
    let mut destination = None;
    for attribute in ip.nested() {
        let value = attribute.value;
        match attribute.kind {
            CTA_IP_V4_SRC => source = Some(IpAddr::V4(Ipv4Addr::from(*value.first_chunk::<4>()?))),
            CTA_IP_V4_DST => destination = Some(IpAddr::V4(Ipv4Addr::from(*value.first_chunk::<4>()?))),
            CTA_IP_V6_SRC => source = Some(IpAddr::V6(Ipv6Addr::from(*value.first_chunk::<16>()?))),
            CTA_IP_V6_DST => destination = Some(IpAddr::V6(Ipv6Addr::from(*value.first_chunk::<16>()?))),
            _ => {}
        }
    }
    Some((source?, destination?))
}

fn read_protocol(proto: Attribute<'_>) -> Option<(u8, Layer4)> {
    let mut number = None;
    let mut ports = (None, None);
    let mut icmp = (None, None, None);
    for attribute in proto.nested() {
        match attribute.kind {
            CTA_PROTO_NUM => number = attribute.u8(),
            CTA_PROTO_SRC_PORT => ports.0 = attribute.u16(),
            CTA_PROTO_DST_PORT => ports.1 = attribute.u16(),
            CTA_PROTO_ICMP_ID | CTA_PROTO_ICMPV6_ID => icmp.0 = attribute.u16(),
            CTA_PROTO_ICMP_TYPE | CTA_PROTO_ICMPV6_TYPE => icmp.1 = attribute.u8(),
            CTA_PROTO_ICMP_CODE | CTA_PROTO_ICMPV6_CODE => icmp.2 = attribute.u8(),
            _ => {}
        }
    }
    let layer4 = match (ports, icmp) {
        ((Some(source), Some(destination)), _) => Layer4::Ports { source, destination },
        (_, (Some(id), Some(kind), Some(code))) => Layer4::Icmp { id, kind, code },
        _ => Layer4::None,
    };
    Some((number?, layer4))
}

fn read_counters(counters: Attribute<'_>) -> Option<(u64, u64)> {
    let mut packets = None;
    let mut octets = None;
    for attribute in counters.nested() {
        match attribute.kind {
            CTA_COUNTERS_PACKETS => packets = attribute.u64(),
            CTA_COUNTERS_BYTES => octets = attribute.u64(),
            CTA_COUNTERS32_PACKETS => packets = attribute.u32().map(u64::from),
            CTA_COUNTERS32_BYTES => octets = attribute.u32().map(u64::from),
            _ => {}
        }
    }
    Some((packets?, octets?))
}

fn read_timestamps(timestamp: Attribute<'_>) -> (Option<u64>, Option<u64>) {
    let mut start = None;
    let mut stop = None;
    for attribute in timestamp.nested() {
        match attribute.kind {
            CTA_TIMESTAMP_START => start = attribute.u64().filter(|nanoseconds| *nanoseconds != 0),
            CTA_TIMESTAMP_STOP => stop = attribute.u64().filter(|nanoseconds| *nanoseconds != 0),
            _ => {}
        }
    }
    (start, stop)
}

fn read_state(info: Attribute<'_>) -> ProtocolState {
    for protocol in info.nested() {
        for attribute in protocol.nested() {
            match (protocol.kind, attribute.kind, attribute.u8()) {
                (CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE, Some(state)) => {
                    return ProtocolState::Tcp(state);
                }
                (CTA_PROTOINFO_SCTP, CTA_PROTOINFO_SCTP_STATE, Some(state)) => {
                    return ProtocolState::Sctp(state);
                }
                _ => {}
            }
        }
    }
    ProtocolState::None
}

// enum ctattr_type
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_COUNTERS_ORIG: u16 = 9;
const CTA_COUNTERS_REPLY: u16 = 10;
const CTA_ID: u16 = 12;
/// The zone of both directions; also the filter of a dump request.
pub(crate) const CTA_ZONE: u16 = 18;
const CTA_TIMESTAMP: u16 = 20;

// enum ctattr_tuple
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_TUPLE_ZONE: u16 = 3;

// enum ctattr_ip
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;

// enum ctattr_l4proto
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMP_TYPE: u16 = 5;
const CTA_PROTO_ICMP_CODE: u16 = 6;
const CTA_PROTO_ICMPV6_ID: u16 = 7;
const CTA_PROTO_ICMPV6_TYPE: u16 = 8;
const CTA_PROTO_ICMPV6_CODE: u16 = 9;

// enum ctattr_protoinfo and its nested ones
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
const CTA_PROTOINFO_SCTP: u16 = 3;
const CTA_PROTOINFO_SCTP_STATE: u16 = 1;

// enum ctattr_counters
const CTA_COUNTERS_PACKETS: u16 = 1;
const CTA_COUNTERS_BYTES: u16 = 2;
const CTA_COUNTERS32_PACKETS: u16 = 3;
const CTA_COUNTERS32_BYTES: u16 = 4;

// enum ctattr_tstamp
const CTA_TIMESTAMP_START: u16 = 1;
const CTA_TIMESTAMP_STOP: u16 = 2;
