//! The agent's counters and gauges, one struct a part. The registry is handed down.

use podflow_flow::FlowEndReason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::enrich::Left;
use crate::store::{Report, Tally};

/// Numbers of the tracking thread.
#[derive(Clone, Debug)]
pub(crate) struct TrackerMetrics {
    pub(crate) poll_seconds: Histogram,
    pub(crate) failed_polls: Counter,
    pub(crate) events: Counter,
    pub(crate) overruns: Counter,
    pub(crate) unreadable: Counter,
    pub(crate) foreign: Counter,
    blind: Family<Reason, Gauge>,
    pub(crate) max_connections: Gauge,
    total_connections: Gauge,
    own_connections: Gauge,
    held: Gauge,
    waiting: Gauge,
    refused: Gauge,
    born_and_dead: Gauge,
    ended_unheard: Gauge,
    restarted: Gauge,
    uncounted: Gauge,
    lost_flows: Gauge,
    repeated_flows: Gauge,
    repeated_octets: Gauge,
    missed_flows: Gauge,
}

impl TrackerMetrics {
    /// Registers all of them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            poll_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            failed_polls: Counter::default(),
            events: Counter::default(),
            overruns: Counter::default(),
            unreadable: Counter::default(),
            foreign: Counter::default(),
            blind: Family::default(),
            max_connections: Gauge::default(),
            total_connections: Gauge::default(),
            own_connections: Gauge::default(),
            held: Gauge::default(),
            waiting: Gauge::default(),
            refused: Gauge::default(),
            born_and_dead: Gauge::default(),
            ended_unheard: Gauge::default(),
            restarted: Gauge::default(),
            uncounted: Gauge::default(),
            lost_flows: Gauge::default(),
            repeated_flows: Gauge::default(),
            repeated_octets: Gauge::default(),
            missed_flows: Gauge::default(),
        };
        // The names that Antrea's users have on their dashboards.
        for (name, help, gauge) in [
            ("total_connection_count", "Connections in the conntrack table", &metrics.total_connections),
            ("antrea_connection_count", "Connections in the zones that are read", &metrics.own_connections),
            ("max_connection_count", "Size limit of the conntrack table", &metrics.max_connections),
        ] {
            registry.sub_registry_with_prefix("antrea_agent_conntrack").register(name, help, gauge.clone());
        }
        let registry = registry.sub_registry_with_prefix("podflow_agent");
        registry.register_with_unit(
            "poll_duration",
            "Time of one poll of conntrack",
            Unit::Seconds,
            metrics.poll_seconds.clone(),
        );
        registry.register(
            "blind",
            "Connections whose traffic cannot be seen whole, by reason; 1 where their number is not known",
            metrics.blind.clone(),
        );
        for (name, help, counter) in [
            ("polls_failed", "Polls that ended with an error", &metrics.failed_polls),
            ("events", "Destroy events received", &metrics.events),
            ("event_overruns", "Times that destroy events were lost", &metrics.overruns),
            ("unreadable_messages", "Netlink messages that could not be read", &metrics.unreadable),
            ("foreign_entries", "Entries of other zones that were read in vain", &metrics.foreign),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, gauge) in [
            ("connections_held", "Connections in the store", &metrics.held),
            ("ended_flows_waiting", "Ended flows that wait for the collector", &metrics.waiting),
            ("connections_refused", "Entries refused because the store was full", &metrics.refused),
            ("flows_between_polls", "Flows known by their destroy event only", &metrics.born_and_dead),
            ("flows_ended_unheard", "Flows that vanished without a destroy event", &metrics.ended_unheard),
            ("flows_restarted", "Flows whose counters went back", &metrics.restarted),
            ("flows_uncounted", "Flows that ended without ever having counters", &metrics.uncounted),
            ("flows_lost", "Ended flows lost because too many were waiting", &metrics.lost_flows),
            (
                "crash_flows_repeated",
                "Flows of which an earlier run that crashed may have reported more than it wrote down",
                &metrics.repeated_flows,
            ),
            (
                "crash_octets_repeated",
                "Octets that may so be reported twice, at most",
                &metrics.repeated_octets,
            ),
            ("flows_missed", "Flows that ended while no agent ran", &metrics.missed_flows),
        ] {
            registry.register(name, help, gauge.clone());
        }
        metrics
    }

    /// Says how much cannot be seen, and why.
    pub(crate) fn set_blind(&self, reason: &'static str, connections: u64) {
        let gauge = self.blind.get_or_create(&Reason { reason });
        gauge.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// Takes over what the store counted.
    pub(crate) fn observe_store(&self, entries: u64, held: usize, waiting: usize, tally: &Tally) {
        let set = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.own_connections, entries);
        set(&self.held, held as u64);
        set(&self.waiting, waiting as u64);
        set(&self.refused, tally.refused);
        set(&self.born_and_dead, tally.born_and_dead);
        set(&self.ended_unheard, tally.ended_unheard);
        set(&self.restarted, tally.restarted);
        set(&self.uncounted, tally.uncounted);
        set(&self.lost_flows, tally.lost_flows);
        set(&self.repeated_flows, tally.repeated_flows);
        set(&self.repeated_octets, tally.repeated_octets);
        set(&self.missed_flows, tally.missed_flows);
    }

    /// Takes over how many connections the kernel has in all zones together.
    pub(crate) fn observe_table(&self, connections: u64) {
        self.total_connections.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }
}

