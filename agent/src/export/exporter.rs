//! The loop that exports: connect, send what is due each second, come back after a failure.
//!
//! While there is no connection nothing is taken from the store: live flows go on counting there, ended ones wait.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use podflow_daemon::backoff::Backoff;
use podflow_flow::Profile;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::session::Session;
use super::transport::Transport;
use crate::clock::Clock;
use crate::config::{CollectorAddr, Protocol};
use crate::enrich::{Left, Names, Verdict};
use crate::metrics::ExportMetrics;
use crate::store::Report;
use crate::tracker::SharedStore;

/// What the exporter is to do.
#[derive(Clone, Debug)]
pub(crate) struct ExporterSettings {
    pub(crate) collector: CollectorAddr,
    pub(crate) profile: Profile,
    pub(crate) domain: u32,
}

/// Takes reports out of the store and sends them.
pub(crate) struct Exporter {
    pub(crate) settings: ExporterSettings,
    pub(crate) store: SharedStore,
    pub(crate) names: Arc<Names>,
    pub(crate) clock: Clock,
    pub(crate) metrics: ExportMetrics,
}

impl Exporter {
    /// Exports until `stop`, then what is left, within the drain's deadline.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        while !stop.is_cancelled() {
            let Some(connected) = stop.run_until_cancelled(self.connect()).await else { break };
            let error = match connected {
                Ok((mut transport, mut session)) => {
                    backoff.reset();
                    match self.export(&mut transport, &mut session, &stop).await {
                        Ok(()) => return self.drain(Some((transport, session))).await,
                        Err(error) => {
                            self.give_back(session.abandon());
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            self.metrics.reconnections.inc();
            let wait = backoff.next_wait();
            warn!(wait = %humantime::format_duration(round(wait)), "{error:#}; trying again");
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        self.drain(None).await;
    }

    async fn connect(&self) -> Result<(Transport, Session)> {
        let collector = &self.settings.collector;
        let (transport, peer) = Transport::connect(collector, &self.names.directory).await?;
        self.names.collector.store(Arc::new(Some((peer.ip(), peer.port()))));
        let session = Session::new(self.settings.profile, transport.settings(self.settings.domain))?;
        info!(%collector, %peer, domain = self.settings.domain, "connected to the flow collector");
        Ok((transport, session))
    }

    /// Sends what is due each second. Ends without an error when told to stop.
    async fn export(
        &self,
        transport: &mut Transport,
        session: &mut Session,
        stop: &CancellationToken,
    ) -> Result<()> {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                error = transport.closed() => return Err(self.lost(error)),
                _ = tick.tick() => {}
            }
            self.store.lock().look(self.clock.now());
            self.send_all(transport, session).await?;
            let now_ms = self.clock.now().wall_ms;
            if self.settings.collector.protocol == Protocol::Udp
                && now_ms.saturating_sub(session.last_message_ms()) >= QUIET_MS
            {
                session.keep_alive(now_ms);
                self.send_messages(transport, session).await?;
            }
        }
    }

    /// Takes and sends until nothing is due.
    async fn send_all(&self, transport: &mut Transport, session: &mut Session) -> Result<()> {
        let mut reports = Vec::with_capacity(BATCH);
        loop {
            reports.clear();
            self.store.lock().take(self.clock.now(), BATCH, &mut reports);
            if reports.is_empty() {
                return Ok(());
            }
            for report in &reports {
                self.add(session, report);
            }
            session.flush(self.clock.now().wall_ms);
            self.send_messages(transport, session).await?;
            // Others of this thread get their turn between batches.
            tokio::task::yield_now().await;
        }
    }

    fn add(&self, session: &mut Session, report: &Report) {
        let named = self.names.judge(&report.connection);
        let flow_type = match named.verdict {
            Verdict::Export(flow_type) => flow_type,
            Verdict::Leave(left) => {
                self.metrics.leave(left, report);
                self.store.lock().decline(report);
                return;
            }
        };
        if named.source.is_unnamed() || named.destination.is_unnamed() {
            self.metrics.unnamed.inc();
        }
        let record = named.record(report, &self.names.node, flow_type);
        match session.add(*report, &record) {
            Ok(added) => {
                self.metrics.records.inc();
                self.metrics.strings_cut.inc_by(u64::from(added.strings_cut));
            }
            Err(error) => {
                warn!(%error, "a record cannot be written; it is left out");
                self.metrics.leave(Left::Unencodable, report);
            }
        }
    }

    async fn send_messages(&self, transport: &mut Transport, session: &mut Session) -> Result<()> {
        while let Some(message) = session.next_message() {
            transport.send(&message.octets).await.map_err(|error| self.lost(error))?;
            session.sent(&message);
            self.metrics.messages.inc();
        }
        Ok(())
    }

    fn give_back(&self, reports: impl Iterator<Item = Report>) {
        let mut store = self.store.lock();
        let mut given_back = 0;
        for report in reports {
            store.give_back(&report);
            given_back += 1;
        }
        self.metrics.given_back.inc_by(given_back);
    }

    fn lost(&self, error: std::io::Error) -> Error {
        Error::new(error).context(format!("exporting to the flow collector {}", self.settings.collector))
    }

    /// The last export: every live flow with news and every ended one.
    async fn drain(&self, connection: Option<(Transport, Session)>) {
        self.store.lock().look_at_all();
        let outcome = timeout(DRAIN, async {
            let (mut transport, mut session) = match connection {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            self.send_all(&mut transport, &mut session).await?;
            transport.close().await.context("closing the connection")
        });
        match outcome.await {
            Ok(Ok(())) => info!("everything was exported"),
            Ok(Err(error)) => warn!("the last export failed: {error:#}"),
            Err(_) => warn!("the last export did not end within {} s", DRAIN.as_secs()),
        }
        let waiting = self.store.lock().waiting();
        if waiting > 0 {
            warn!(flows = waiting, "ended flows were not exported");
        }
    }
}

fn round(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

/// How often the store is looked at for flows whose moment has come.
const LOOK: Duration = Duration::from_secs(1);

/// Reports taken at a time: the store is locked for as long as it takes to copy them.
const BATCH: usize = 500;

/// A Service in between forgets a UDP client after 30 s of silence, and half of that leaves room for a loss.
const QUIET_MS: u64 = 15_000;

/// Waits between tries to connect.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long the last export may take: half of the time Kubernetes gives a Pod to end.
const DRAIN: Duration = Duration::from_secs(15);
