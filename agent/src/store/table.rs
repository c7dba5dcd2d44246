//! Where connections are kept: a list of slots, and an index from key to slot.
//!
//! The list grows without moving much memory and is walked in order at the end of each dump; the index holds four
//! octets a connection. Once a connection of a CNI's zone has come, a second index finds connections by their tuples,
//! whatever their zone.

use hashbrown::HashTable;

use crate::store::connection::Connection;
use crate::store::key::ConnectionKey;
use crate::store::twins::{hash, is_nodes, tuples};

/// Slots and their indices.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Connection>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// Each connection once or twice: by the tuple before translation, and by the one after it. The lowest bit says
    /// which, the others are the slot.
    by_tuple: HashTable<u64>,
    /// There are connections of other zones than the Node's own.
    has_zones: bool,
}

impl Table {
    /// Connections held.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Slots, used or not.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// There are connections of other zones than the Node's own.
    pub(super) fn has_zones(&self) -> bool {
        self.has_zones
    }

    /// The slot of a connection that is in the index.
    pub(super) fn find(&self, key: &ConnectionKey) -> Option<u32> {
        let slots = &self.slots;
        self.index.find(key.hash(), |slot| holds(slots, *slot, key)).copied()
    }

    /// As [`Table::find`], after a look at the slot where it would be if the kernel gave its entries in the order of the
    /// previous dump, as it mostly does: that spares hash and index.
    pub(super) fn find_near(&self, key: &ConnectionKey, guess: u32) -> Option<u32> {
        let is_there = self.get(guess).is_some_and(|connection| connection.key == *key && !connection.gone);
        if is_there { Some(guess) } else { self.find(key) }
    }

    /// Connections in the index of keys: those whose entries may be in the kernel's table.
    pub(super) fn indexed(&self) -> usize {
        self.index.len()
    }

    /// The connection in a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&Connection> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The connection in a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Says whether a connection is another one's twin.
    pub(super) fn set_twin(&mut self, slot: u32, twin: bool) {
        if let Some(connection) = self.get_mut(slot) {
            connection.twin = twin;
        }
    }

    /// The slots of other entries of the same connection: they share a tuple with this one, before or after translation,
    /// and were born with it. Of each zone there is one of each tuple, that of the nearest birth: ports are used again.
    pub(super) fn of_same_connection(&self, connection: &Connection, slot: u32) -> Vec<u32> {
        let mut found: Vec<(u64, u32)> = Vec::new();
        for tuple in tuples(connection) {
            for entry in self.by_tuple.iter_hash(hash(&tuple)) {
                let other = slot_of(*entry);
                if other == slot || tuple_of(&self.slots, *entry) != Some(tuple) {
                    continue;
                }
                let between = self.get(other).and_then(|other| between_births(connection, other));
                found.extend(between.map(|between| (between, other)));
            }
        }
        found.sort_unstable();
        let mut nearest: Vec<u32> = Vec::new();
        for (_, slot) in found {
            let of = |slot: u32| self.get(slot).map(|one| (one.key.zones, one.key.original));
            if !nearest.iter().any(|other| of(*other) == of(slot)) {
                nearest.push(slot);
            }
        }
        nearest
    }

    /// Puts a connection into a slot, out of the index of keys: nothing more will be heard of it.
    pub(super) fn insert_unindexed(&mut self, connection: Connection) -> u32 {
        if !self.has_zones && !is_nodes(&connection) {
            self.has_zones = true;
            for slot in 0..self.slots() {
                self.index_tuples(slot);
            }
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    *place = Some(connection);
                }
                slot
            }
            None => {
                let slot = self.slots();
                self.slots.push(Some(connection));
                slot
            }
        };
        self.index_tuples(slot);
        slot
    }

    /// Puts a connection into a slot and the indices.
    pub(super) fn insert(&mut self, connection: Connection) -> u32 {
        let hash = connection.key.hash();
        let slot = self.insert_unindexed(connection);
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |slot| hash_of(slots, *slot));
        slot
    }

    /// Takes a connection out of the index of keys; it stays in its slot. False where it was not in there.
    pub(super) fn forget(&mut self, slot: u32) -> bool {
        let Some(key) = self.get(slot).map(|connection| connection.key) else { return false };
        let found = self.index.find_entry(key.hash(), |other| *other == slot);
        found.map(|entry| entry.remove()).is_ok()
    }

    /// Takes a connection out of its slot and the indices.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Connection> {
        self.forget(slot);
        if self.has_zones
            && let Some(connection) = self.get(slot)
        {
            for (which, tuple) in (0..).zip(tuples(connection)) {
                let wanted = entry_of(slot, which);
                if let Ok(entry) = self.by_tuple.find_entry(hash(&tuple), |other| *other == wanted) {
                    entry.remove();
                }
            }
        }
        let connection = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(connection)
    }

    /// All connections with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Connection)> {
        (0..).zip(&self.slots).filter_map(|(slot, place)| Some((slot, place.as_ref()?)))
    }

    fn index_tuples(&mut self, slot: u32) {
        if !self.has_zones {
            return;
        }
        let Some(connection) = self.slots.get(slot as usize).and_then(Option::as_ref) else { return };
        let slots = &self.slots;
        for (which, tuple) in (0..).zip(tuples(connection)) {
            let rehash = |entry: &u64| tuple_of(slots, *entry).map_or(0, |tuple| hash(&tuple));
            self.by_tuple.insert_unique(hash(&tuple), entry_of(slot, which), rehash);
        }
    }
}

/// Nanoseconds between two births, where one packet may have caused both.
fn between_births(one: &Connection, other: &Connection) -> Option<u64> {
    if one.key.start_ns == 0 || other.key.start_ns == 0 {
        return Some(0);
    }
    Some(one.key.start_ns.abs_diff(other.key.start_ns)).filter(|between| *between < BORN_TOGETHER_NS)
}

/// A packet passes the zones of a Node in microseconds; this leaves room for one that has to wait for a processor.
const BORN_TOGETHER_NS: u64 = 500_000_000;

fn entry_of(slot: u32, which: u64) -> u64 {
    u64::from(slot) << 1 | which
}

fn slot_of(entry: u64) -> u32 {
    u32::try_from(entry >> 1).unwrap_or(u32::MAX)
}

fn tuple_of(slots: &[Option<Connection>], entry: u64) -> Option<crate::conntrack::Tuple> {
    let connection = slots.get(slot_of(entry) as usize)?.as_ref()?;
    tuples(connection).nth(usize::from(entry & 1 == 1))
}

fn holds(slots: &[Option<Connection>], slot: u32, key: &ConnectionKey) -> bool {
    slots.get(slot as usize).and_then(Option::as_ref).is_some_and(|connection| connection.key == *key)
}

fn hash_of(slots: &[Option<Connection>], slot: u32) -> u64 {
    slots.get(slot as usize).and_then(Option::as_ref).map_or(0, |connection| connection.key.hash())
}
