//! The same connection in two zones is one flow.
//!
//! A packet that passes the CNI's zone and then the Node's own zone 0 (where kube-proxy translates and masquerades)
//! leaves an entry in each. Zone 0's knows most: the client, the Service that was dialled and the real endpoint. So
//! the CNI's entry is left out where zone 0 has one of the same tuple, before or after its translation.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use crate::conntrack::{Layer4, Tuple};
use crate::store::Connection;

/// Tuples of zone 0's connections, hashed. Two entries a connection at most, and those of two polls' events.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// Of the connections held at the last complete dump.
    held: HashSet<u64>,
    /// Of connections met since.
    recent: HashSet<u64>,
    /// Of connections met before that, whose other entry may be told of later.
    earlier: HashSet<u64>,
}

impl Twins {
    /// A connection was met.
    pub(super) fn met(&mut self, connection: &Connection) {
        if is_zone_0(connection) {
            self.recent.extend(tuples(connection).map(|tuple| hash(&tuple)));
        }
    }

    /// A complete dump has ended with these connections.
    pub(super) fn dumped<'c>(&mut self, connections: impl Iterator<Item = &'c Connection>) {
        self.earlier = std::mem::take(&mut self.recent);
        self.held.clear();
        let zone_0 = connections.filter(|connection| is_zone_0(connection));
        self.held.extend(zone_0.flat_map(tuples).map(|tuple| hash(&tuple)));
    }

    /// The connection is in the CNI's zone, and zone 0 knows it, too.
    pub(super) fn has(&self, connection: &Connection) -> bool {
        if is_zone_0(connection) {
            return false;
        }
        let hash = hash(&connection.key.original);
        [&self.held, &self.recent, &self.earlier].into_iter().any(|tuples| tuples.contains(&hash))
    }
}

fn is_zone_0(connection: &Connection) -> bool {
    connection.key.zones.original == 0
}

/// The tuple before translation, and after it.
fn tuples(connection: &Connection) -> impl Iterator<Item = Tuple> + use<> {
    let original = connection.key.original;
    let (source, destination) = (connection.translated_source, connection.key.endpoint);
    let layer4 = match original.layer4 {
        Layer4::Ports { .. } => Layer4::Ports { source: source.port, destination: destination.port },
        other => other,
    };
    let translated = Tuple { source: source.address, destination: destination.address, layer4, ..original };
    std::iter::once(original).chain((translated != original).then_some(translated))
}

fn hash(tuple: &Tuple) -> u64 {
    let mut octets = [0; 40];
    let addresses = [tuple.source, tuple.destination].map(super::key::sixteen);
    let (a, b) = match tuple.layer4 {
        Layer4::None => (0, 0),
        Layer4::Ports { source, destination } => (source, destination),
        Layer4::Icmp { id, kind, code } => (id, u16::from_be_bytes([kind, code])),
    };
    let parts = addresses.iter().flatten().copied().chain(a.to_be_bytes()).chain(b.to_be_bytes());
    for (place, octet) in octets.iter_mut().zip(parts.chain([tuple.protocol])) {
        *place = octet;
    }
    xxh3_64(&octets)
}
