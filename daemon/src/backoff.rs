//! How long to wait before the next try: doubling, bounded, with jitter. It does not sleep; its caller does.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The waits between tries of one thing.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
    jitter: RandomState,
}

impl Backoff {
    /// Waits of about `first`, twice `first`, … up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0, jitter: RandomState::new() }
    }

    /// The wait before the next try: between half and the whole of the doubled span, so that many processes
    /// that lost the same peer do not come back together.
    pub fn next_wait(&mut self) -> Duration {
        let span = self.first.saturating_mul(1 << self.tries.min(MAX_DOUBLINGS)).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        let random = f64::from(u32::try_from(self.jitter.hash_one(self.tries) >> 32).unwrap_or_default());
        span.mul_f64(0.5 + 0.5 * random / f64::from(u32::MAX))
    }

    /// How often it was asked since the last success.
    pub const fn tries(&self) -> u32 {
        self.tries
    }

    /// The thing worked: the next failure waits `first` again.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }
}

// Enough to go from a millisecond to a day; more would overflow.
const MAX_DOUBLINGS: u32 = 27;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_bound_and_starts_again() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut backoff = Backoff::new(first, longest);
        for span in [100, 200, 400, 800, 1000, 1000].map(Duration::from_millis) {
            let wait = backoff.next_wait();
            assert!(wait >= span / 2 && wait <= span, "{wait:?} for {span:?}");
        }
        assert_eq!(backoff.tries(), 6);
        backoff.reset();
        assert!(backoff.next_wait() <= first);
    }

    #[test]
    fn any_number_of_tries_stays_in_bounds() {
        let mut backoff = Backoff::new(Duration::from_secs(3600), Duration::from_secs(86_400));
        for _ in 0..1000 {
            assert!(backoff.next_wait() <= Duration::from_secs(86_400));
        }
    }
}
