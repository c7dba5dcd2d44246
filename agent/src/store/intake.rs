//! What conntrack says: dumps and destroy events.
//!
//! The kernel sends the destroy event before it takes the entry out of the table. So an entry that a complete dump
//! lacks has had its event; the caller drains the event socket between the last entry of a dump and
//! [`Store::finish_dump`]. Entries that expired but were not collected yet are left out of dumps by the kernel
//! without an event: those are waited for.

use std::collections::HashMap;

use podflow_flow::FlowEndReason;

use crate::conntrack::{Counters, Entry};
use crate::store::connection::{Connection, Phase};
use crate::store::key::ConnectionKey;
use crate::store::{Now, Store};

impl Store {
    /// A dump is about to be asked for.
    pub(crate) fn begin_dump(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        (self.seen, self.guess) = (0, 0);
    }

    /// One entry of the running dump. The same entry may come twice.
    pub(crate) fn seen(&mut self, entry: &Entry, now: Now) {
        let key = ConnectionKey::of(entry);
        let Some(slot) = self.table.find_near(&key, self.guess) else {
            self.meet(&key, entry, now);
            return;
        };
        self.guess = slot.wrapping_add(1);
        let generation = self.generation;
        let Some(connection) = self.table.get_mut(slot) else { return };
        let before = (connection.counters, connection.is_closing());
        let again = connection.seen == generation;
        self.seen += usize::from(!again);
        connection.seen = generation;
        connection.missing_since_s = 0;
        if !connection.update(entry, &self.limits, now) {
            self.tally.restarted += 1;
            let reason = connection.natural_end();
            self.end(slot, reason, true);
            self.meet(&key, entry, now);
            return;
        }
        // A closed connection keeps its entry for minutes; its flow is over once it stood still for a poll.
        let stood_still = before == (connection.counters, true) && !again;
        if stood_still && connection.phase == Phase::Live && connection.is_closing() {
            self.end(slot, FlowEndReason::EndOfFlow, false);
        }
    }

    /// The running dump is over. Only where it was complete does it say that connections are gone.
    pub(crate) fn finish_dump(&mut self, complete: bool, now: Now) {
        let generation = self.generation;
        self.destroyed.retain(|_, forget_after| *forget_after > generation);
        if !complete {
            return;
        }
        // A dump that began after events were lost shows what ended unheard. One that ran meanwhile does not: some of
        // what it lacks may still be told.
        let is_fresh = self.lost_events.is_some_and(|(first, _)| first != generation);
        // Where every connection was seen, none is missing.
        let walked = if self.seen == self.table.indexed() { 0 } else { self.table.slots() };
        for slot in 0..walked {
            let Some(connection) = self.table.get_mut(slot) else { continue };
            if connection.seen == generation || connection.gone {
                continue;
            }
            if connection.missing_since_s == 0 {
                connection.missing_since_s = now.steady_s.max(1);
            }
            let will_be_heard = connection.start_ms >= self.events_since_ms && !is_fresh;
            if will_be_heard && now.steady_s.saturating_sub(connection.missing_since_s) < PATIENCE_S {
                continue;
            }
            // Where no entry ever reports its end, that one does not is nothing to tell.
            if connection.phase == Phase::Live && self.events_since_ms != u64::MAX {
                self.tally.ended_unheard += 1;
            }
            let reason = connection.natural_end();
            self.end(slot, reason, true);
        }
        self.paired = generation;
        self.pair();
        let acquainted_s = *self.acquainted_s.get_or_insert(now.steady_s);
        let is_known = now.steady_s.saturating_sub(acquainted_s) >= PATIENCE_S;
        // What was refused for lack of room may still come in.
        if is_known && !self.settled && self.tally.refused == 0 {
            // What an earlier run knew and has not shown itself since is gone.
            let unfinished = self.memory.reported.values().filter(|reported| !reported.ended);
            self.tally.missed_flows += unfinished.count() as u64;
            self.settled = true;
            self.memory.reported = HashMap::new();
        }
        let lost_meanwhile = self.lost_events.filter(|(_, last)| *last == generation);
        self.lost_events = lost_meanwhile.map(|(_, last)| (last, last));
    }

