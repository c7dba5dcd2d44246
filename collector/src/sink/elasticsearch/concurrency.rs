//! How many bulk requests are under way at once: one more after a round without trouble, half after trouble.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bound that adapts.
#[derive(Debug)]
pub(crate) struct Concurrency {
    semaphore: Arc<Semaphore>,
    state: Mutex<State>,
}

/// The rule, without the waiting.
#[derive(Clone, Debug, PartialEq)]
struct State {
    limit: usize,
    most: usize,
    /// Answers since the limit last changed.
    answers: usize,
    /// Permits that are still out and must not come back.
    debt: usize,
    /// Smoothed time of an answer.
    usual: Option<Duration>,
}

/// What a change of the limit asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Change {
    None,
    OneMore,
}

impl Concurrency {
    /// Up to `most` at once; two to begin with.
    pub(crate) fn new(most: usize) -> Self {
        let limit = FIRST.min(most);
        let state = State { limit, most, answers: 0, debt: 0, usual: None };
        Self { semaphore: Arc::new(Semaphore::new(limit)), state: Mutex::new(state) }
    }

    /// Waits until a request may be sent.
    pub(crate) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.semaphore).acquire_owned().await.ok()
    }

    /// A request was answered after `took`; `busy` if the server asked for less.
    pub(crate) fn answered(&self, took: Duration, busy: bool) {
        let change = self.state.lock().unwrap_or_else(PoisonError::into_inner).answered(took, busy);
        if change == Change::OneMore {
            self.semaphore.add_permits(1);
        }
    }

    /// A permit comes back, or is kept where the limit went down meanwhile.
    pub(crate) fn give_back(&self, permit: OwnedSemaphorePermit) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.debt > 0 {
            state.debt -= 1;
            permit.forget();
        }
    }

    /// The limit now.
    #[cfg(test)]
    fn limit(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).limit
    }
}

impl State {
    fn answered(&mut self, took: Duration, busy: bool) -> Change {
        let usual = *self.usual.get_or_insert(took);
        let slow = took > SLOW && took > usual * 3;
        self.usual = Some((usual * 7 + took) / 8);
        if busy || slow {
            let lower = (self.limit / 2).max(1);
            self.debt += self.limit - lower;
            self.limit = lower;
            self.answers = 0;
            return Change::None;
        }
        self.answers += 1;
        if self.answers < self.limit || self.limit >= self.most {
            return Change::None;
        }
        self.answers = 0;
        self.limit += 1;
        if self.debt > 0 {
            // A permit that is still out may come back after all.
            self.debt -= 1;
            return Change::None;
        }
        Change::OneMore
    }
}

/// Requests at once to begin with.
const FIRST: usize = 2;

/// An answer that takes less is never called slow.
const SLOW: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn up_by_one_a_round_down_by_half() {
        let concurrency = Concurrency::new(8);
        let mut limits = Vec::new();
        for _ in 0..40 {
            concurrency.answered(QUICK, false);
            limits.push(concurrency.limit());
        }
        assert_eq!(limits[..9], [2, 3, 3, 3, 4, 4, 4, 4, 5]);
        assert_eq!(concurrency.limit(), 8, "the bound holds");
        assert_eq!(concurrency.semaphore.available_permits(), 8);

        let out: Vec<_> = futures::future::join_all((0..8).map(|_| concurrency.permit())).await;
        concurrency.answered(QUICK, true);
        assert_eq!(concurrency.limit(), 4);
        concurrency.answered(QUICK * 30, false);
        assert_eq!(concurrency.limit(), 2, "three times slower than usual, and more than two seconds");
        out.into_iter().flatten().for_each(|permit| concurrency.give_back(permit));
        assert_eq!(concurrency.semaphore.available_permits(), 2);
        concurrency.answered(QUICK, true);
        concurrency.answered(QUICK, true);
        assert_eq!(concurrency.limit(), 1, "one is always allowed");
    }
}
