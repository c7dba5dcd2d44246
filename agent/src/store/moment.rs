//! When in the export interval a flow is reported.
//!
//! The interval is aligned to the wall clock, so that every aligned interval holds one record of a live flow; the
//! moment inside it is a hash of the flow, so that exports are spread; and it keeps a poll away from the edges, so
//! that a late poll does not move a record into the next interval.

use std::time::Duration;

/// When live flows are reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Schedule {
    interval_ms: u64,
    margin_ms: u64,
    idle_ms: Option<u64>,
}

impl Schedule {
    /// One record each `interval`; `idle`: one as soon as a changed flow stood still for that long.
    pub(crate) fn new(interval: Duration, poll: Duration, idle: Option<Duration>) -> Self {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let interval_ms = milliseconds(interval).max(1_000);
        let poll_ms = milliseconds(poll);
        // An interval of two polls or less has no room for margins.
        let margin_ms = if poll_ms.saturating_mul(2) < interval_ms { poll_ms } else { 0 };
        Self { interval_ms, margin_ms, idle_ms: idle.map(milliseconds) }
    }

    /// The number of the interval that a record made now belongs to: it changes at the flow's moment.
    pub(crate) fn window(&self, flow_id: u64, wall_ms: u64) -> u32 {
        let window = wall_ms.saturating_sub(self.offset(flow_id)) / self.interval_ms;
        u32::try_from(window & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// True when a changed flow stood still for so long that its record need not wait for its moment.
    pub(crate) fn is_idle(&self, moved_ms: u64, wall_ms: u64) -> bool {
        self.idle_ms.is_some_and(|idle| wall_ms.saturating_sub(moved_ms) >= idle)
    }

    /// Milliseconds from the beginning of the aligned interval to the flow's moment.
    fn offset(&self, flow_id: u64) -> u64 {
        self.margin_ms + flow_id % (self.interval_ms - 2 * self.margin_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aligned_interval_holds_one_moment_of_a_flow() {
        let schedule = Schedule::new(Duration::from_secs(60), Duration::from_secs(5), None);
        for flow_id in [0, 1, 49_999, 50_000, u64::MAX, 0x1234_5678_9abc] {
            for interval in [1_000_u64, 1_001, 29_000_000] {
                let begin = interval * 60_000;
                let changes: Vec<u64> = (begin..begin + 60_000)
                    .filter(|at| schedule.window(flow_id, *at) != schedule.window(flow_id, at - 1))
                    .collect();
                assert_eq!(changes.len(), 1, "flow {flow_id}");
                let moment = changes[0] - begin;
                assert!((5_000..55_000).contains(&moment), "a poll away from the edges: {moment}");
            }
        }
    }

    #[test]
    fn an_interval_of_one_poll_has_moments_too() {
        let schedule = Schedule::new(Duration::from_secs(1), Duration::from_secs(1), None);
        assert_ne!(schedule.window(7, 10_007), schedule.window(7, 10_006));
        assert_eq!(schedule.window(7, 10_007), schedule.window(7, 11_006));
    }
}
