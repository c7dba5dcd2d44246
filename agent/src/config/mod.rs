//! The agent's configuration: the `antrea-agent.conf` that users have, with our own keys under `podflow`.
//!
//! [`Config`] is what the program uses and cannot be wrong; `read` makes it from what the file says and gathers
//! every fault on the way. Keys of Antrea that mean nothing to us are accepted and named once.

mod address;

mod duration;

mod keys;

mod reader;

mod ours;

mod read;

mod shown;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use podflow_daemon::config::BadConfig;
use podflow_flow::Profile;

pub use address::{CollectorAddr, Host, Protocol};
pub use ours::Rule;

pub use crate::conntrack::source::TableSource;

/// What the agent is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// `false`: the agent stays up and ready, and exports nothing.
    pub enabled: bool,
    /// Whether Services are named.
    pub service_names: bool,
    /// Where records go. Absent only where `enabled` is false.
    pub collector: Option<CollectorAddr>,
    /// Time between two polls of conntrack.
    pub poll_interval: Duration,
    /// Time between two records of a live flow.
    pub export_interval: Duration,
    /// A changed flow that stands still for so long is reported without waiting for its moment.
    pub idle_timeout: Option<Duration>,
    /// Which connection tracking table is read.
    pub source: TableSource,
    /// Conntrack zones that are read, those of the CNI first; none: found out from the table.
    pub zones: Option<Vec<u16>>,
    /// What is inside the cluster, beside the Nodes' addresses and Pod ranges.
    pub cluster_ranges: Vec<IpNet>,
    /// Name of the cluster: part of the observation domain.
    pub cluster_name: String,
    /// Which fields are sent.
    pub template: Profile,
    /// Octets of a dateTimeSeconds in the v0.9 template: 4, or 8 for collectors with Antrea's old definitions.
    pub seconds_octets: u16,
    /// Octets of the largest IP packet on the way to a collector over UDP; what the kernel knows of the path where none
    /// is given, and 512 where it knows nothing (RFC 7011 section 10.3.3).
    pub path_mtu: Option<u16>,
    /// Whether messages are sent again after a reconnect.
    pub resend: Resend,
    /// Whether kubelet's probes are left out.
    pub probes: Probes,
    /// Flows that are left out.
    pub exclude: Vec<Rule>,
    /// Ports and protocols by which Nodes carry their Pods' traffic to each other.
    pub tunnels: Tunnels,
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    pub status_addr: SocketAddr,
    /// Where `/metrics` alone is served to others.
    pub metrics_addr: Option<SocketAddr>,
    /// Certificates for a collector address with `tls`.
    pub tls: Option<Tls>,
    /// Connections held at most.
    pub max_connections: usize,
    /// Ended flows that wait for the collector at most.
    pub max_ended_flows: usize,
    /// Where reported totals are kept across restarts; none: they are forgotten.
    pub state_file: Option<PathBuf>,
    /// Octets of sent messages that are kept for a resend.
    pub resend_octets: usize,
    /// Keys that were accepted and mean nothing to this agent.
    pub ignored: Vec<String>,
}

impl Config {
    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// Every fault, each with the value and what is allowed.
    pub fn parse(text: &str) -> Result<Self, BadConfig> {
        read::config(text)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// As [`Config::parse`]; also where the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, BadConfig> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadConfig::one(format!("reading {}: {error}", path.display())))?;
        Self::parse(&text)
    }
}

/// `podflow.resend`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Resend {
    /// Towards our own collector: TCP or TLS with the full template, whose records it stores once.
    #[default]
    Auto,
    /// Never.
    Never,
}

/// `podflow.probes`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Probes {
    /// Connections from this Node to a probe port of one of its Pods are left out while they are small.
    #[default]
    Exclude,
    /// They are flows as others.
    Include,
}

/// `podflow.tls`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// Authorities that are trusted, PEM.
    pub ca: PathBuf,
    /// The name that the collector's certificate must carry, where it is not the host of its address.
    pub server_name: Option<String>,
    /// Our own certificate and key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// `podflow.tunnels`: traffic between two Nodes that carries their Pods' traffic.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tunnels {
    /// UDP and TCP ports.
    pub ports: Vec<u16>,
    /// IP protocol numbers.
    pub protocols: Vec<u8>,
}

impl Default for Tunnels {
    fn default() -> Self {
        Self {
            // VXLAN twice, Geneve, STT, WireGuard (Antrea, Cilium), IPsec through NAT.
            ports: vec![4789, 8472, 6081, 7471, 51_820, 51_821, 51_871, 4500],
            // IPv4 and IPv6 in IP, GRE, ESP.
            protocols: vec![4, 41, 47, 50],
        }
    }
}
