//! The agent as a whole: what is started, in which order, and how it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::get;
use podflow_cluster::Directory;
use podflow_cluster::kubernetes::{self, Scope};
use podflow_daemon::http::{SharedRegistry, router};
use podflow_daemon::readiness::Readiness;
use podflow_flow::Profile;
use podflow_flow::record::observation_domain;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::addresses;
use crate::blindness::Blindness;
use crate::clock::Clock;
use crate::config::{CollectorAddr, Config, Protocol, Resend, TableSource};
use crate::enrich::Names;
use crate::export::{Exporter, ExporterSettings};
use crate::metrics::{ExportMetrics, TrackerMetrics};
use crate::state::{self, State};
use crate::store::moment::Schedule;
use crate::store::{Limits, Memory};
use crate::tracker::{Settings, SharedStore, Tracker};

/// What the command line says beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Names come from this file; else from the Kubernetes API.
    pub inventory: Option<PathBuf>,
    /// Name of this Node.
    pub node_name: String,
}

/// Runs the agent in the network namespace of this thread until `shutdown`, and exports what is left.
///
/// # Errors
/// When conntrack cannot be read, or names cannot be had at all.
pub async fn run(config: Config, options: RunOptions, shutdown: CancellationToken) -> Result<()> {
    let readiness = Readiness::default();
    let registry: SharedRegistry = Arc::new(Mutex::new(Registry::default()));
    let shown = config.shown().to_string();
    let pages = router(readiness.clone(), Arc::clone(&registry))
        .route("/config", get(async move || ([(header::CONTENT_TYPE, "application/json")], shown.clone())));
    serve("/healthz, /readyz, /metrics and /config", config.status_addr, pages, &shutdown).await;
    if let Some(address) = config.metrics_addr {
        let pages = metrics_only(router(readiness.clone(), Arc::clone(&registry)));
        serve("/metrics", address, pages, &shutdown).await;
    }
    if !config.ignored.is_empty() {
        info!(
            keys = config.ignored.join(", "),
            "keys of Antrea's that mean nothing to this agent are ignored"
        );
    }
    let Some(collector) = config.collector.clone().filter(|_| config.enabled) else {
        info!("FlowExporter is off: nothing is exported");
        shutdown.cancelled().await;
        return Ok(());
    };

    let directory = Arc::new(Directory::default());
    directory.set_cluster_ranges(config.cluster_ranges.clone());
    follow_names(&options, &config, &directory, &readiness, &shutdown).await?;

    let clock = Clock::start();
    let (tracker_metrics, export_metrics) = {
        let mut registry = registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (TrackerMetrics::register(&mut registry), ExportMetrics::register(&mut registry))
    };
    let settings = Settings {
        poll_interval: config.poll_interval,
        source: config.source.clone(),
        zones: config.zones.clone(),
        limits: Limits {
            connections: config.max_connections,
            ended: config.max_ended_flows,
            schedule: Schedule::new(config.export_interval, config.poll_interval, config.idle_timeout),
            uncounted: config.source != TableSource::Kernel,
        },
    };
    let keeper = config.state_file.clone().map(StateKeeper::new);
    let memory = |opened_ms| match keeper.as_ref().and_then(StateKeeper::load) {
        Some(state) => {
            Memory { crashed_before_ms: if state.graceful { 0 } else { opened_ms }, ..state.memory }
        }
        None => Memory { since_ms: opened_ms, ..Memory::default() },
    };
    let mut blindness = Blindness::new(tracker_metrics.clone(), readiness.clone());
    blindness.look_at_devices(addresses::device_names());
    let tracker = Tracker::open(settings, clock, memory, tracker_metrics, blindness.clone())
        .context("reading conntrack")?;
    let store = tracker.store();
    let watching = blindness.watch_for_pods(
        store.clone(),
        Arc::clone(&directory),
        options.node_name.clone(),
        PODS_AGAIN,
    );
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(watching));
    let tracking = tracker
        .start(readiness.wait_for("first poll of conntrack"))
        .context("starting the conntrack thread")?;

    let names = Arc::new(Names::of(&config, &options.node_name, Arc::clone(&directory)));
    tokio::spawn({
        let names = Arc::clone(&names);
        let keep = move |found| names.interfaces.store(Arc::new(found));
        shutdown.clone().run_until_cancelled_owned(addresses::follow(keep, ADDRESSES_AGAIN))
    });
    let keeping = keeper.clone().map(|keeper| tokio::spawn(keeper.run(store.clone(), shutdown.clone())));
    let exporter = Exporter {
        settings: ExporterSettings {
            resend_octets: resend_octets(&config, &collector),
            collector,
            tls: config.tls.clone(),
            seconds_octets: config.seconds_octets,
            path_mtu: config.path_mtu,
            profile: config.template,
            domain: observation_domain(&config.cluster_name, &options.node_name),
            resolve_again: RESOLVE_AGAIN,
            drain: DRAIN,
        },
        store: store.clone(),
        names,
        clock,
        metrics: export_metrics,
    };
    // Producers stop first: the exporter drains after the last poll.
    let last_poll_done = CancellationToken::new();
    let exporting = tokio::spawn(exporter.run(last_poll_done.clone()));
    shutdown.cancelled().await;
    tokio::task::spawn_blocking(|| tracking.stop()).await.context("the last poll")?;
    last_poll_done.cancel();
    exporting.await.context("the last export")?;
    if let (Some(keeper), Some(keeping)) = (keeper, keeping) {
        keeping.await.context("keeping the state")?;
        keeper.save(&store, true);
    }
    Ok(())
}

