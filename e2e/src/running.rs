//! Everything at once, for a test: a testbed, an agent on each Node, and a collector, whose documents are asked for
//! over its query API.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use podflow_cli::local::{Agent, Collector, collector_address, embedded_store};
use podflow_cluster::Inventory;
use podflow_testbed::{Node, Shape, Testbed};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::collector_process::CollectorProcess;
use crate::{account, http};

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
    /// The program of [`CollectorProcess`], where the collector is to be killed; else it runs in this process.
    pub collector: Option<PathBuf>,
    /// Nobody knows from which networks Pods have their addresses, as in some clouds, and each agent knows the Pods of its
    /// own Node alone, as over the Kubernetes API.
    pub unknown_networks: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            transport: "tcp",
            export_frequency: 2,
            store: String::new(),
            collector: None,
            unknown_networks: false,
        }
    }
}

/// All of it, running. Dropping it ends it.
pub struct Running {
    /// The Nodes and Pods.
    pub bed: Testbed,
    runtime: Runtime,
    agents: Vec<Agent>,
    collector: Option<Collecting>,
    configuration: String,
    unknown_networks: bool,
}

enum Collecting {
    Here(Collector),
    Process(CollectorProcess),
}

impl Running {
    /// Starts everything and waits until the agents have switched the kernel's counters on.
    ///
    /// # Errors
    /// When a part does not start.
    pub fn start(settings: &Settings) -> Result<Self> {
        let bed = Testbed::start(settings.shape.clone())?;
        if settings.unknown_networks {
            forget_networks(&bed)?;
        }
        let runtime = Runtime::new()?;
        let store = match settings.store.as_str() {
            "" => embedded_store(&bed.folder().join("store")),
            text => text.to_owned(),
        };
        let interval = settings.export_frequency;
        let more = format!("exportInterval: \"{interval}s\"\nbatch: {{age: 200ms}}\n{store}");
        let collector = match &settings.collector {
            Some(program) => Collecting::Process(CollectorProcess::start(program, &bed, &more)?),
            None => {
                let page = TcpListener::bind("127.0.0.1:0")?;
                Collecting::Here(Collector::start(&runtime, &bed, page, &more)?)
            }
        };
        let state = bed.folder().join("agent-").display().to_string();
        let configuration = format!(
            "flowCollectorAddr: \"{}:{}\"\nflowPollInterval: 1s\nflowExportFrequency: {interval}\n\
             podflow: {{stateFile: \"{state}NODE\"}}\n",
            collector_address(),
            settings.transport,
        );
        let mut running = Self {
            bed,
            runtime,
            agents: Vec::new(),
            collector: Some(collector),
            configuration,
            unknown_networks: settings.unknown_networks,
        };
        running.start_agents()?;
        running.until("every agent counts", || running.agents_count())?;
        Ok(running)
    }

    /// Where the collector's page and query API are.
    #[must_use]
    pub fn page(&self) -> String {
        match &self.collector {
            Some(Collecting::Here(collector)) => format!("http://{}", collector.page()),
            Some(Collecting::Process(collector)) => collector.page().to_owned(),
            None => String::new(),
        }
    }

    /// The answer to a `_search` over all flow indices.
    ///
    /// # Errors
    /// When the collector does not answer with success.
    pub fn search(&self, body: &Value) -> Result<Value> {
        self.ask("flow-*/_search", body)
    }

    /// The `ipfix` part of every document stored, page by page.
    ///
    /// # Errors
    /// When the collector does not answer with success.
    pub fn documents(&self) -> Result<Vec<Value>> {
        let all = json!({"size": MOST_HITS, "query": {"match_all": {}}});
        let mut answer = self.ask("flow-*/_search?scroll=1m", &all)?;
        let mut documents = Vec::new();
        loop {
            let hits = answer["hits"]["hits"].as_array().context("no hits in the answer")?;
            documents.extend(hits.iter().map(|hit| hit["_source"]["ipfix"].clone()));
            if hits.len() < MOST_HITS {
                return Ok(documents);
            }
            let more = json!({"scroll": "1m", "scroll_id": answer["_scroll_id"]});
            answer = self.ask("_search/scroll", &more)?;
        }
    }

    /// The answer of the query API to a body, under `/es`.
    ///
    /// # Errors
    /// When the collector does not answer with success.
    pub fn ask(&self, path: &str, body: &Value) -> Result<Value> {
        self.runtime.block_on(http::post(&format!("{}/es/{path}", self.page()), body))
    }

    /// The collector's `/status`.
    ///
    /// # Errors
    /// When the collector does not answer with success.
    pub fn status(&self) -> Result<Value> {
        self.runtime.block_on(account::status(&self.page()))
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

    /// Starts an agent on every Node. What agents before them had exported they know.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_agents(&mut self) -> Result<()> {
        for node in self.bed.nodes() {
            let configuration = self.configuration.replace("NODE", &node.name);
            let inventory = match self.unknown_networks {
                false => self.bed.inventory_path(),
                true => inventory_of(&self.bed, node),
            };
            self.agents.push(Agent::start_with(node, &configuration, inventory)?);
        }
        Ok(())
    }

    /// Kills the collector where it stands, and starts it again with what it had stored.
    ///
    /// # Errors
    /// When it does not start, or has no process of its own.
    pub fn kill_collector(&mut self) -> Result<()> {
        match &mut self.collector {
            Some(Collecting::Process(collector)) => collector.kill_and_start(),
            _ => bail!("this collector runs in the test's own process"),
        }
    }

    /// Ends agents and collector; what they failed with is the result.
    ///
    /// # Errors
    /// What one of them failed with.
    pub fn stop(mut self) -> Result<()> {
        self.stop_agents()?;
        self.status()?;
        match self.collector.take() {
            Some(Collecting::Here(collector)) => self.runtime.block_on(collector.stop()),
            _ => Ok(()),
        }
    }

    /// A number of the metrics page of a Node's agent.
    ///
    /// # Errors
    /// When the page cannot be had, or has no such number.
    pub fn agent_metric(&self, node: &Node, name: &str) -> Result<u64> {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect("127.0.0.1:10360")?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = node.space.enter(ask)?.with_context(|| format!("asking the agent of {}", node.name))?;
        let line = answer.lines().find(|line| line.split(' ').next() == Some(name));
        let value = line.and_then(|line| line.split(' ').nth(1)).with_context(|| format!("no {name}"))?;
        Ok(value.parse()?)
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

/// Takes the Pods' networks out of the inventory, and writes one more for each Node, with its own Pods alone.
fn forget_networks(bed: &Testbed) -> Result<()> {
    let mut whole = Inventory::read(&bed.inventory_path())?;
    whole.nodes.iter_mut().for_each(|node| node.pod_cidrs.clear());
    std::fs::write(bed.inventory_path(), whole.to_yaml()?)?;
    for node in bed.nodes() {
        let mut own = whole.clone();
        own.pods.retain(|pod| *pod.node == *node.name);
        std::fs::write(inventory_of(bed, node), own.to_yaml()?)?;
    }
    Ok(())
}

fn inventory_of(bed: &Testbed, node: &Node) -> PathBuf {
    bed.folder().join(format!("{}.yml", node.name))
}

/// What one answer of the query API holds at most.
const MOST_HITS: usize = 10_000;

/// Far more than anything here takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

const BETWEEN_TRIES: Duration = Duration::from_millis(250);
