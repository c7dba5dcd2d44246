//! The collector as a whole: bound first, then run until told to stop, then drained against a deadline.
//!
//! Producers stop first and consumers drain after: listeners, decoders, sink.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};

use anyhow::{Context, Result};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use podflow_cluster::{Directory, inventory, kubernetes};
use podflow_daemon::http::SharedRegistry;
use podflow_daemon::readiness::Readiness;

use crate::account::Account;
use crate::config::{Config, Kubernetes};
use crate::decode::{self, Exporters, Shared};
use crate::http::{self, Status};
use crate::kibana;
use crate::live::Tap;
use crate::receive::bad_input::BadInput;
use crate::receive::{self, Connections, Kind};
use crate::sink::Sink;

/// Sockets that are bound already, in whichever network namespace.
#[derive(Debug, Default)]
pub struct Listeners {
    /// IPFIX over UDP.
    pub udp: Vec<UdpSocket>,
    /// IPFIX over TCP.
    pub tcp: Vec<TcpListener>,
    /// IPFIX over TLS.
    pub tls: Vec<TcpListener>,
    /// Page, query API, health, metrics.
    pub http: Option<TcpListener>,
}

/// Binds every listener of the configuration.
///
/// # Errors
/// Which address could not be had, and why.
pub fn bind(config: &Config) -> Result<Listeners> {
    Ok(Listeners { http: bind_http(config)?, ..bind_ipfix(config)? })
}

/// Binds the listeners for IPFIX alone, in the calling thread's network namespace.
///
/// # Errors
/// As [`bind`].
pub fn bind_ipfix(config: &Config) -> Result<Listeners> {
    let listen = &config.listen;
    let mut listeners = Listeners::default();
    for address in &listen.udp {
        listeners.udp.extend(receive::bind_udp(*address, listen.receive_buffer, listen.udp_sockets)?);
    }
    for address in &listen.tcp {
        listeners.tcp.push(receive::bind_tcp(*address)?);
    }
    for address in &listen.tls {
        listeners.tls.push(receive::bind_tcp(*address)?);
    }
    Ok(listeners)
}

/// Binds the listener of the web page alone.
///
/// # Errors
/// As [`bind`].
pub fn bind_http(config: &Config) -> Result<Option<TcpListener>> {
    config.http.map(receive::bind_http).transpose()
}

