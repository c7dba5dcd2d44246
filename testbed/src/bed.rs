//! The testbed itself: built in the order in which packets will travel, taken down by being dropped.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use crate::folder::Folder;
use crate::namespace::Namespace;
use crate::plan;
use crate::shape::{Shape, application, has_service};
use crate::stop::Stop;
use crate::tools::{self, CONNTRACK, IP, NFT};
use crate::traffic::{Protocol, serve};
use crate::{inventory, links, tracking};

/// A running testbed. Dropping it ends its threads, its namespaces and its files.
#[derive(Debug)]
pub struct Testbed {
    shape: Shape,
    nodes: Vec<Node>,
    services: Vec<Service>,
    collector: Namespace,
    outside: Namespace,
    // Holds the links between all others.
    underlay: Namespace,
    folder: Arc<Folder>,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

/// A Node: it forwards, tracks and translates for its Pods.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its place among the Nodes, from 0.
    pub index: usize,
    /// Its name in the inventory.
    pub name: String,
    /// Where its kernel's connections are tracked, and where its agent belongs.
    pub space: Namespace,
    /// Its addresses on the underlay: IPv4, then IPv6 if there is any.
    pub ips: Vec<IpAddr>,
    /// Its Pods.
    pub pods: Vec<Pod>,
}

/// A Pod. It answers on its application's port, over TCP and UDP.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Kubernetes namespace.
    pub namespace: &'static str,
    /// Name in the inventory.
    pub name: String,
    /// The place of its Node among the Nodes.
    pub node: usize,
    /// Where its sockets live.
    pub space: Namespace,
    /// Its addresses: IPv4, then IPv6 if there is any.
    pub ips: Vec<IpAddr>,
    /// The port it listens on.
    pub port: u16,
}

/// A Service: an address that exists only in the Nodes' translation rules.
#[derive(Clone, Debug)]
pub struct Service {
    /// Kubernetes namespace.
    pub namespace: &'static str,
    /// Name in the inventory.
    pub name: &'static str,
    /// Name of its port.
    pub port_name: &'static str,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its addresses: IPv4, then IPv6 if there is any.
    pub cluster_ips: Vec<IpAddr>,
    /// The port of its addresses.
    pub port: u16,
    /// The port of its endpoints.
    pub target_port: u16,
    /// The port on every Node that leads to endpoints there; 0 for none.
    pub node_port: u16,
    /// The Pods behind it, one on each Node.
    pub endpoints: Vec<Pod>,
}

impl Testbed {
    /// Builds it and starts the Pods' servers. No traffic flows yet.
    ///
    /// # Errors
    /// When the shape is out of bounds, a tool is missing, or the kernel refuses something, with what.
    pub fn start(shape: Shape) -> Result<Self> {
        Self::start_in(shape, Arc::new(Folder::new()?))
    }

    /// The same with a folder that the caller also holds, to put other files there, or to remove it before
    /// the process ends without dropping anything.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(shape: Shape, folder: Arc<Folder>) -> Result<Self> {
        shape.check()?;
        tools::check(&[IP, NFT, CONNTRACK])?;
        let underlay = Namespace::new("underlay")?;
        links::prepare(&underlay, &shape, true)?;
        links::refuse_unknown_nodes(&underlay, &shape)?;

        let nodes =
            (0..shape.nodes).map(|index| node(&shape, &underlay, index)).collect::<Result<Vec<_>>>()?;
        let collector = host(&shape, &underlay, "collector", &[plan::collector()])?;
        let outside = host(&shape, &underlay, "outside", &plan::outside())?;
        let services = services(&shape, &nodes);
        for node in &nodes {
            tracking::start(node, &services)?;
        }
        inventory::write(&folder.path().join(INVENTORY), &nodes, &services, shape.ipv6)?;

        let stop = Stop::new().context("making the switch that ends the testbed's threads")?;
        let mut bed =
            Self { shape, nodes, services, collector, outside, underlay, folder, stop, threads: Vec::new() };
        bed.start_servers()?;
        Ok(bed)
    }

    /// The inventory that names everything in here.
    #[must_use]
    pub fn inventory_path(&self) -> PathBuf {
        self.folder.path().join(INVENTORY)
    }

    /// A folder that goes when the testbed goes, for files of whoever uses it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it was built as.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// All Nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Node `index`.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// Pod `pod` of Node `node`.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn pod(&self, node: usize, pod: usize) -> &Pod {
        &self.nodes[node].pods[pod]
    }

    /// All Services.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The Service of this name.
    ///
    /// # Panics
    /// When there is none: with few Pods on a Node there are few.
    #[must_use]
    pub fn service(&self, name: &str) -> &Service {
        let found = self.services.iter().find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("the testbed has no Service {name}"))
    }

    /// Where a collector's sockets belong; its address is [`plan::collector`].
    #[must_use]
    pub fn collector_namespace(&self) -> &Namespace {
        &self.collector
    }

    /// A machine outside the cluster; its addresses are [`plan::outside`], and it answers on [`OUTSIDE_PORT`].
    #[must_use]
    pub fn outside_namespace(&self) -> &Namespace {
        &self.outside
    }

    /// What lies between the Nodes, the collector and the outside: each is reached over the link of its name.
    #[must_use]
    pub fn underlay_namespace(&self) -> &Namespace {
        &self.underlay
    }

    /// The switch that dropping the testbed throws. Threads that live in it should end with it.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Hands over a thread that ends when the switch is thrown, so that dropping the testbed waits for it.
    pub(crate) fn keep(&mut self, threads: Vec<JoinHandle<()>>) {
        self.threads.extend(threads);
    }

    fn start_servers(&mut self) -> Result<()> {
        let mut threads = Vec::new();
        for pod in self.nodes.iter().flat_map(|node| &node.pods) {
            threads.extend(serve(&pod.space, &pod.ips, pod.port, &self.stop)?);
        }
        let outside: Vec<_> =
            plan::outside().iter().flat_map(|pair| pair.addresses(self.shape.ipv6)).collect();
        threads.extend(serve(&self.outside, &outside, OUTSIDE_PORT, &self.stop)?);
        self.keep(threads);
        Ok(())
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        self.stop.throw();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the testbed panicked");
            }
        }
    }
}