/// Numbers of the exporter.
#[derive(Clone, Debug)]
pub(crate) struct ExportMetrics {
    pub(crate) records: Counter,
    pub(crate) messages: Counter,
    pub(crate) given_back: Counter,
    pub(crate) reconnections: Counter,
    pub(crate) unnamed: Counter,
    pub(crate) strings_cut: Counter,
    pub(crate) messages_resent: Counter,
    pub(crate) resends_cut: Counter,
    pub(crate) resends_given_up: Counter,
    pub(crate) resend_octets: Gauge,
    left: Family<Reason, Counter>,
}

/// The label of what is not exported or not seen.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct Reason {
    reason: &'static str,
}

impl ExportMetrics {
    /// Registers all of them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Counter::default(),
            messages: Counter::default(),
            given_back: Counter::default(),
            reconnections: Counter::default(),
            unnamed: Counter::default(),
            strings_cut: Counter::default(),
            messages_resent: Counter::default(),
            resends_cut: Counter::default(),
            resends_given_up: Counter::default(),
            resend_octets: Gauge::default(),
            left: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("podflow_agent");
        for (name, help, counter) in [
            ("records_exported", "Flow records put into messages", &metrics.records),
            ("messages_sent", "IPFIX messages sent", &metrics.messages),
            (
                "records_given_back",
                "Records taken back because their message was not sent",
                &metrics.given_back,
            ),
            ("reconnections", "Tries to reach the collector again", &metrics.reconnections),
            ("names_missed", "Records with a local address that nobody has named", &metrics.unnamed),
            ("messages_resent", "Messages sent again after a reconnect", &metrics.messages_resent),
            ("resends_cut", "Sent messages not kept for a resend for lack of room", &metrics.resends_cut),
            ("resends_given_up", "Messages not sent a fourth time", &metrics.resends_given_up),
            ("strings_cut", "Records whose names were cut to fit a datagram", &metrics.strings_cut),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "resend_octets",
            "Octets of sent messages kept for a resend",
            metrics.resend_octets.clone(),
        );
        registry.register("flows_not_exported", "Flows left out, by reason", metrics.left.clone());
        for left in Left::ALL {
            drop(metrics.left.get_or_create(&Reason { reason: left.label() }));
        }
        metrics
    }

    /// A report was not for us to send; a flow counts once, when it ends.
    pub(crate) fn leave(&self, left: Left, report: &Report) {
        if report.end != FlowEndReason::ActiveTimeout {
            self.left.get_or_create(&Reason { reason: left.label() }).inc();
        }
    }
}
