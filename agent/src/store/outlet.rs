//! Reports out of the store: what ended, and what is due.
//!
//! Taking a report commits it: its delta counts as reported. A report that could not be sent is given back, and its
//! delta goes with the flow's next one. The caller holds the reports of one [`Store::take`] at most, so that a flow
//! is in hand once.

use podflow_flow::FlowEndReason;

use crate::conntrack::Counters;
use crate::store::connection::{Connection, Phase};
use crate::store::{Now, Store};

/// What is to be said of one flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    slot: u32,
    /// The connection as it was before this report.
    pub(crate) connection: Connection,
    /// What it added since its previous record.
    pub(crate) delta: Counters,
    /// Why it ended; [`FlowEndReason::ActiveTimeout`] where it goes on.
    pub(crate) end: FlowEndReason,
    /// When the report was made, milliseconds since 1970.
    pub(crate) made_ms: u64,
    /// The same connection is reported from another zone.
    pub(crate) is_twin: bool,
    /// Since when it waits for a name, by the steady clock; 0 where it does not.
    held_since_s: u32,
}

impl Store {
    /// Looks for live flows whose moment has come. Call it about once a second; it does nothing while flows of the
    /// previous look are still waiting.
    pub(crate) fn look(&mut self, now: Now) {
        self.released.append(&mut self.held);
        if !self.due.is_empty() {
            return;
        }
        let schedule = self.limits.schedule;
        for (slot, connection) in self.table.iter() {
            if connection.has_news()
                && self.is_paired(connection)
                && (schedule.window(connection.flow_id, now.wall_ms) != connection.window
                    || schedule.is_idle(connection.moved_ms, now.wall_ms))
            {
                self.due.push_back((slot, connection.flow_id));
            }
        }
    }

    /// Makes every live flow with news due: the agent is about to stop.
    pub(crate) fn look_at_all(&mut self) {
        for slot in std::mem::take(&mut self.unpaired) {
            self.enqueue(slot);
        }
        self.released.append(&mut self.held);
        self.released.iter_mut().for_each(|report| report.held_since_s = LONG_AGO);
        self.due = self
            .table
            .iter()
            .filter(|(_, connection)| connection.has_news())
            .map(|(slot, connection)| (slot, connection.flow_id))
            .collect();
    }

    /// Takes up to `limit` reports, ended flows first, and commits them.
    pub(crate) fn take(&mut self, now: Now, limit: usize, reports: &mut Vec<Report>) {
        let released = self.released.len().min(limit);
        reports.extend(self.released.drain(..released));
        while reports.len() < limit {
            let Some(slot) = self.ended.pop_front() else { break };
            reports.extend(self.report_end(slot, now));
        }
        while reports.len() < limit {
            let Some((slot, flow_id)) = self.due.pop_front() else { break };
            reports.extend(self.report_active(slot, flow_id, now));
        }
    }

    /// Undoes a report that was not sent.
    pub(crate) fn give_back(&mut self, report: &Report) {
        let before = &report.connection;
        let still_there =
            self.table.get_mut(report.slot).filter(|connection| connection.flow_id == before.flow_id);
        match still_there {
            Some(connection) => {
                connection.reported = before.reported;
                connection.reported_ms = before.reported_ms;
                connection.window = before.window;
                connection.used |= before.used;
                connection.end_reported = before.end_reported;
                if connection.phase == Phase::Lingering {
                    connection.phase = Phase::Ended;
                    self.ended.push_front(report.slot);
                }
            }
            // It is gone for good; only this report knows of it.
            None if before.phase == Phase::Ended => {
                let slot = self.table.insert_unindexed(Connection { gone: true, ..*before });
                self.ended.push_front(slot);
            }
            None => {}
        }
    }

    /// Puts aside a report that is not ours to send. A live flow keeps what it has not reported: names that come
    /// late may make it ours.
    pub(crate) fn decline(&mut self, report: &Report) {
        if report.end == FlowEndReason::ActiveTimeout {
            self.give_back(report);
            if let Some(connection) = self.table.get_mut(report.slot) {
                connection.window = self.limits.schedule.window(connection.flow_id, report.made_ms);
            }
        }
    }

