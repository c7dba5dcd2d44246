//! A collector that listens on loopback inside a wire's namespace, with a capture of all that it is sent.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use podflow_collector::app;
use podflow_collector::config::Config;
use podflow_testbed::tools::{NFT, run};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::recorder::Capture;
use crate::wire::Wire;
use crate::{account, http};

/// A running collector with the embedded store, and the capture.
pub struct OnWire {
    /// The UDP port it listens on.
    pub port: u16,
    runtime: Runtime,
    page: String,
    task: JoinHandle<Result<()>>,
    stop: CancellationToken,
    capture: Option<Capture>,
    folder: TempDir,
}

impl OnWire {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot bind, or the capture does not start.
    pub fn start(wire: &Wire) -> Result<Self> {
        let (folder, runtime) = (tempfile::tempdir()?, Runtime::new()?);
        let config = Config::parse(&format!(
            "listen: {{udp: [\"127.0.0.1:0\"], tcp: []}}\nhttp: {{listen: \"off\"}}\nbatch: {{age: 200ms}}\n\
             cluster: {{kubernetes: \"off\"}}\nstore: {{embedded: {{path: \"{}\"}}}}\n",
            folder.path().join("store").display(),
        ))
        .context("the collector's configuration")?;
        let mut listeners = wire.near.enter(|| app::bind(&config))??;
        let port = listeners.udp.first().context("no UDP listener")?.local_addr()?.port();
        run(&wire.near, NFT, &["-f", "-"], &count_datagrams(port))?;
        let capture = folder.path().join("capture.pcapng");
        let capture = wire.near.enter(|| Capture::start(port, &capture))??;
        let page = TcpListener::bind("127.0.0.1:0")?;
        page.set_nonblocking(true)?;
        let address = page.local_addr()?;
        listeners.http = Some(page);
        let stop = CancellationToken::new();
        let task = runtime.spawn(app::run(config, listeners, stop.clone()));
        let page = format!("http://{address}");
        Ok(Self { port, runtime, page, task, stop, capture: Some(capture), folder })
    }

    /// A folder for files of the test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Every document stored.
    ///
    /// # Errors
    /// When it does not answer, or has more than one answer can hold.
    pub fn documents(&self) -> Result<Vec<Value>> {
        let all = json!({"size": 10_000, "track_total_hits": true});
        let url = format!("{}/es/flow-*/_search", self.page);
        let mut answer = self.runtime.block_on(http::post(&url, &all))?;
        let total = answer["hits"]["total"]["value"].as_u64();
        let Value::Array(hits) = answer["hits"]["hits"].take() else { bail!("no hits in {answer}") };
        anyhow::ensure!(total == u64::try_from(hits.len()).ok(), "{} of {total:?}", hits.len());
        Ok(hits.into_iter().map(|mut hit| hit["_source"].take()).collect())
    }

    /// Its `/status`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self) -> Result<Value> {
        self.runtime.block_on(account::status(&self.page))
    }

    /// A counter of its `/metrics`, 0 where there is no such line.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let url = format!("{}/metrics", self.page);
        let text = self.runtime.block_on(async { reqwest::get(&url).await?.text().await })?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map(str::parse).transpose()?.unwrap_or(0))
    }

    /// Tries, with a little time between, until `done` gives something.
    ///
    /// # Errors
    /// What `done` fails with, or that it took too long, with the last `/status`.
    pub fn until<T>(&self, what: &str, mut done: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(found) = done()? {
                return Ok(found);
            }
            if begun.elapsed() > PATIENCE {
                bail!("waited {PATIENCE:?} until {what}: {}", self.status()?);
            }
            self.runtime.block_on(async { tokio::time::sleep(BETWEEN_TRIES).await });
        }
    }

    /// Once the exporter has ended: ends the capture, and when all that was sent has been dealt with gives the capture's
    /// octets and every document.
    ///
    /// # Errors
    /// When a message was dropped, or a record.
    pub fn finish(mut self, wire: &Wire) -> Result<(Vec<u8>, Vec<Value>)> {
        let sent = datagrams(wire)?;
        self.capture.take().context("captured already")?.finish(sent)?;
        let capture = std::fs::read(self.folder.path().join("capture.pcapng"))?;
        let captured = crate::programs::tshark(&capture, self.port, "", &["frame.number"])?.len();
        anyhow::ensure!(captured == sent, "{captured} of {sent} datagrams captured");
        let documents = self.until("all that was sent is stored", || {
            let status = self.status()?;
            let is_settled = status["received"]["messages"] == sent && status["in_flight"] == 0;
            if !is_settled {
                return Ok(None);
            }
            anyhow::ensure!(status["stored"] == status["received"]["records"], "lost or repeated: {status}");
            // A stored document is found a little later.
            Ok(Some(self.documents()?).filter(|documents| status["stored"] == documents.len()))
        })?;
        self.stop.cancel();
        self.runtime.block_on(self.task)??;
        Ok((capture, documents))
    }
}

/// The kernel's own count of what is sent to the port: neither the capture nor the collector is asked what there was.
fn count_datagrams(port: u16) -> String {
    format!(
        "table inet sent {{ counter datagrams {{ }}; chain output {{ type filter hook output priority 0; \
         udp dport {port} counter name datagrams; }}; }}"
    )
}

fn datagrams(wire: &Wire) -> Result<usize> {
    let answer = run(&wire.near, NFT, &["-j", "list", "counter", "inet", "sent", "datagrams"], "")?;
    let answer: Value = serde_json::from_str(&answer)?;
    let count = answer["nftables"][1]["counter"]["packets"].as_u64();
    Ok(usize::try_from(count.with_context(|| format!("no counter in {answer}"))?)?)
}

/// Far more than anything here takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(120);

const BETWEEN_TRIES: Duration = Duration::from_millis(100);
