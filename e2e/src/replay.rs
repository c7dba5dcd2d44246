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

use crate::http;
use crate::recording::Recording;

/// A running collector with the recording's inventory.
#[derive(Debug)]
pub struct Collector {
    /// Its page and query API, `http://127.0.0.1:39201`.
    pub url: String,
    ipfix: SocketAddr,
    task: JoinHandle<Result<()>>,
    stop: CancellationToken,
    _folder: TempDir,
}

impl Collector {
    /// Starts it on free ports. `store` is the table of that name in `collector.yml`; without one it is the embedded
    /// store in a folder of its own.
    ///
    /// # Errors
    /// When the configuration is refused or it cannot bind.
    pub fn start(recording: &Recording, store: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let inventory = folder.path().join("inventory.yml");
        std::fs::write(&inventory, &recording.inventory)?;
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
        let task = tokio::spawn(app::run(config, listeners, stop.clone()));
        Ok(Self { url: format!("http://{page}"), ipfix, task, stop, _folder: folder })
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
            let status = http::get(&format!("{}/status", self.url)).await?;
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

/// Far more than a few hundred records take on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);
