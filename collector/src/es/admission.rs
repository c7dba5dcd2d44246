//! Who may search now: a few at a time, so many more wait, the rest are told to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{EsError, Result};

/// Searches that run at a time; each uses several threads itself.
const MOST_RUNNING: usize = 2;
/// Requests that wait for one of those.
const MOST_WAITING: usize = 100;

pub(super) struct Admission {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Admission {
    pub(super) fn new() -> Self {
        Self { running: Arc::new(Semaphore::new(MOST_RUNNING)), waiting: AtomicUsize::new(0) }
    }

    /// A place, to be held for as long as anything runs for the request, also when its client has gone away.
    ///
    /// # Errors
    /// 429 where too many wait, or when the deadline comes first.
    pub(super) async fn enter(&self, deadline: Instant) -> Result<OwnedSemaphorePermit> {
        let refused = |reason: String| EsError::new(429, "es_rejected_execution_exception", reason);
        let place = Waiting::of(&self.waiting);
        if place.before >= MOST_WAITING {
            return Err(refused(format!("{MOST_WAITING} requests are waiting already")));
        }
        match tokio::time::timeout_at(deadline.into(), Arc::clone(&self.running).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(refused("no search could begin before the deadline".to_owned())),
        }
    }
}

/// A request that waits. One whose client goes away meanwhile is dropped here, and gives its place back.
struct Waiting<'a> {
    all: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn of(all: &'a AtomicUsize) -> Self {
        Self { all, before: all.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[tokio::test]
    async fn beyond_those_who_wait_requests_are_refused_until_one_leaves() {
        let admission = Admission::new();
        let mut running = Vec::new();
        for _ in 0..MOST_RUNNING {
            running.push(admission.enter(later()).await.unwrap());
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(admission.enter(later()))).collect();
        for one in &mut waiting {
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        let refused = admission.enter(later()).await.unwrap_err();
        assert_eq!((refused.status, refused.kind), (429, "es_rejected_execution_exception"));

        // Clients that go away while they wait leave room for others.
        waiting.truncate(MOST_WAITING - 1);
        let mut another = pin!(admission.enter(later()));
        assert!(another.as_mut().poll(&mut context).is_pending());
        // And whoever waits comes in when one has ended.
        drop((waiting, running));
        drop(another.await.unwrap());
    }

    #[tokio::test]
    async fn who_waits_until_the_deadline_is_refused() {
        let admission = Admission::new();
        let _running = [admission.enter(later()).await.unwrap(), admission.enter(later()).await.unwrap()];
        let refused = admission.enter(Instant::now()).await.unwrap_err();
        assert_eq!(refused.status, 429);
    }
}