impl Node {
    /// Lets the kernel forget finished connections after seconds rather than minutes.
    ///
    /// # Errors
    /// When a setting is refused.
    pub fn shorten_timeouts(&self) -> Result<()> {
        for (state, seconds) in SHORT_TIMEOUTS {
            self.space.set(&format!("net/netfilter/nf_conntrack_{state}"), seconds)?;
        }
        Ok(())
    }
}

impl Pod {
    /// Where it listens, by its IPv4 address.
    ///
    /// # Panics
    /// Never: every Pod has one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ips[0], self.port)
    }

    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Service {
    /// Where it is reached, by its IPv4 address.
    ///
    /// # Panics
    /// Never: every Service has one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.cluster_ips[0], self.port)
    }

    /// `namespace/name:port`, as it appears in a flow.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}:{}", self.namespace, self.name, self.port_name)
    }
}

fn node(shape: &Shape, underlay: &Namespace, index: usize) -> Result<Node> {
    let (name, address) = (node_name(index), plan::node(index));
    let space = Namespace::new(&name)?;
    links::prepare(&space, shape, true)?;
    links::join_underlay(shape, underlay, &name, &space, &[address], &plan::pod_cidrs(index))?;
    links::refuse_unknown_pods(&space, index, shape)?;
    let pods =
        (0..shape.pods_per_node).map(|number| pod(shape, &space, index, number)).collect::<Result<_>>()?;
    Ok(Node { index, name, space, ips: address.addresses(shape.ipv6), pods })
}

fn pod(shape: &Shape, node_space: &Namespace, node: usize, number: usize) -> Result<Pod> {
    let runs = application(number);
    // Pods of the last, unnamed application are numbered through.
    let name = if has_service(number) {
        format!("{}-{node}", runs.name)
    } else {
        format!("{}-{node}-{number}", runs.name)
    };
    let space = Namespace::new(&name)?;
    links::prepare(&space, shape, false)?;
    links::join_pod(shape, node_space, node, number, &space)?;
    let ips = plan::pod(node, number).addresses(shape.ipv6);
    Ok(Pod { namespace: runs.namespace, name, node, space, ips, port: runs.target_port })
}

fn host(shape: &Shape, underlay: &Namespace, name: &str, addresses: &[plan::Pair]) -> Result<Namespace> {
    let space = Namespace::new(name)?;
    links::prepare(&space, shape, false)?;
    links::join_underlay(shape, underlay, name, &space, addresses, &[])?;
    Ok(space)
}

fn services(shape: &Shape, nodes: &[Node]) -> Vec<Service> {
    let served = (0..shape.pods_per_node).filter(|index| has_service(*index));
    served
        .map(|index| {
            let runs = application(index);
            Service {
                namespace: runs.namespace,
                name: runs.name,
                port_name: runs.port_name,
                protocol: runs.protocol,
                cluster_ips: plan::service(index).addresses(shape.ipv6),
                port: runs.port,
                target_port: runs.target_port,
                node_port: runs.node_port,
                endpoints: nodes.iter().filter_map(|node| node.pods.get(index)).cloned().collect(),
            }
        })
        .collect()
}

/// `node-a` to `node-z`, then `node-27` and on.
fn node_name(index: usize) -> String {
    match u8::try_from(index) {
        Ok(letter @ 0..26) => format!("node-{}", char::from(b'a' + letter)),
        _ => format!("node-{}", index + 1),
    }
}

/// Where the outside answers, over TCP and UDP.
pub const OUTSIDE_PORT: u16 = 443;

/// Longer than any exchange here pauses, shorter than anybody waits.
const SHORT_TIMEOUTS: [(&str, &str); 5] = [
    ("tcp_timeout_time_wait", "3"),
    ("tcp_timeout_close", "3"),
    ("tcp_timeout_last_ack", "3"),
    ("udp_timeout", "3"),
    ("udp_timeout_stream", "3"),
];

const INVENTORY: &str = "inventory.yml";
