//! The loop that exports: connect, send what is due each second, come back after a failure.
//!
//! While there is no connection nothing is taken from the store: live flows go on counting there, ended ones wait.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use podflow_daemon::backoff::Backoff;
use podflow_flow::{FlowEndReason, Profile};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::resend::ResendBuffer;
use super::session::Session;
use super::transport::{Transport, resolve};
use crate::clock::Clock;
use crate::config::{CollectorAddr, Host, Protocol, Tls};
use crate::enrich::{Left, Names, Verdict};
use crate::metrics::ExportMetrics;
use crate::store::Report;
use crate::tracker::SharedStore;

/// What the exporter is to do.
#[derive(Clone, Debug)]
pub(crate) struct ExporterSettings {
    pub(crate) collector: CollectorAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) profile: Profile,
    pub(crate) domain: u32,
    /// Octets of a dateTimeSeconds.
    pub(crate) seconds_octets: u16,
    /// Octets of the largest IP packet over UDP, where the operator knows better than the kernel.
    pub(crate) path_mtu: Option<u16>,
    /// Octets of sent messages that are kept for a resend; 0: none.
    pub(crate) resend_octets: usize,
    /// How often a name is looked up while a connection stands.
    pub(crate) resolve_again: Duration,
    /// How long the last export may take.
    pub(crate) drain: Duration,
}

/// Takes reports out of the store and sends them.
pub(crate) struct Exporter {
    pub(crate) settings: ExporterSettings,
    pub(crate) store: SharedStore,
    pub(crate) names: Arc<Names>,
    pub(crate) clock: Clock,
    pub(crate) metrics: ExportMetrics,
}

/// An open connection, and what is on its way over it.
struct Link {
    transport: Transport,
    session: Session,
    peer: std::net::SocketAddr,
}

