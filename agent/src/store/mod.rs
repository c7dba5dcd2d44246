//! The connection store: what conntrack says goes in, reports of what changed come out.
//!
//! In: the entries of a dump ([`Store::begin_dump`], [`Store::seen`], [`Store::finish_dump`]) and destroy events
//! ([`Store::destroyed`]). Out: [`Store::take`] gives reports of flows that ended or are due, and commits them;
//! [`Store::give_back`] undoes one that could not be sent, so that the sum of all deltas of a flow that were sent is
//! its final count. No sockets, no clock, no names: times are arguments.

pub(crate) mod key;

pub(crate) mod connection;

pub(crate) mod moment;

mod intake;

mod outlet;

mod table;

mod twins;

use std::collections::{HashMap, VecDeque};

pub(crate) use connection::Connection;
pub(crate) use outlet::Report;

use crate::conntrack::Counters;
use moment::Schedule;
use table::Table;
use twins::Twins;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Now {
    /// Milliseconds since 1970; may be stepped.
    pub(crate) wall_ms: u64,
    /// Seconds of a clock that only goes forward, from an arbitrary beginning.
    pub(crate) steady_s: u32,
}

/// What a store is allowed to hold, and when its flows are reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections held; further new ones are refused, and reported by their destroy event alone.
    pub(crate) connections: usize,
    /// Ended flows that wait for the collector; further ones are lost.
    pub(crate) ended: usize,
    /// When live flows are reported.
    pub(crate) schedule: Schedule,
    /// The table never counts: its flows are reported without counters, rather than not at all.
    pub(crate) uncounted: bool,
}

/// What the store did since it was made. Every number only grows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    /// Entries refused because the store was full.
    pub(crate) refused: u64,
    /// Flows that were known by their destroy event only.
    pub(crate) born_and_dead: u64,
    /// Flows that left the table without a destroy event, so that their last packets may be missing.
    pub(crate) ended_unheard: u64,
    /// Flows whose counters went back under the same name: reported as ended, and begun anew.
    pub(crate) restarted: u64,
    /// Flows that ended without ever having counters.
    pub(crate) uncounted: u64,
    /// Ended flows lost because too many were waiting, with what they had not reported.
    pub(crate) lost_flows: u64,
    /// Packets of lost flows, both directions.
    pub(crate) lost_packets: u64,
    /// Octets of lost flows, both directions.
    pub(crate) lost_octets: u64,
    /// Flows that an earlier run, which ended without order, may have reported beyond what it had written down.
    pub(crate) repeated_flows: u64,
    /// Octets, both directions, that may so be reported twice.
    pub(crate) repeated_octets: u64,
    /// Flows that an earlier run knew and that ended while no agent ran: what they moved since is missing.
    pub(crate) missed_flows: u64,
}

/// The connection store.
#[derive(Debug)]
pub(crate) struct Store {
    limits: Limits,
    table: Table,
    tally: Tally,
    /// Slots of ended flows, in the order they are to be reported.
    ended: VecDeque<u32>,
    /// Slots of ended flows of which it is not known yet whether they are twins.
    unpaired: Vec<u32>,
    /// Number of the last complete dump: connections that were met before it began are paired.
    paired: u32,
    /// Slots found due by the last look, not reported yet, with their flow id (a slot may be used again).
    due: VecDeque<(u32, u64)>,
    twins: Twins,
    /// Reports of ended flows that wait for a name.
    held: Vec<Report>,
    /// Those of them that are to be looked at again.
    released: Vec<Report>,
    /// Number of the dump that runs or ran last.
    generation: u32,
    /// Connections that it has shown so far, each once.
    seen: usize,
    /// The slot where its next entry's connection is, if it goes on in the order of the one before.
    guess: u32,
    /// When the first dump was complete, by the steady clock: from then on, what was not known is new.
    acquainted_s: Option<u32>,
    /// Keys (hashed) that were destroyed, and the number of the dump whose end lets them be forgotten: until then an
    /// entry of that name may be an echo in a dump that was asked for before.
    destroyed: HashMap<u64, u32>,
    /// Events were lost and no complete dump that began afterwards has ended: the dumps that ran, or had run last, when
    /// that was first and last noticed.
    lost_events: Option<(u32, u32)>,
    /// Entries born at or after this wall-clock millisecond report their end.
    events_since_ms: u64,
    memory: Memory,
    /// What an earlier run knew has shown itself, or is gone.
    settled: bool,
}

/// What was reported before this store was made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Flows begun before this were seen by nobody we know: only what they add from now on is reported.
    pub(crate) since_ms: u64,
    /// Totals at the last record of flows reported by an earlier run, by [`key::ConnectionKey::hash`].
    pub(crate) reported: HashMap<u64, Reported>,
    /// The earlier run ended without order, at some time before this one: what it reported after it had written this
    /// down is not in here. 0: it ended in order, or there was none.
    pub(crate) crashed_before_ms: u64,
}

/// What a flow's records have said.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reported {
    /// Totals at the last one.
    pub(crate) totals: Counters,
    /// One of them said that the flow has ended; its entry lingers.
    pub(crate) ended: bool,
}

impl Store {
    /// An empty store. `events_since_ms`: entries born from then on report their end (`u64::MAX`: none does).
    pub(crate) fn new(limits: Limits, memory: Memory, events_since_ms: u64) -> Self {
        Self {
            limits,
            table: Table::default(),
            tally: Tally::default(),
            ended: VecDeque::new(),
            unpaired: Vec::new(),
            paired: 0,
            due: VecDeque::new(),
            twins: Twins::default(),
            held: Vec::new(),
            released: Vec::new(),
            generation: 0,
            seen: 0,
            guess: 0,
            acquainted_s: None,
            destroyed: HashMap::new(),
            lost_events: None,
            events_since_ms,
            memory,
            settled: false,
        }
    }

    /// Connections held, ended ones that wait for the collector included.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Ended flows that wait for the collector.
    pub(crate) fn waiting(&self) -> usize {
        self.ended.len() + self.unpaired.len() + self.held.len() + self.released.len()
    }

    /// What the store did so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// All connections held.
    pub(crate) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.table.iter().map(|(_, connection)| connection)
    }

    /// What a next run must know.
    pub(crate) fn memory(&self) -> Memory {
        // Once every connection of before was met, the earlier run's crash is dealt with.
        let crashed_before_ms = if self.settled { 0 } else { self.memory.crashed_before_ms };
        Memory { since_ms: self.memory.since_ms, reported: self.reported().collect(), crashed_before_ms }
    }

    /// Totals at the last record of every flow that may go on, by [`key::ConnectionKey::hash`]: what flows that this
    /// run has not met again included.
    fn reported(&self) -> impl Iterator<Item = (u64, Reported)> {
        self.connections()
            .filter(|connection| !connection.gone)
            .map(|connection| {
                let reported = match connection.twin {
                    // Its flow tells of it; it has nothing to say, even where it outlives that one.
                    true => Reported { totals: connection.counters, ended: true },
                    false => Reported { totals: connection.reported, ended: connection.end_reported },
                };
                (connection.key.hash(), reported)
            })
            .chain(self.memory.reported.iter().map(|(hash, reported)| (*hash, *reported)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
