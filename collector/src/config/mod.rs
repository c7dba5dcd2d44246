//! The collector's configuration: `collector.yml` in, a [`Config`] that cannot be wrong out, or every fault of
//! the file at once.

mod section;

mod limits;
mod read;
mod secret;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};

use podflow_daemon::config::BadConfig;
use podflow_daemon::tls::Identity;
use podflow_ipfix::Limits;

pub use secret::Secret;

/// Everything that the collector can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where records come in.
    pub listen: Listen,
    /// What an exporter may make the decoders keep or do.
    pub limits: Limits,
    /// Files in the Logstash netflow codec's definition format, later ones win.
    pub definitions: Vec<PathBuf>,
    /// Who stands behind an address.
    pub cluster: Cluster,
    /// Shape of the documents.
    pub documents: Documents,
    /// What the agents are set to; the page draws no finer buckets.
    pub export_interval: Duration,
    /// Where documents go.
    pub store: Store,
    /// How documents are gathered before they go.
    pub batch: BatchLimits,
    /// Where documents wait that the servers do not take; `None` for memory alone.
    pub spool: Option<Spool>,
    /// Where documents go that the servers refuse.
    pub dead_letters: DeadLetters,
    /// Where the dashboards are imported at the start.
    pub kibana: Option<Kibana>,
    /// Page, query API, health, metrics; `None` switches them off.
    pub http: Option<SocketAddr>,
    /// How long a stopping collector may take to hand on what it has.
    pub drain_deadline: Duration,
}

/// Where records come in.
#[derive(Clone, Debug)]
pub struct Listen {
    /// UDP listeners.
    pub udp: Vec<SocketAddr>,
    /// TCP listeners.
    pub tcp: Vec<SocketAddr>,
    /// TLS listeners.
    pub tls: Vec<SocketAddr>,
    /// Certificate and key that TLS listeners show; there when `tls` names any.
    pub identity: Option<Identity>,
    /// Certificate authority of the exporters' own certificates, which are demanded then.
    pub client_ca: Option<PathBuf>,
    /// Sockets on each UDP address.
    pub udp_sockets: usize,
    /// Where UDP templates are kept over a restart; `None` for not at all.
    pub templates: Option<PathBuf>,
    /// Open TCP and TLS connections at once; further ones are refused and counted.
    pub connections: usize,
    /// A connection that sent nothing for this long is closed.
    pub idle_timeout: Duration,
    /// Transport sessions remembered at once (UDP exporters and connections).
    pub sessions: usize,
    /// Receive buffer asked of the kernel for each UDP socket, octets.
    pub receive_buffer: usize,
}

/// Who stands behind an address.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The name that the agents of this cluster put into their observation domain.
    pub name: String,
    /// Inventory file instead of a Kubernetes API.
    pub inventory: Option<PathBuf>,
    /// Whether to watch the Kubernetes API.
    pub kubernetes: Kubernetes,
    /// Exporters of this cluster beside those whose observation domain says so.
    pub exporters: Vec<IpNet>,
    /// How long a record with an unnamed address of the cluster waits for the name.
    pub name_wait: Duration,
    /// Records that may wait for names at once.
    pub name_wait_records: usize,
}

/// Whether to watch the Kubernetes API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kubernetes {
    /// Where the process runs in a Pod and no inventory is given.
    Auto,
    /// Always, with the usual kubeconfig or the Pod's service account.
    On,
    /// Never.
    Off,
}

/// Shape of the documents.
#[derive(Clone, Copy, Debug)]
pub struct Documents {
    /// An export time further than this behind the clock is replaced by the receive time.
    pub export_time_past: Duration,
    /// An export time further than this ahead of the clock is replaced by the receive time.
    pub export_time_future: Duration,
    /// Whether options records become documents.
    pub options: bool,
}

/// Where documents go.
#[derive(Clone, Debug)]
pub enum Store {
    /// The collector's own store.
    Embedded(Embedded),
    /// Elasticsearch or OpenSearch.
    Elasticsearch(Box<Elasticsearch>),
}