/// Keeps the state file: each [`SAVE_EVERY`], and at the end.
#[derive(Clone)]
struct StateKeeper {
    path: PathBuf,
    boot_id: String,
}

impl StateKeeper {
    fn new(path: PathBuf) -> Self {
        Self { path, boot_id: state::boot_id() }
    }

    fn load(&self) -> Option<State> {
        let state = state::load(&self.path, &self.boot_id)?;
        let flows = state.memory.reported.len();
        if state.graceful {
            info!(flows, "an earlier run left what it had reported; its flows go on");
        } else {
            warn!(
                flows,
                "the earlier run did not end in order: what it reported in its last {} s is reported again",
                SAVE_EVERY.as_secs()
            );
        }
        Some(state)
    }

    async fn run(self, store: SharedStore, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(SAVE_EVERY)).await.is_some() {
            let (keeper, store) = (self.clone(), store.clone());
            if tokio::task::spawn_blocking(move || keeper.save(&store, false)).await.is_err() {
                return;
            }
        }
    }

    fn save(&self, store: &SharedStore, graceful: bool) {
        let memory = store.lock().memory();
        let graceful = graceful && memory.crashed_before_ms == 0;
        let state = State { memory, graceful };
        if let Err(error) = state::save(&self.path, &self.boot_id, &state) {
            warn!(
                path = %self.path.display(),
                %error,
                "what was reported cannot be kept; after a restart, flows that go on begin anew"
            );
        }
    }
}

/// Only towards a collector that stores a record once: ours, which is told by the full template over a stream.
fn resend_octets(config: &Config, collector: &CollectorAddr) -> usize {
    let is_ours = config.template == Profile::Full && collector.protocol != Protocol::Udp;
    if config.resend == Resend::Auto && is_ours { config.resend_octets } else { 0 }
}

/// Starts whatever tells us who is behind an address.
async fn follow_names(
    options: &RunOptions,
    config: &Config,
    directory: &Arc<Directory>,
    readiness: &Readiness,
    shutdown: &CancellationToken,
) -> Result<()> {
    let (directory, shutdown) = (Arc::clone(directory), shutdown.clone());
    if let Some(path) = options.inventory.clone() {
        // Read once here, so that a file that is no inventory ends the start.
        podflow_cluster::Inventory::read(&path)?;
        tokio::spawn(async move {
            if let Err(error) = podflow_cluster::inventory::follow(path, directory, shutdown).await {
                error!("{error:#}");
            }
        });
        return Ok(());
    }
    let client = kubernetes::client().await?;
    let scope = Scope::Node { name: options.node_name.as_str().into(), services: config.service_names };
    let readiness = readiness.clone();
    tokio::spawn(async move {
        if let Err(error) = kubernetes::follow(client, scope, directory, &readiness, shutdown).await {
            error!("{error:#}");
        }
    });
    Ok(())
}

/// Serves pages; an occupied port is said and changes nothing else.
async fn serve(what: &'static str, address: SocketAddr, pages: Router, shutdown: &CancellationToken) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            warn!(%address, %error, "{what} cannot be served there; the export goes on without them");
            return;
        }
    };
    info!(%address, "serving {what}");
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let serving = axum::serve(listener, pages).with_graceful_shutdown(shutdown.cancelled_owned());
        if let Err(error) = serving.await {
            warn!(%error, "{what} are no longer served");
        }
    });
}

/// Of all pages, the metrics alone: what others than this Node may see.
fn metrics_only(pages: Router) -> Router {
    pages.layer(middleware::from_fn(async |request: Request, next: Next| {
        if request.uri().path() == "/metrics" {
            next.run(request).await
        } else {
            StatusCode::NOT_FOUND.into_response()
        }
    }))
}

/// A collector whose name means another host by now is followed within so long.
const RESOLVE_AGAIN: Duration = Duration::from_secs(60);

/// How long the last export may take: half of the time Kubernetes gives a Pod to end.
const DRAIN: Duration = Duration::from_secs(15);

/// Kubelet's probes alone show a Pod within so long.
const PODS_AGAIN: Duration = Duration::from_secs(60);

/// What a crash may repeat.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// A notice of a new address that got lost is made up for within so long.
const ADDRESSES_AGAIN: Duration = Duration::from_secs(60);
