//! Where connections are kept: a list of slots, and an index from key to slot.
//!
//! The list grows without moving much memory and is walked in order at the end of each dump; the index holds four
//! octets a connection.

use hashbrown::HashTable;

use crate::store::connection::Connection;
use crate::store::key::ConnectionKey;

/// Slots and their index.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Connection>>,
    free: Vec<u32>,
    index: HashTable<u32>,
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

    /// The slot of a connection that is in the index.
    pub(super) fn find(&self, key: &ConnectionKey) -> Option<u32> {
        let slots = &self.slots;
        self.index.find(key.hash(), |slot| holds(slots, *slot, key)).copied()
    }

    /// The connection in a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&Connection> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The connection in a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Puts a connection into a slot, out of the index: nothing more will be heard of it.
    pub(super) fn insert_unindexed(&mut self, connection: Connection) -> u32 {
        match self.free.pop() {
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
        }
    }

    /// Puts a connection into a slot and the index.
    pub(super) fn insert(&mut self, connection: Connection) -> u32 {
        let hash = connection.key.hash();
        let slot = self.insert_unindexed(connection);
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |slot| hash_of(slots, *slot));
        slot
    }

    /// Takes a connection out of the index; it stays in its slot.
    pub(super) fn forget(&mut self, slot: u32) {
        let Some(key) = self.get(slot).map(|connection| connection.key) else { return };
        if let Ok(entry) = self.index.find_entry(key.hash(), |other| *other == slot) {
            entry.remove();
        }
    }

    /// Takes a connection out of its slot and the index.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Connection> {
        self.forget(slot);
        let connection = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(connection)
    }

    /// All connections with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Connection)> {
        (0..).zip(&self.slots).filter_map(|(slot, place)| Some((slot, place.as_ref()?)))
    }
}

fn holds(slots: &[Option<Connection>], slot: u32, key: &ConnectionKey) -> bool {
    slots.get(slot as usize).and_then(Option::as_ref).is_some_and(|connection| connection.key == *key)
}

fn hash_of(slots: &[Option<Connection>], slot: u32) -> u64 {
    slots.get(slot as usize).and_then(Option::as_ref).map_or(0, |connection| connection.key.hash())
}
