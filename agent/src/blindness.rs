//! What cannot be seen in conntrack is said once, and shown in a metric.

use std::fs;

use tracing::warn;

use crate::metrics::TrackerMetrics;
use crate::store::Tally;

/// What was said already.
#[derive(Debug, Default)]
pub(crate) struct Blindness {
    uncounted_said: bool,
    offloaded_said: bool,
    unheard_said: bool,
}

impl Blindness {
    /// Looks at one poll: entries without counters, entries forwarded past the kernel's counters, and entries that
    /// went without an event.
    pub(crate) fn observe(
        &mut self,
        uncounted: u64,
        offloaded: u64,
        tally: &Tally,
        metrics: &TrackerMetrics,
    ) {
        metrics.set_blind("no_counters", uncounted);
        metrics.set_blind("offloaded", offloaded);
        metrics.set_blind("no_end_event", tally.ended_unheard);
        if once(&mut self.uncounted_said, uncounted) {
            warn!(
                connections = uncounted,
                "connections that began before the kernel's counters were on have none; they are not exported"
            );
        }
        if once(&mut self.offloaded_said, offloaded) {
            warn!(
                connections = offloaded,
                "connections are forwarded by a flowtable or by hardware; their counters may stand still"
            );
        }
        if once(&mut self.unheard_said, tally.ended_unheard) {
            warn!(
                connections = tally.ended_unheard,
                "connections ended without an event, so that their last packets may be missing; those that began \
                 before the agent are expected to"
            );
        }
    }
}

/// A bridge CNI whose packets are not shown to netfilter leaves no trace of same-Node traffic.
pub(crate) fn look_at_bridges(metrics: &TrackerMetrics) {
    let hidden = fs::read_to_string(BRIDGE_SWITCH).is_ok_and(|text| text.trim() == "0");
    metrics.set_blind("bridge", u64::from(hidden));
    if hidden {
        warn!(
            "net.bridge.bridge-nf-call-iptables is 0: where the CNI is a bridge, traffic between Pods of this Node is \
             not tracked; set it to 1 to see it"
        );
    }
}

fn once(said: &mut bool, connections: u64) -> bool {
    let say = connections > 0 && !*said;
    *said |= say;
    say
}

const BRIDGE_SWITCH: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
