//! One agent of a Node: a thread inside the Node's namespace with a runtime of its own, so that all the
//! sockets the agent opens, and the connections it reads, are that Node's.

use std::path::PathBuf;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use podflow_agent::RunOptions;
use podflow_agent::config::Config;
use podflow_testbed::{Node, Testbed};
use tokio_util::sync::CancellationToken;

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    node: String,
    thread: JoinHandle<Result<()>>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Agent {
    /// Starts the agent of `node` with a configuration as it stands in `antrea-agent.conf`.
    ///
    /// # Errors
    /// When the configuration is refused, or no thread can be had. Later failures are told by [`Self::stop`].
    pub fn start(bed: &Testbed, node: &Node, configuration: &str) -> Result<Self> {
        Self::start_with(node, configuration, bed.inventory_path())
    }

    /// As [`Self::start`], with names from any inventory.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(node: &Node, configuration: &str, inventory: PathBuf) -> Result<Self> {
        let config = Config::parse(configuration).context("the agent's configuration")?;
        let options = RunOptions { inventory: Some(inventory), node_name: node.name.clone() };
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let (stopped, ends) = (stop.clone(), ended.clone().drop_guard());
        let thread = node.space.spawn("agent", move || {
            let _ends = ends;
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("starting the runtime")
                .and_then(|runtime| runtime.block_on(podflow_agent::run(config, options, stopped)))
        })?;
        Ok(Self { node: node.name.clone(), thread, stop, ended })
    }

    /// Cancelled when it has ended, for whatever reason.
    #[must_use]
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Lets it end; [`Self::join`] waits for it. So several can end at once.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Lets it poll and export once more, and waits until it has ended.
    ///
    /// # Errors
    /// What it failed with.
    pub fn join(self) -> Result<()> {
        self.stop();
        let ended = self.thread.join().unwrap_or_else(|_| Err(anyhow!("it panicked")));
        ended.with_context(|| format!("the agent of {}", self.node))
    }
}