/// The embedded store.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// Its folder.
    pub path: PathBuf,
    /// Documents older than this are deleted.
    pub retention: Duration,
    /// The oldest documents are deleted when the folder holds more octets; `None` for no such bound.
    pub max_size: Option<u64>,
}

/// Elasticsearch or OpenSearch.
#[derive(Clone, Debug)]
pub struct Elasticsearch {
    /// One or more servers of one cluster.
    pub hosts: Vec<String>,
    /// How to log in.
    pub auth: Auth,
    /// Certificate authorities to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// Client certificate and key, PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Indices are `<prefix>YYYY.MM.dd`.
    pub index_prefix: String,
    /// Name of the index template.
    pub template: String,
    /// Priority of the index template among others.
    pub template_priority: u64,
    /// Shards of a new index.
    pub shards: u64,
    /// Replicas of a new index; `None` leaves it to `auto_expand_replicas: 0-1`.
    pub replicas: Option<u64>,
    /// Refresh interval of a new index.
    pub refresh_interval: String,
    /// Further index settings, as they are.
    pub settings: Map<String, Value>,
    /// Indices older than this are deleted, if they are ours.
    pub retention: Option<Duration>,
    /// Whether request bodies are compressed.
    pub gzip: bool,
    /// Bulk requests under way at once, at most.
    pub in_flight: usize,
    /// How long a request may take.
    pub timeout: Duration,
}

/// How to log in.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// User and password.
    Basic(String, Secret),
    /// An encoded API key.
    ApiKey(Secret),
    /// A bearer token.
    Bearer(Secret),
}

/// Kibana or OpenSearch Dashboards.
#[derive(Clone, Debug)]
pub struct Kibana {
    /// Its address as a browser has it, the base path included.
    pub url: String,
    /// The space to import into; the default one without it.
    pub space: Option<String>,
    /// Whether objects that are there are replaced.
    pub overwrite: bool,
    /// How to log in.
    pub auth: Auth,
    /// Certificate authority to trust, PEM.
    pub ca_file: Option<PathBuf>,
}

/// How documents are gathered before they go.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Octets of a batch.
    pub octets: usize,
    /// Documents of a batch.
    pub documents: usize,
    /// Age of a batch's first document.
    pub age: Duration,
    /// Batches that may wait or be under way at once; then receiving pauses (TCP) or drops (UDP).
    pub queue: usize,
}

/// The queue on disk before Elasticsearch.
#[derive(Clone, Debug)]
pub struct Spool {
    /// Its folder.
    pub path: PathBuf,
    /// Whether the configuration names the folder: then it must be usable.
    pub wanted: bool,
    /// What it may hold.
    pub limits: SpoolLimits,
    /// What is not stored so long after its receipt goes to the spool.
    pub after: Duration,
}

/// What a spool may hold.
#[derive(Clone, Copy, Debug)]
pub struct SpoolLimits {
    /// Octets of documents.
    pub octets: u64,
    /// What gives way when there are more.
    pub full: Full,
}

/// What gives way when the spool is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// What has waited longest.
    DropOldest,
    /// What comes last.
    DropNewest,
}

/// Where documents go that the servers refuse for good.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    /// The folder of their file.
    pub path: PathBuf,
    /// Octets of the file; further letters are counted and logged only.
    pub octets: u64,
}

impl Config {
    /// The folder of what the collector keeps beside its documents.
    pub(crate) fn state_folder(&self) -> &Path {
        match (&self.store, &self.spool) {
            (Store::Embedded(embedded), _) => &embedded.path,
            (Store::Elasticsearch(_), Some(spool)) => &spool.path,
            (Store::Elasticsearch(_), None) => &self.dead_letters.path,
        }
    }

    /// Reads a configuration file; without one, everything is as the defaults say.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn load(path: Option<&Path>) -> Result<Self, BadConfig> {
        let Some(path) = path else { return Self::parse("") };
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadConfig::one(format_args!("reading {}: {error}", path.display())))?;
        Self::parse(&text)
    }
}