impl Exporter {
    /// Exports until `stop`, then what is left, within the drain's deadline.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut resend = ResendBuffer::new(self.settings.resend_octets);
        while !stop.is_cancelled() {
            let Some(connected) = stop.run_until_cancelled(self.connect()).await else { break };
            let error = match connected {
                Ok(mut link) => {
                    let began = Instant::now();
                    match self.export(&mut link, &mut resend, &stop).await {
                        Ok(()) => return self.drain(Some(link), resend).await,
                        Err(error) => {
                            // A collector that accepts and closes at once is not hammered.
                            if began.elapsed() > LONGEST_WAIT {
                                backoff.reset();
                            }
                            self.give_back(link.session.abandon());
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
        self.drain(None, resend).await;
    }

    async fn connect(&self) -> Result<Link> {
        let ExporterSettings { collector, tls, profile, domain, seconds_octets, path_mtu, .. } =
            &self.settings;
        let (transport, peer) = Transport::connect(collector, tls.as_ref(), &self.names.directory).await?;
        self.names.collector.store(Arc::new(Some((peer.ip(), peer.port()))));
        let session = Session::new(*profile, *seconds_octets, transport.settings(*domain, *path_mtu))?;
        info!(%collector, %peer, domain, "connected to the flow collector");
        Ok(Link { transport, session, peer })
    }

    /// Sends what is due each second. Ends without an error when told to stop.
    async fn export(
        &self,
        link: &mut Link,
        resend: &mut ResendBuffer,
        stop: &CancellationToken,
    ) -> Result<()> {
        self.resend(link, resend).await?;
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut resolved, mut introduced) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                error = link.transport.closed() => return Err(self.lost(error)),
                _ = tick.tick() => {}
            }
            let now = self.clock.now();
            self.store.lock().look(now);
            self.send_all(link, resend).await?;
            if let Some(octets) = link.transport.unacknowledged() {
                resend.acknowledged(octets, now.wall_ms);
            }
            self.metrics.resend_octets.set(i64::try_from(resend.octets()).unwrap_or(i64::MAX));
            let quiet = now.wall_ms.saturating_sub(link.session.last_message_ms()) >= QUIET_MS;
            let udp = self.settings.collector.protocol == Protocol::Udp;
            let again = if udp { INTRODUCE_UDP } else { INTRODUCE_STREAM };
            if introduced.elapsed() >= again || (udp && quiet) {
                introduced = Instant::now();
                self.introduce(link, resend, udp).await?;
            }
            if resolved.elapsed() >= self.settings.resolve_again
                && !matches!(self.settings.collector.host, Host::Address(_))
            {
                resolved = Instant::now();
                self.check_address(link).await?;
            }
        }
    }

    /// The name that was connected to may mean another host by now.
    async fn check_address(&self, link: &Link) -> Result<()> {
        let Ok(addresses) = resolve(&self.settings.collector, &self.names.directory).await else {
            return Ok(()); // the connection holds; that is worth more than a name server
        };
        if addresses.is_empty() || addresses.contains(&link.peer) {
            return Ok(());
        }
        Err(anyhow!("{} is no longer at {}", self.settings.collector, link.peer))
    }

    /// Options records, with the templates where they are wanted: at the beginning, and over UDP again and again.
    async fn introduce(&self, link: &mut Link, resend: &mut ResendBuffer, templates: bool) -> Result<()> {
        let (tally, now_ms) = (self.store.lock().tally(), self.clock.now().wall_ms);
        let added = if templates {
            link.session.introduce(&tally, now_ms)
        } else {
            link.session.account(&tally, now_ms)
        };
        if let Err(error) = added {
            warn!(%error, "an options record cannot be written; it is left out");
        }
        self.send_messages(link, resend).await
    }

    /// Sends again what an earlier connection may have lost, after the templates.
    async fn resend(&self, link: &mut Link, resend: &mut ResendBuffer) -> Result<()> {
        self.metrics.resends_given_up.inc_by(resend.reconnected());
        self.introduce(link, resend, true).await?;
        while let Some(message) = resend.next_to_resend() {
            let mut message = message.clone();
            link.session.number(&mut message);
            link.transport.send(&message.octets).await.map_err(|error| self.lost(error))?;
            resend.resent(self.clock.now().wall_ms);
            self.metrics.messages_resent.inc();
        }
        Ok(())
    }

    /// Takes and sends until nothing is due.
    async fn send_all(&self, link: &mut Link, resend: &mut ResendBuffer) -> Result<()> {
        let mut reports = Vec::with_capacity(BATCH);
        loop {
            reports.clear();
            self.store.lock().take(self.clock.now(), BATCH, &mut reports);
            if reports.is_empty() {
                return Ok(());
            }
            for report in &reports {
                self.add(&mut link.session, report);
            }
            link.session.flush(self.clock.now().wall_ms);
            self.send_messages(link, resend).await?;
            // Others of this thread get their turn between batches.
            tokio::task::yield_now().await;
        }
    }

    fn add(&self, session: &mut Session, report: &Report) {
        let named = self.names.judge(&report.connection);
        let verdict = if report.is_twin { Verdict::Leave(Left::Twin) } else { named.verdict };
        let flow_type = match verdict {
            Verdict::Export(flow_type) => flow_type,
            Verdict::Leave(left) => {
                self.metrics.leave(left, report);
                self.store.lock().decline(report);
                return;
            }
        };
        if named.source.is_unnamed() || named.destination.is_unnamed() {
            let ended = report.end != FlowEndReason::ActiveTimeout;
            if ended && self.store.lock().hold(report, self.clock.now()) {
                return;
            }
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

    async fn send_messages(&self, link: &mut Link, resend: &mut ResendBuffer) -> Result<()> {
        while let Some(mut message) = link.session.next_message() {
            link.session.number(&mut message);
            link.transport.send(&message.octets).await.map_err(|error| self.lost(error))?;
            link.session.sent(&message);
            self.metrics.messages.inc();
            let cut = resend.sent(message, self.clock.now().wall_ms);
            self.metrics.resends_cut.inc_by(cut);
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
    async fn drain(&self, mut link: Option<Link>, mut resend: ResendBuffer) {
        self.store.lock().look_at_all();
        let outcome = timeout(self.settings.drain, async {
            if link.is_none() {
                let connected = link.insert(self.connect().await?);
                self.resend(connected, &mut resend).await?;
            }
            if let Some(link) = &mut link {
                self.send_all(link, &mut resend).await?;
                link.transport.close().await.context("closing the connection")?;
            }
            Ok::<_, Error>(())
        })
        .await;
        if let Some(link) = &mut link {
            self.give_back(link.session.abandon());
        }
        match outcome {
            Ok(Ok(())) => info!("everything was exported"),
            Ok(Err(error)) => warn!("the last export failed: {error:#}"),
            Err(_) => {
                let within = humantime::format_duration(self.settings.drain);
                warn!(%within, "the last export did not end in time");
            }
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

/// How often templates and options are sent again over UDP, at least; streams have the statistics alone to gain.
const INTRODUCE_UDP: Duration = Duration::from_secs(30);
const INTRODUCE_STREAM: Duration = Duration::from_secs(600);

/// Waits between tries to connect.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
