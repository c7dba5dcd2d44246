//! The collector: its IPFIX sockets are bound inside the collector's namespace, where the Nodes reach them; its
//! page listens where the user is. A socket stays where it was bound, so one runtime serves both.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use podflow_collector::app;
use podflow_collector::config::Config;
use podflow_testbed::{Testbed, plan};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    task: JoinHandle<Result<()>>,
    stop: CancellationToken,
    page: SocketAddr,
}

/// Where the agents find it, over UDP and TCP.
#[must_use]
pub fn collector_address() -> SocketAddr {
    SocketAddr::new(plan::collector().v4.into(), IPFIX_PORT)
}

impl Collector {
    /// Starts it with its documents in the folder `store`, and `page` as its web page. `more` is further text
    /// of its `collector.yml`; listeners and inventory are given.
    ///
    /// # Errors
    /// When the configuration is refused or an address cannot be had. Later failures are told by
    /// [`Self::failed`] and [`Self::stop`].
    pub fn start(runtime: &Runtime, bed: &Testbed, page: TcpListener, more: &str) -> Result<Self> {
        let text = configuration(bed, more);
        let config = Config::parse(&text).context("the collector's configuration")?;
        let mut listeners = bed.collector_namespace().enter(|| app::bind(&config))??;
        page.set_nonblocking(true)?;
        let address = page.local_addr()?;
        listeners.http = Some(page);
        let stop = CancellationToken::new();
        let task = runtime.spawn(app::run(config, listeners, stop.clone()));
        Ok(Self { task, stop, page: address })
    }

    /// The address of its page.
    #[must_use]
    pub fn page(&self) -> SocketAddr {
        self.page
    }

    /// Waits for it to end although nobody stopped it.
    pub async fn failed(&mut self) -> anyhow::Error {
        let ended = (&mut self.task).await.context("it panicked").and_then(|ended| ended);
        ended.err().unwrap_or_else(|| anyhow!("it ended by itself")).context("the collector")
    }

    /// Lets it store what it has received, and waits until it has ended.
    ///
    /// # Errors
    /// What it failed with.
    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await.context("it panicked").and_then(|ended| ended).context("the collector")
    }
}

fn configuration(bed: &Testbed, more: &str) -> String {
    let (address, inventory) = (collector_address(), bed.inventory_path());
    format!(
        "listen: {{udp: [\"{address}\"], tcp: [\"{address}\"]}}\n\
         cluster: {{inventory: {inventory}, kubernetes: \"off\"}}\n\
         http: {{listen: \"off\"}}\n{more}\n",
        inventory = inventory.display(),
    )
}

/// A store of documents in a folder, as `collector.yml` has it.
#[must_use]
pub fn embedded_store(folder: &Path) -> String {
    format!("store: {{embedded: {{path: \"{}\"}}}}\n", folder.display())
}

/// IPFIX, as assigned.
const IPFIX_PORT: u16 = 4739;
