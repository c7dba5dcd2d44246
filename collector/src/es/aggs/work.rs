//! What bounds a request while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::es::error::{EsError, Result};

/// What bounds a request: its deadline, whether its client is still there, and how many buckets it may hold.
pub(crate) struct Work {
    pub(crate) deadline: Instant,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) buckets: AtomicUsize,
}

/// Most buckets of one request in memory before the biggest are chosen: some 300 octets each.
const MOST_BUCKETS_HELD: usize = 1_500_000;

impl Work {
    /// Fails when the request should end.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(EsError::new(400, "task_cancelled_exception", "the client has gone away"));
        }
        if Instant::now() >= self.deadline {
            return Err(EsError::new(
                504,
                "timeout_exception",
                "the query was stopped at its deadline; ask for a shorter time range or fewer buckets",
            ));
        }
        Ok(())
    }

    /// Counts buckets that are held.
    pub(crate) fn hold(&self, buckets: usize) -> Result<()> {
        if self.buckets.fetch_add(buckets, Ordering::Relaxed) + buckets > MOST_BUCKETS_HELD {
            return Err(EsError::shard("circuit_breaking_exception", format!(
                "more than {MOST_BUCKETS_HELD} buckets; ask for a shorter time range or a field of fewer values"
            )).with_status(429));
        }
        Ok(())
    }
}

impl EsError {
    fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}
