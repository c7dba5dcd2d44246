//! One connection in the store: its counters, what of them was reported, and where it is in its life.

use podflow_flow::FlowEndReason;

use crate::conntrack::entry::{ProtocolState, Status};
use crate::conntrack::{Counters, Entry};
use crate::store::key::{ConnectionKey, Endpoint};
use crate::store::{Limits, Memory, Now};

/// One connection. Plain data, some 250 octets: 200,000 of them are held on a busy Node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) key: ConnectionKey,
    /// The flow's name in records.
    pub(crate) flow_id: u64,
    /// Where answers go: the source after its translation.
    pub(crate) translated_source: Endpoint,
    /// Totals as last seen.
    pub(crate) counters: Counters,
    /// Totals at the previous record.
    pub(crate) reported: Counters,
    /// Birth, milliseconds since 1970; the first sight where the kernel has no timestamps.
    pub(crate) start_ms: u64,
    /// When the counters were last seen to move: the flow's end as far as it is known.
    pub(crate) moved_ms: u64,
    /// When the previous record was made; 0 where there was none.
    pub(crate) reported_ms: u64,
    pub(crate) status: Status,
    pub(crate) state: ProtocolState,
    pub(super) phase: Phase,
    /// Why it ended; says nothing while it lives.
    pub(super) end_reason: FlowEndReason,
    /// The entry carries counters.
    pub(crate) counted: bool,
    /// The kernel destroyed the entry, or it is gone: nothing will be heard of it again.
    pub(super) gone: bool,
    /// An end was reported, so that a further report is a correction.
    pub(super) end_reported: bool,
    /// Number of the dump that saw it last.
    pub(super) seen: u32,
    /// Number of the dump that ran, or had run last, when it was met.
    pub(super) met: u32,
    /// The export interval that its previous record belongs to.
    pub(super) window: u32,
    /// When complete dumps began to lack it, by the steady clock; 0 while they do not.
    pub(super) missing_since_s: u32,
    /// When its entry would expire, by the steady clock, as of its last sight.
    pub(super) expires_s: u32,
    /// It has no counters to tell of news, but was used since its previous record.
    pub(super) used: bool,
    /// Another zone's entry of the same connection is the flow.
    pub(super) twin: bool,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// It is in the table.
    Live,
    /// It waits to be reported as ended.
    Ended,
    /// It was reported as ended while its entry stays in the table for the kernel's timeout.
    Lingering,
}

impl Connection {
    /// A connection at its first sight.
    pub(super) fn new(
        entry: &Entry,
        now: Now,
        memory: &Memory,
        limits: &Limits,
        is_acquainted: bool,
    ) -> Self {
        let key = ConnectionKey::of(entry);
        let hash = key.hash();
        // Without the kernel's timestamps the key cannot tell lives apart, so the first sight does.
        let flow_id = key.flow_id(if entry.start_ns.is_some() { 0 } else { now.wall_ms });
        let start_ms = entry.start_ns.map_or(now.wall_ms, |nanoseconds| nanoseconds / 1_000_000);
        let counters = entry.counters.unwrap_or_default();
        let begun_before_us =
            if entry.start_ns.is_some() { start_ms < memory.since_ms } else { !is_acquainted };
        let known = memory.reported.get(&hash).filter(|known| counters.since(&known.totals).is_some());
        let reported = match known {
            Some(known) => known.totals,
            None if begun_before_us => counters,
            None => Counters::default(),
        };
        let ended = known.is_some_and(|known| known.ended);
        Self {
            key,
            flow_id,
            translated_source: Endpoint {
                address: entry.reply.destination,
                port: entry.reply.destination_port(),
            },
            counters,
            reported,
            start_ms: start_ms.min(now.wall_ms),
            moved_ms: now.wall_ms,
            reported_ms: 0,
            status: entry.status,
            state: entry.state,
            phase: if ended { Phase::Lingering } else { Phase::Live },
            end_reason: FlowEndReason::ActiveTimeout,
            counted: entry.counters.is_some(),
            gone: false,
            end_reported: ended,
            seen: 0,
            met: 0,
            window: limits.schedule.window(flow_id, now.wall_ms),
            missing_since_s: 0,
            expires_s: expiry(entry, now),
            used: limits.uncounted && entry.counters.is_none(),
            twin: false,
        }
    }

    /// Takes in what a dump or an event says of it. False where it says that this is another connection under the
    /// same key: counters went back, or TCP began again.
    pub(super) fn update(&mut self, entry: &Entry, limits: &Limits, now: Now) -> bool {
        let counters = entry.counters.unwrap_or(self.counters);
        let Some(added) = counters.since(&self.counters) else { return false };
        if self.key.start_ns == 0 && self.is_closing() && is_opening(entry.state) {
            return false;
        }
        let expires_s = expiry(entry, now);
        // Without counters, a packet shows in that the entry's time begins anew.
        let used =
            limits.uncounted && !self.counted && expires_s > self.expires_s.saturating_add(EXPIRY_SLACK_S);
        self.expires_s = expires_s;
        self.used |= used;
        if used || added != Counters::default() {
            self.moved_ms = now.wall_ms.max(self.start_ms);
        }
        self.counted |= entry.counters.is_some();
        self.counters = counters;
        self.status = entry.status;
        if entry.state != ProtocolState::None {
            self.state = entry.state;
        }
        true
    }

    /// What was not reported yet.
    pub(crate) fn unreported(&self) -> Counters {
        self.counters.since(&self.reported).unwrap_or_default()
    }

    /// TCP is past the last data it can carry: LAST_ACK, TIME_WAIT or CLOSE.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.state, ProtocolState::Tcp(6..=8))
    }

    /// The reason of an end that nobody asked for.
    pub(super) fn natural_end(&self) -> FlowEndReason {
        match self.state {
            ProtocolState::Tcp(4..=8) => FlowEndReason::EndOfFlow,
            _ => FlowEndReason::IdleTimeout,
        }
    }
}

fn expiry(entry: &Entry, now: Now) -> u32 {
    now.steady_s.saturating_add(entry.timeout_seconds.unwrap_or(0))
}

/// Both numbers are whole seconds, and the two clocks are not read at once.
const EXPIRY_SLACK_S: u32 = 2;

fn is_opening(state: ProtocolState) -> bool {
    matches!(state, ProtocolState::Tcp(1..=3 | 9))
}
