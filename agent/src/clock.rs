//! The two clocks of the agent, read together.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::store::Now;

/// Reads both clocks. The store and everything behind it gets [`Now`] as an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock whose steady time begins now.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Both times.
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            // 0 means "never" in the store.
            steady_s: u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX).saturating_add(1),
        }
    }
}