    /// An entry was destroyed; `port_id` is that of the program that asked for it, 0 where it expired.
    pub(crate) fn destroyed(&mut self, entry: &Entry, port_id: u32, now: Now) {
        let key = ConnectionKey::of(entry);
        // Remembered until a dump that begins after this one has ended.
        if self.destroyed.len() < self.limits.connections {
            self.destroyed.insert(key.hash(), self.generation.wrapping_add(1));
        }
        let limits = self.limits;
        let found = self.table.find(&key).filter(|slot| {
            self.table.get_mut(*slot).is_some_and(|connection| connection.update(entry, &limits, now))
        });
        let slot = match found {
            Some(slot) => slot,
            None => {
                if let Some(other) = self.table.find(&key) {
                    self.tally.restarted += 1;
                    let reason =
                        self.table.get(other).map_or(FlowEndReason::IdleTimeout, Connection::natural_end);
                    self.end(other, reason, true);
                }
                self.tally.born_and_dead += 1;
                let connection = self.new_connection(entry, now);
                let slot = self.table.insert_unindexed(connection);
                self.find_twins(slot);
                slot
            }
        };
        let Some(connection) = self.table.get(slot) else { return };
        let reason = if port_id == 0 { connection.natural_end() } else { FlowEndReason::ForcedEnd };
        self.end(slot, reason, true);
    }

    /// Events were lost: the next dump tells what ended.
    pub(crate) fn events_lost(&mut self) {
        let first = self.lost_events.map_or(self.generation, |(first, _)| first);
        self.lost_events = Some((first, self.generation));
    }

    /// An entry that is not in the index.
    fn meet(&mut self, key: &ConnectionKey, entry: &Entry, now: Now) {
        if self.destroyed.contains_key(&key.hash()) {
            return;
        }
        if self.table.len() >= self.limits.connections {
            self.tally.refused += 1;
            return;
        }
        let mut connection = self.new_connection(entry, now);
        connection.seen = self.generation;
        self.seen += 1;
        let slot = self.table.insert(connection);
        self.find_twins(slot);
    }

    fn find_twins(&mut self, slot: u32) {
        if self.table.has_zones() {
            self.twins.met(&mut self.table, slot);
        }
    }

    /// Ended flows that are paired by now go on to the queue.
    fn pair(&mut self) {
        for slot in std::mem::take(&mut self.unpaired) {
            let is_paired = self.table.get(slot).is_some_and(|connection| self.is_paired(connection));
            if is_paired { self.enqueue(slot) } else { self.unpaired.push(slot) }
        }
    }

    /// A complete dump that began after it was met has shown its counterparts of other zones, or their events have: only
    /// then is it known whether it is a flow or a twin.
    pub(super) fn is_paired(&self, connection: &Connection) -> bool {
        !self.table.has_zones() || connection.met < self.paired
    }

    /// Nothing more will be heard of a connection; it no longer counts as one that this dump has shown.
    fn unindex(&mut self, slot: u32) {
        let is_seen = self.table.get(slot).is_some_and(|connection| connection.seen == self.generation);
        if self.table.forget(slot) && is_seen {
            self.seen -= 1;
        }
    }

    /// Takes a connection out, and what is known of it elsewhere.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Connection> {
        self.unindex(slot);
        let connection = self.table.remove(slot)?;
        self.twins.forget(connection.flow_id);
        Some(connection)
    }

    fn new_connection(&mut self, entry: &Entry, now: Now) -> Connection {
        let mut connection =
            Connection::new(entry, now, &self.memory, &self.limits, self.acquainted_s.is_some());
        connection.met = self.generation;
        if connection.start_ms < self.memory.crashed_before_ms {
            let again = connection.unreported();
            self.tally.repeated_flows += u64::from(again != Counters::default());
            self.tally.repeated_octets += again.octets + again.reverse_octets;
        }
        self.memory.reported.remove(&connection.key.hash());
        connection
    }

    /// A flow has ended; `gone`: its entry, too.
    fn end(&mut self, slot: u32, reason: FlowEndReason, gone: bool) {
        if gone {
            self.unindex(slot);
        }
        let Some(connection) = self.table.get_mut(slot) else { return };
        connection.gone |= gone;
        match connection.phase {
            // It waits already; what was added meanwhile goes with it.
            Phase::Ended => return,
            Phase::Lingering if connection.unreported() == Counters::default() => {
                self.remove(slot);
                return;
            }
            Phase::Live | Phase::Lingering => {}
        }
        if !connection.counted && !self.limits.uncounted {
            self.tally.uncounted += 1;
            self.remove(slot);
            return;
        }
        connection.phase = Phase::Ended;
        connection.end_reason = reason;
        let ended = *connection;
        if self.is_paired(&ended) || self.unpaired.len() >= self.limits.ended {
            self.enqueue(slot);
        } else {
            self.unpaired.push(slot);
        }
    }
}

/// Seconds that an entry which left the dumps without an event is waited for. The kernel collects expired entries
/// at most a minute late.
const PATIENCE_S: u32 = 75;