/// Runs until `shutdown`, then hands on what has come, within the configuration's deadline.
///
/// # Errors
/// When a part cannot start, such as a store that another process has.
pub async fn run(config: Config, listeners: Listeners, shutdown: CancellationToken) -> Result<()> {
    let registry = SharedRegistry::default();
    let exporters = Exporters::new(config.listen.sessions);
    let (account, bad_input, tap) = {
        let mut registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
        exporters.show(&mut registry);
        (Account::register(&mut registry), BadInput::register(&mut registry), Tap::register(&mut registry))
    };
    let readiness = Readiness::default();
    let starting = readiness.wait_for("listeners and store");
    let directory = Arc::new(Directory::default());
    let sink = Sink::open(&config)?;

    let mut services = JoinSet::new();
    let ending = CancellationToken::new();
    start_names(&config, &directory, &readiness, &ending, &mut services)?;

    // The sink outlives the decoders, the decoders outlive the receivers.
    let give_up = CancellationToken::new();
    let (batch_queue, batches_in) = mpsc::channel(config.batch.queue);
    let sink_task = tokio::spawn(sink.clone().run(batches_in, account.clone(), give_up.clone()));
    let shared = Shared {
        directory: Arc::clone(&directory),
        sink: sink.clone(),
        exporters: exporters.clone(),
        account: account.clone(),
        bad_input: bad_input.clone(),
        tap: tap.clone(),
    };
    let (decoders, decoder_threads) = decode::start(&config, &shared, &batch_queue)?;
    drop(batch_queue);
    let mut receivers = JoinSet::new();
    let Listeners { udp, tcp, tls, http } = listeners;
    let connections = Connections {
        decoders: decoders.clone(),
        account: account.clone(),
        bad_input,
        limit: Arc::new(Semaphore::new(config.listen.connections)),
        numbers: Arc::new(AtomicU64::new(0)),
        idle_timeout: config.listen.idle_timeout,
        shutdown: shutdown.clone(),
    };
    for socket in udp {
        receivers.spawn(receive::read(socket, decoders.clone(), account.clone(), shutdown.clone()));
    }
    for listener in tcp {
        receivers.spawn(receive::accept(listener, Kind::Tcp, connections.clone()));
    }
    if let Some(identity) = config.listen.identity.as_ref().filter(|_| !tls.is_empty()) {
        let client_ca = config.listen.client_ca.as_deref();
        let server = podflow_daemon::tls::server(identity, client_ca).context("listen.tls")?;
        let kind = Kind::Tls(server.into());
        for listener in tls {
            receivers.spawn(receive::accept(listener, kind.clone(), connections.clone()));
        }
    }
    drop((decoders, connections));
    if let Some(kibana) = config.kibana.clone() {
        // It ends as soon as it has worked, which is no reason to stop.
        tokio::spawn(kibana::import_at_start(kibana, ending.clone()));
    }
    if let Some(listener) = http {
        let status = Status {
            started_ms: receive::now_ms(),
            export_interval: config.export_interval,
            account: account.clone(),
            exporters,
            sink: sink.clone(),
            directory,
        };
        // Streams end with the first word of stopping: an open page must not prolong it.
        let live = crate::live::router(tap, shutdown.clone());
        let router = http::router(readiness, Arc::clone(&registry), status, &sink).merge(live);
        services.spawn(http::serve(listener, router, ending.clone()));
    }
    drop(starting);

    let outcome = until_stopped(&shutdown, &mut receivers, &mut services).await;
    shutdown.cancel();
    info!("stopping: no new messages; storing what has come");
    let deadline = tokio::spawn({
        let (give_up, limit) = (give_up.clone(), config.drain_deadline);
        async move {
            tokio::time::sleep(limit).await;
            give_up.cancel();
        }
    });
    while receivers.join_next().await.is_some() {}
    decoder_threads.wait().await;
    sink_task.await.context("the sink ended badly")?;
    deadline.abort();
    ending.cancel();
    while services.join_next().await.is_some() {}
    say_farewell(&account, &sink);
    outcome
}

/// Waits for `shutdown`, or for a part that ends before it is told to.
async fn until_stopped(
    shutdown: &CancellationToken,
    receivers: &mut JoinSet<Result<()>>,
    services: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let ended = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        Some(ended) = receivers.join_next() => ended,
        Some(ended) = services.join_next() => ended,
        else => {
            shutdown.cancelled().await;
            return Ok(());
        }
    };
    ended.context("a part of the collector ended badly")?
}

/// Starts whoever fills the directory.
fn start_names(
    config: &Config,
    directory: &Arc<Directory>,
    readiness: &Readiness,
    ending: &CancellationToken,
    services: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let (directory, ending) = (Arc::clone(directory), ending.clone());
    if let Some(path) = config.cluster.inventory.clone() {
        // Read here, so that a file that is not one stops the start.
        directory.replace(podflow_cluster::Inventory::read(&path)?, receive::now_ms());
        services.spawn(inventory::follow(path, directory, ending));
        return Ok(());
    }
    let in_a_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let wanted = match config.cluster.kubernetes {
        Kubernetes::On => true,
        Kubernetes::Auto => in_a_pod,
        Kubernetes::Off => false,
    };
    if wanted {
        let readiness = readiness.clone();
        services.spawn(async move {
            let client = kubernetes::client().await.context("cluster.kubernetes")?;
            let scope = kubernetes::Scope::Cluster;
            kubernetes::follow(client, scope, directory, &readiness, ending).await
        });
    }
    Ok(())
}

fn say_farewell(account: &Account, sink: &Sink) {
    let statement = account.statement();
    let (spooled, _) = sink.waiting();
    let lost: u64 =
        statement.dropped.iter().filter(|(reason, _)| *reason == "shutdown").map(|(_, n)| n).sum();
    if lost > 0 || statement.in_flight > spooled {
        error!(lost, in_flight = statement.in_flight, "stopped before everything was stored");
    } else if spooled > 0 {
        info!(spooled, "stopped; the spool keeps what the store has not taken, for the next run");
    } else {
        let (records, stored) = (statement.records, statement.stored);
        info!(records, stored, "stopped; everything that came is accounted for");
    }
}
