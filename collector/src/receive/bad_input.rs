//! What a peer sent that could not be used: counted every time, logged once for each exporter and kind.

use std::collections::HashSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tracing::warn;

/// Counts bad input; clones share one memory of what was logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct BadInput {
    counters: Family<KindLabel, Counter>,
    logged: Arc<Mutex<HashSet<(IpAddr, &'static str)>>>,
}

impl BadInput {
    /// Counters shown by `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let bad_input = Self::default();
        registry.sub_registry_with_prefix("podflow_collector").register(
            "bad_input",
            "Messages, sets and connections that could not be used, by kind",
            bad_input.counters.clone(),
        );
        bad_input
    }

    /// Counts one; answers whether this was the first of its kind from that exporter, and logs it then.
    pub(crate) fn note(&self, exporter: IpAddr, kind: &'static str, what: impl Display) -> bool {
        self.counters.get_or_create(&KindLabel { kind }).inc();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() >= LOGGED || !logged.insert((exporter, kind)) {
            return false;
        }
        warn!(exporter = %exporter, kind, "{what}; further ones of this kind from this exporter are only counted");
        true
    }

    /// How many of a kind there were.
    #[cfg(test)]
    pub(crate) fn count(&self, kind: &'static str) -> u64 {
        self.counters.get_or_create(&KindLabel { kind }).get()
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KindLabel {
    kind: &'static str,
}

/// Pairs of exporter and kind that are remembered: forged source addresses must not fill memory or the log.
const LOGGED: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logged_once_counted_always() {
        let bad = BadInput::default();
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert!(bad.note(a, "version", "x"));
        assert!(!bad.note(a, "version", "x"));
        assert!(bad.note(a, "truncated", "x"));
        assert!(bad.note(b, "version", "x"));
        assert_eq!(bad.count("version"), 3);
    }

    #[test]
    fn what_was_logged_is_bounded() {
        let bad = BadInput::default();
        let exporter = |number: u32| IpAddr::V4(number.into());
        let logged = (0..20_000).filter(|number| bad.note(exporter(*number), "version", "x")).count();
        assert_eq!(logged, LOGGED);
        assert_eq!(bad.count("version"), 20_000);
    }
}
