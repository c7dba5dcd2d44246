//! What tells one connection from another.
//!
//! The kernel gives successive connections of one 5-tuple the same id, so the time of birth belongs to the key. The
//! reply's source is the real endpoint behind a Service address.

use std::net::IpAddr;

use podflow_flow::record::flow_id;
use xxhash_rust::xxh3::xxh3_64;

use crate::conntrack::{Entry, Layer4, Tuple, Zones};

/// The identity of a conntrack entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ConnectionKey {
    pub(crate) zones: Zones,
    /// The first packet before translation.
    pub(crate) original: Tuple,
    /// The real endpoint: who answers.
    pub(crate) endpoint: Endpoint,
    /// The kernel's id.
    pub(crate) id: u32,
    /// Birth in nanoseconds since 1970; 0 where the kernel's timestamps were off.
    pub(crate) start_ns: u64,
}

/// An address and a port (0 where the protocol has none).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl ConnectionKey {
    /// The key of an entry.
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            zones: entry.zones,
            original: entry.original,
            endpoint: Endpoint { address: entry.reply.source, port: entry.reply.source_port() },
            id: entry.id,
            start_ns: entry.start_ns.unwrap_or(0),
        }
    }

    /// A hash of the whole key, the same in every run of every version: it finds connections in the store and is
    /// kept in the state file.
    pub(crate) fn hash(&self) -> u64 {
        xxh3_64(self.octets().filled())
    }

    /// The flow's name in records; `life` tells apart flows that began anew under the same key.
    pub(crate) fn flow_id(&self, life: u64) -> u64 {
        flow_id(&[self.octets().filled(), &life.to_be_bytes()])
    }

    fn octets(&self) -> Octets {
        let mut octets = Octets::default();
        octets.push(&self.zones.original.to_be_bytes());
        octets.push(&self.zones.reply.to_be_bytes());
        octets.push(&sixteen(self.original.source));
        octets.push(&sixteen(self.original.destination));
        octets.push(&[self.original.protocol]);
        let (tag, a, b) = match self.original.layer4 {
            Layer4::None => (0, 0, 0),
            Layer4::Ports { source, destination } => (1, source, destination),
            Layer4::Icmp { id, kind, code } => (2, id, u16::from_be_bytes([kind, code])),
        };
        octets.push(&[tag]);
        octets.push(&a.to_be_bytes());
        octets.push(&b.to_be_bytes());
        octets.push(&sixteen(self.endpoint.address));
        octets.push(&self.endpoint.port.to_be_bytes());
        octets.push(&self.id.to_be_bytes());
        octets.push(&self.start_ns.to_be_bytes());
        octets
    }
}

pub(super) fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// A buffer on the stack that the key is written into.
struct Octets {
    buffer: [u8; Self::CAPACITY],
    length: usize,
}

impl Default for Octets {
    fn default() -> Self {
        Self { buffer: [0; Self::CAPACITY], length: 0 }
    }
}

impl Octets {
    /// Two zones, three addresses, protocol, tag, three ports, id and time: 74.
    const CAPACITY: usize = 80;

    fn push(&mut self, octets: &[u8]) {
        let end = self.length + octets.len();
        if let Some(place) = self.buffer.get_mut(self.length..end) {
            place.copy_from_slice(octets);
            self.length = end;
        }
    }

    fn filled(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}
