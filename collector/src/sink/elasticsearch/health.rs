//! How the servers answered last, and since when they do not.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::verdict::Trouble;

/// The servers' health.
#[derive(Debug)]
pub(crate) struct Health {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    name: Option<String>,
    ill: Option<Illness>,
}

#[derive(Debug)]
struct Illness {
    since: Instant,
    trouble: Trouble,
    why: String,
}

impl Health {
    /// Nobody was reached yet.
    pub(crate) const fn new() -> Self {
        Self { state: Mutex::new(State { name: None, ill: None }) }
    }

    /// The servers said who they are.
    pub(crate) fn is_known(&self, name: &str) {
        self.lock().name = Some(name.to_owned());
    }

    /// The servers took documents; answers what the trouble had been.
    pub(crate) fn is_well(&self) -> Option<Trouble> {
        self.lock().ill.take().map(|illness| illness.trouble)
    }

    /// The servers did not take documents; answers what the trouble was before.
    pub(crate) fn is_ill(&self, trouble: Trouble, why: &str) -> Option<Trouble> {
        let mut state = self.lock();
        let before = state.ill.as_ref().map(|illness| illness.trouble);
        let since = state.ill.as_ref().map_or_else(Instant::now, |illness| illness.since);
        state.ill = Some(Illness { since, trouble, why: why.to_owned() });
        before
    }

    /// Whether the trouble has lasted so long.
    pub(crate) fn is_ill_for(&self, long: Duration) -> bool {
        self.lock().ill.as_ref().is_some_and(|illness| illness.since.elapsed() >= long)
    }

    /// In a word or a sentence, for `/status`.
    pub(crate) fn text(&self) -> String {
        let state = self.lock();
        match (&state.ill, &state.name) {
            (Some(illness), _) => format!("{}: {}", illness.trouble.word(), illness.why),
            (None, Some(name)) => format!("connected to {name}"),
            (None, None) => "not reached yet".to_owned(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