    /// Keeps the report of an ended flow for the next look, because its local Pod has no name yet: a Pod's address
    /// may be told half a second after its first packet. False where it has waited long enough, or too many wait.
    pub(crate) fn hold(&mut self, report: &Report, now: Now) -> bool {
        let since = if report.held_since_s == 0 { now.steady_s } else { report.held_since_s };
        let may_wait = since != LONG_AGO && now.steady_s.saturating_sub(since) < NAME_WAIT_S;
        if may_wait && self.held.len() < self.limits.ended {
            self.held.push(Report { held_since_s: since, ..*report });
            return true;
        }
        false
    }

    /// Puts an ended flow into the queue, or counts what is lost with it. One whose entry is still there is not lost:
    /// the next dump finds it ended again.
    pub(super) fn enqueue(&mut self, slot: u32) {
        if self.ended.len() < self.limits.ended {
            self.ended.push_back(slot);
            return;
        }
        if let Some(connection) = self.table.get_mut(slot).filter(|connection| !connection.gone) {
            connection.phase = Phase::Live;
            return;
        }
        if let Some(connection) = self.remove(slot) {
            let lost = connection.unreported();
            self.tally.lost_flows += 1;
            self.tally.lost_packets += lost.packets + lost.reverse_packets;
            self.tally.lost_octets += lost.octets + lost.reverse_octets;
        }
    }

    fn report_end(&mut self, slot: u32, now: Now) -> Option<Report> {
        let connection = *self.table.get(slot)?;
        let shown = self.twins.translate(connection);
        if connection.gone {
            self.remove(slot);
        } else if let Some(lingering) = self.table.get_mut(slot) {
            lingering.phase = Phase::Lingering;
            lingering.end_reported = true;
            lingering.commit(now);
        }
        Some(Report {
            slot,
            connection: shown,
            delta: connection.unreported(),
            end: connection.end_reason,
            made_ms: now.wall_ms,
            is_twin: connection.twin,
            held_since_s: 0,
        })
    }

    fn report_active(&mut self, slot: u32, flow_id: u64, now: Now) -> Option<Report> {
        let window = self.limits.schedule.window(flow_id, now.wall_ms);
        let live = self.table.get_mut(slot)?;
        // Since the look it may have ended, or another may have taken its slot.
        if live.flow_id != flow_id || !live.has_news() {
            return None;
        }
        let connection = *live;
        live.window = window;
        live.commit(now);
        Some(Report {
            slot,
            connection: self.twins.translate(connection),
            delta: connection.unreported(),
            end: FlowEndReason::ActiveTimeout,
            made_ms: now.wall_ms,
            is_twin: false,
            held_since_s: 0,
        })
    }
}

impl Connection {
    fn has_news(&self) -> bool {
        let is_news = if self.counted { self.counters != self.reported } else { self.used };
        self.phase == Phase::Live && is_news && !self.twin
    }

    fn commit(&mut self, now: Now) {
        self.used = false;
        self.reported = self.counters;
        self.reported_ms = now.wall_ms;
    }
}

impl Report {
    /// The flow's end as far as it is known, milliseconds since 1970; never before its start.
    pub(crate) fn end_ms(&self) -> u64 {
        self.connection.moved_ms.max(self.connection.start_ms)
    }

    /// Bits per second in both directions between the previous record and this one. Times under a second count as a
    /// second: a rate over less says nothing.
    pub(crate) fn throughput(&self) -> (u64, u64) {
        let from = self.connection.reported_ms.max(self.connection.start_ms);
        let to = if self.end == FlowEndReason::ActiveTimeout { self.made_ms } else { self.end_ms() };
        let milliseconds = u128::from(to.saturating_sub(from).max(1_000));
        let rate = |octets: u64| u64::try_from(u128::from(octets) * 8_000 / milliseconds).unwrap_or(u64::MAX);
        (rate(self.delta.octets), rate(self.delta.reverse_octets))
    }
}

/// Seconds that the report of an ended flow waits for the name of a local Pod.
const NAME_WAIT_S: u32 = 5;

/// A time at which no report began to wait (the steady clock does not get there): it waits no more.
const LONG_AGO: u32 = u32::MAX;
