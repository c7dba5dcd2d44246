//! Everything at once, for a test: a testbed, an agent on each Node, and a collector, whose documents are asked for
//! over its query API.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use podflow_cli::local::{Agent, Collector, collector_address, embedded_store};
use podflow_testbed::{Shape, Testbed};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::http;

/// How the parts are set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The testbed.
    pub shape: Shape,
    /// Transport of the agents' exports: `tcp` or `udp`.
    pub transport: &'static str,
    /// Polls, a second apart, between two records of a flow.
    pub export_frequency: u32,
    /// What the collector stores into, as `collector.yml` has it; the embedded store when empty.
    pub store: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { shape: Shape::default(), transport: "tcp", export_frequency: 2, store: String::new() }
    }
}

/// All of it, running. Dropping it ends it.
pub struct Running {
    /// The Nodes and Pods.
    pub bed: Testbed,
    runtime: Runtime,
    agents: Vec<Agent>,
    collector: Option<Collector>,
    page: String,
}

impl Running {
    /// Starts everything and waits until the agents have switched the kernel's counters on.
    ///
    /// # Errors
    /// When a part does not start.
    pub fn start(settings: &Settings) -> Result<Self> {
        let bed = Testbed::start(settings.shape.clone())?;
        let runtime = Runtime::new()?;
        let store = match settings.store.as_str() {
            "" => embedded_store(&bed.folder().join("store")),
            text => text.to_owned(),
        };
        let interval = settings.export_frequency;
        let more = format!("exportInterval: \"{interval}s\"\nbatch: {{age: 200ms}}\n{store}");
        let collector = Collector::start(&runtime, &bed, TcpListener::bind("127.0.0.1:0")?, &more)?;
        let page = format!("http://{}", collector.page());
        let configuration = format!(
            "flowCollectorAddr: \"{}:{}\"\nflowPollInterval: 1s\nflowExportFrequency: {interval}\n\
             podflow: {{stateFile: \"\"}}\n",
            collector_address(),
            settings.transport,
        );
        let agents =
            bed.nodes().iter().map(|node| Agent::start(&bed, node, &configuration)).collect::<Result<_>>()?;
        let running = Self { bed, runtime, agents, collector: Some(collector), page };
        running.until("every agent counts", || running.agents_count())?;
        Ok(running)
    }

    /// Where the collector's page and query API are.
    #[must_use]
    pub fn page(&self) -> &str {
        &self.page
    }

    /// The answer to a `_search` over all flow indices.
    ///
    /// # Errors
    /// When the collector does not answer with success.
    pub fn search(&self, body: &Value) -> Result<Value> {
        self.runtime.block_on(http::post(&format!("{}/es/flow-*/_search", self.page), body))
    }

    /// The `ipfix` part of every document stored, at most 10,000.
    ///
    /// # Errors
    /// When the collector does not answer with success, or there are more.
    pub fn documents(&self) -> Result<Vec<Value>> {
        let answer = self.search(&json!({"size": MOST_HITS, "query": {"match_all": {}}}))?;
        let hits = answer["hits"]["hits"].as_array().context("no hits in the answer")?;
        if hits.len() >= MOST_HITS {
            bail!("{} documents or more: too many for one answer", hits.len());
        }
        Ok(hits.iter().map(|hit| hit["_source"]["ipfix"].clone()).collect())
    }

    /// The collector's `/status`.
    ///
    /// # Errors
    /// When the collector does not answer with success.
    pub fn status(&self) -> Result<Value> {
        self.runtime.block_on(http::get(&format!("{}/status", self.page)))
    }

    /// Tries until `done` gives something.
    ///
    /// # Errors
    /// What `done` last failed with, when [`PATIENCE`] is over.
    pub fn until<T>(&self, what: &str, mut done: impl FnMut() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        loop {
            match done() {
                Ok(found) => return Ok(found),
                Err(error) if begun.elapsed() > PATIENCE => {
                    return Err(error.context(format!("waited {PATIENCE:?} until {what}")));
                }
                Err(_) => self.runtime.block_on(async { tokio::time::sleep(BETWEEN_TRIES).await }),
            }
        }
    }

    /// Lets the agents export once more and end.
    ///
    /// # Errors
    /// What one of them failed with.
    pub fn stop_agents(&mut self) -> Result<()> {
        self.agents.iter().for_each(Agent::stop);
        self.agents.drain(..).try_for_each(Agent::join)
    }

    /// Ends agents and collector; what they failed with is the result.
    ///
    /// # Errors
    /// What one of them failed with.
    pub fn stop(mut self) -> Result<()> {
        self.stop_agents()?;
        let collector = self.collector.take().context("it was stopped before")?;
        self.runtime.block_on(collector.stop())
    }

    fn agents_count(&self) -> Result<()> {
        for node in self.bed.nodes() {
            let switch = "/proc/sys/net/netfilter/nf_conntrack_acct";
            let counts = node.space.enter(|| std::fs::read_to_string(switch))??;
            if counts.trim() != "1" {
                bail!("the kernel of {} does not count yet", node.name);
            }
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.stop_agents() {
            eprintln!("an agent had failed: {error:#}");
        }
    }
}

/// What one answer of the query API holds at most.
const MOST_HITS: usize = 10_000;

/// Far more than anything here takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

const BETWEEN_TRIES: Duration = Duration::from_millis(250);
