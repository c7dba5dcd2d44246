//! A collector of its own for a recording: it is sent the recorded streams over TCP, as the agents sent them.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use podflow_collector::app;
use podflow_collector::config::Config;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::account;
use crate::recording::Recording;

/// A running collector with the recording's inventory.
#[derive(Debug)]
pub struct Collector {
    /// Its page and query API, `http://127.0.0.1:39201`.
    pub url: String,
    ipfix: SocketAddr,
    config: Config,
    task: JoinHandle<Result<()>>,
    stop: CancellationToken,
    _folder: TempDir,
}

impl Collector {
    /// Starts it on free ports with the recording's inventory. `store` is the table of that name in `collector.yml`; without one it is the embedded
    /// store in a folder of its own.
    ///
    /// # Errors
    /// When the configuration is refused or it cannot bind.
    pub fn start(recording: &Recording, store: Option<&str>) -> Result<Self> {
        Self::with(&recording.inventory, store)
    }

    /// The same with this inventory.
    ///
    /// # Errors
    /// As [`Collector::start`].
    pub fn with(inventory_text: &str, store: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let inventory = folder.path().join("inventory.yml");
        std::fs::write(&inventory, inventory_text)?;
        let embedded = format!("{{embedded: {{path: \"{}\"}}}}", folder.path().join("store").display());
        // What a server does not take must not wait for the next run.
        let path = folder.path().display();
        let spool = format!("spool: {{path: \"{path}\"}}\ndeadLetters: {{path: \"{path}\"}}\n");
        let text = format!(
            "listen: {{udp: [], tcp: [\"127.0.0.1:0\"]}}\nhttp: {{listen: \"127.0.0.1:0\"}}\nbatch: {{age: 200ms}}\n\
             cluster: {{inventory: \"{}\", kubernetes: \"off\"}}\nstore: {}\n{}",
            inventory.display(),
            store.unwrap_or(&embedded),
            if store.is_some() { spool } else { String::new() },
        );
        let config = Config::parse(&text).context("the collector's configuration")?;
        let listeners = app::bind(&config)?;
        let address = |listener: Option<&TcpListener>| -> Result<SocketAddr> {
            Ok(listener.context("no such listener")?.local_addr()?)
        };
        let (ipfix, page) = (address(listeners.tcp.first())?, address(listeners.http.as_ref())?);
        let stop = CancellationToken::new();
        let task = tokio::spawn(app::run(config.clone(), listeners, stop.clone()));
        Ok(Self { url: format!("http://{page}"), ipfix, config, task, stop, _folder: folder })
    }

    /// Where it takes IPFIX over TCP.
    #[must_use]
    pub const fn ipfix(&self) -> SocketAddr {
        self.ipfix
    }

    /// What it was told.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// `/status` as soon as it is as wanted; the books balance in each that is looked at.
    ///
    /// # Errors
    /// When the books do not balance, or nothing moves for long.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let (mut last, mut moved) = (Value::Null, Instant::now());
        loop {
            let status = account::status(&self.url).await?;
            if wanted(&status) {
                return Ok(status);
            }
            if status["stored"] != last["stored"] || status["received"] != last["received"] {
                moved = Instant::now();
            } else if moved.elapsed() > STANDSTILL {
                bail!("waited in vain for {what}: {status}");
            }
            last = status;
            tokio::time::sleep(BETWEEN_QUESTIONS).await;
        }
    }

    /// Sends every stream and waits until as many flow records as given in all have been dealt with; gives `/status`.
    ///
    /// # Errors
    /// When it does not take them.
    pub async fn replay(&self, recording: &Recording, records: u64) -> Result<Value> {
        for stream in &recording.streams {
            let (address, stream) = (self.ipfix, stream.clone());
            tokio::task::spawn_blocking(move || TcpStream::connect(address)?.write_all(&stream)).await??;
        }
        let begun = Instant::now();
        loop {
            let status = account::status(&self.url).await?;
            let settled =
                ["stored", "duplicates", "rejected"].map(|kind| status[kind].as_u64().unwrap_or_default());
            if settled.iter().sum::<u64>() >= records {
                return Ok(status);
            }
            if begun.elapsed() > PATIENCE {
                bail!("waited {PATIENCE:?} until {records} records were dealt with: {status}");
            }
            tokio::time::sleep(BETWEEN_QUESTIONS).await;
        }
    }

    /// Ends it, and says what it failed with.
    ///
    /// # Errors
    /// What it failed with.
    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await.context("the collector panicked")?
    }
}

/// Longer than any server takes to start, on a machine that is busy with other things.
const STANDSTILL: Duration = Duration::from_secs(300);

/// Far more than a few hundred records take on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);
