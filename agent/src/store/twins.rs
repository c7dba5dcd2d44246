//! The same connection in several zones is one flow.
//!
//! A packet that passes the CNI's zone and then the Node's own zone 0 (where kube-proxy translates and masquerades)
//! leaves an entry in each, and one more in the CNI's when it comes back translated:
//!
//! ```text
//!  before   zone 65520   Pod → Service                      the CNI's, where the Pod sends
//!  node     zone 0       Pod → Service, answered by Pod 2   knows the client, the Service, and the endpoint
//!  after    zone 65520   Pod → Pod 2                        the CNI's, where the endpoint receives
//! ```
//! The flow is the CNI's entry, the later one where there are two, with its counters; who dialled what comes from
//! zone 0's translation. The others are twins and never reported. Where several zones of a CNI hold a connection, the
//! one that knows what was dialled is the flow. A twin stays one, however long it outlives its flow.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::conntrack::{Layer4, Tuple};
use crate::store::Connection;
use crate::store::key::Endpoint;
use crate::store::table::Table;

/// What zone 0 translated, by the flow that shows the rest of the way.
#[derive(Debug, Default)]
pub(super) struct Twins {
    translations: HashMap<u64, Translation>,
}

/// Who dialled what, and who answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Translation {
    source: Endpoint,
    dialled: Endpoint,
    endpoint: Endpoint,
}

impl Twins {
    /// A connection came into the table: finds out which of it and its counterparts is the flow.
    pub(super) fn met(&mut self, table: &mut Table, slot: u32) {
        let Some(met) = table.get(slot).copied() else { return };
        if is_nodes(&met) {
            self.gather(table, slot);
            return;
        }
        for other in table.of_same_connection(&met, slot) {
            let Some(connection) = table.get(other).copied() else { continue };
            if is_nodes(&connection) {
                self.gather(table, other);
            } else if connection.key.zones != met.key.zones {
                // What the later zone sees is what the earlier one made of it.
                let met_is_later = !connection.twin && tuples(&connection).any(|one| one == met.key.original);
                table.set_twin(if met_is_later { slot } else { other }, true);
            }
        }
    }

    /// The entries of the CNI's zones that a connection of zone 0 belongs to.
    fn gather(&mut self, table: &mut Table, node_slot: u32) {
        let Some(node) = table.get(node_slot).copied() else { return };
        let others: Vec<(u32, Connection)> = table
            .of_same_connection(&node, node_slot)
            .into_iter()
            .filter_map(|slot| Some((slot, *table.get(slot)?)))
            .filter(|(_, other)| !is_nodes(other))
            .collect();
        let translated = translated(&node);
        let after = others.iter().find(|(_, other)| other.key.original == translated);
        let Some((flow_slot, flow)) = after.or_else(|| others.first()) else { return };
        table.set_twin(node_slot, true);
        for (slot, other) in &others {
            table.set_twin(*slot, slot != flow_slot);
            self.translations.remove(&other.flow_id);
        }
        if translated != node.key.original {
            let of = |tuple: &Tuple| Translation {
                source: Endpoint { address: tuple.source, port: tuple.source_port() },
                dialled: Endpoint { address: tuple.destination, port: tuple.destination_port() },
                endpoint: node.key.endpoint,
            };
            self.translations.insert(flow.flow_id, of(&node.key.original));
        }
    }

    /// The connection with what zone 0 knows of it.
    pub(super) fn translate(&self, connection: Connection) -> Connection {
        let Some(translation) = self.translations.get(&connection.flow_id) else { return connection };
        let mut whole = connection;
        let original = &mut whole.key.original;
        (original.source, original.destination) = (translation.source.address, translation.dialled.address);
        if let Layer4::Ports { source, destination } = &mut original.layer4 {
            (*source, *destination) = (translation.source.port, translation.dialled.port);
        }
        whole.key.endpoint = translation.endpoint;
        whole
    }

    /// A flow is gone.
    pub(super) fn forget(&mut self, flow_id: u64) {
        self.translations.remove(&flow_id);
    }
}

/// It is in the Node's own zone, and no other.
pub(super) fn is_nodes(connection: &Connection) -> bool {
    let zones = connection.key.zones;
    zones.original == 0 && zones.reply == 0
}

/// The tuple before translation, and after it where that is another.
pub(super) fn tuples(connection: &Connection) -> impl Iterator<Item = Tuple> + use<> {
    let (original, translated) = (connection.key.original, translated(connection));
    std::iter::once(original).chain((translated != original).then_some(translated))
}

/// The tuple after translation.
fn translated(connection: &Connection) -> Tuple {
    let original = connection.key.original;
    let (source, destination) = (connection.translated_source, connection.key.endpoint);
    let layer4 = match original.layer4 {
        Layer4::Ports { .. } => Layer4::Ports { source: source.port, destination: destination.port },
        other => other,
    };
    Tuple { source: source.address, destination: destination.address, layer4, ..original }
}

/// A hash of a tuple alone, without its zone.
pub(super) fn hash(tuple: &Tuple) -> u64 {
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
