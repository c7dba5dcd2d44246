//! What `benches/poll.rs` needs of the agent's insides: single polls, bare dumps and exports, without any pauses.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use podflow_cluster::{Directory, Inventory};
use podflow_daemon::readiness::Readiness;
use podflow_flow::Profile;
use podflow_ipfix::export::ExportSettings;
use prometheus_client::registry::Registry;

use crate::blindness::Blindness;
use crate::clock::Clock;
use crate::config::{Probes, TableSource, Tunnels};
use crate::conntrack::socket::DumpSocket;
use crate::enrich::{Names, Verdict};
use crate::export::Session;
use crate::metrics::TrackerMetrics;
use crate::store::moment::Schedule;
use crate::store::{Limits, Memory, Report};
use crate::tracker::{Settings, Tracker};

/// Receives a whole dump and throws it away; gives back how many octets it had.
///
/// # Errors
/// When the table cannot be read.
pub fn bare_dump(zone: Option<u16>) -> Result<u64> {
    Ok(DumpSocket::open()?.discard(zone)?)
}

/// An agent that polls when it is told to.
pub struct Agent {
    tracker: Tracker,
}

impl Agent {
    /// Opens the kernel's table of this thread's network namespace.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn open(zones: Vec<u16>) -> Result<Self> {
        let (minute, poll) = (Duration::from_secs(60), Duration::from_secs(5));
        let settings = Settings {
            poll_interval: poll,
            source: TableSource::Kernel,
            zones: Some(zones),
            limits: Limits {
                connections: 1 << 20,
                ended: 1 << 20,
                schedule: Schedule::new(minute, poll, None),
                uncounted: false,
            },
        };
        let metrics = TrackerMetrics::register(&mut Registry::default());
        let blindness = Blindness::new(metrics.clone(), Readiness::default());
        let tracker = Tracker::open(settings, Clock::start(), |_| Memory::default(), metrics, blindness)?;
        Ok(Self { tracker })
    }

    /// One poll, as the agent's; gives back how many connections are held.
    pub fn poll(&mut self) -> usize {
        self.tracker.poll();
        self.tracker.store().lock().len()
    }

    /// Judges, names and encodes a record of every connection, as the exporter does; gives back how many records and
    /// octets came of it.
    ///
    /// # Errors
    /// When the inventory is none, or a record cannot be encoded.
    pub fn export(&mut self, inventory: &str, node: &str) -> Result<(usize, usize)> {
        let directory = Directory::default();
        directory.replace(Inventory::parse(inventory)?, 0);
        let names = Names {
            directory: Arc::new(directory),
            node: node.into(),
            services: true,
            interfaces: ArcSwap::default(),
            tunnels: Tunnels::default(),
            probes: Probes::default(),
            exclude: Vec::new(),
            collector: ArcSwap::default(),
        };
        let mut session = Session::new(Profile::Full, 4, ExportSettings::stream(1))?;
        let store = self.tracker.store();
        store.lock().look_at_all();
        let (clock, mut records, mut octets) = (Clock::start(), 0, 0);
        let mut reports: Vec<Report> = Vec::with_capacity(BATCH);
        loop {
            reports.clear();
            store.lock().take(clock.now(), BATCH, &mut reports);
            if reports.is_empty() {
                return Ok((records, octets));
            }
            for report in &reports {
                let named = names.judge(&report.connection);
                let Verdict::Export(flow_type) = named.verdict else { continue };
                let record = named.record(report, node, flow_type);
                session.add(*report, &record).context("a record")?;
                records += 1;
            }
            session.flush(clock.now().wall_ms);
            while let Some(message) = session.next_message() {
                octets += message.octets.len();
                session.sent(&message);
            }
        }
    }
}

/// As the exporter's.
const BATCH: usize = 500;
