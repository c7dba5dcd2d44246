//! How big a testbed is, and which applications its Pods run.

use anyhow::{Result, ensure};

use crate::traffic::Protocol;

/// What to build.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shape {
    /// How many Nodes: 1 to [`MOST_NODES`].
    pub nodes: usize,
    /// How many Pods on each: 1 to [`MOST_PODS_PER_NODE`]. Pod `j` of every Node runs the same application.
    pub pods_per_node: usize,
    /// Whether everything has an IPv6 address beside its IPv4 address.
    pub ipv6: bool,
    /// Whether the Pods' TCP sends segments of the link's size, as a network card would, instead of handing
    /// the kernel's large ones through. Slower, and closer to what a real Node counts.
    pub small_segments: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { nodes: 2, pods_per_node: 3, ipv6: false, small_segments: false }
    }
}

impl Shape {
    /// # Errors
    /// When a number is outside its bounds, with the bound.
    pub(crate) fn check(&self) -> Result<()> {
        let bounds =
            [("nodes", self.nodes, MOST_NODES), ("Pods per Node", self.pods_per_node, MOST_PODS_PER_NODE)];
        for (what, number, most) in bounds {
            ensure!((1..=most).contains(&number), "{number} {what}: must be 1 to {most}");
        }
        Ok(())
    }
}

/// A Service and what stands behind it. Its Pods are one on each Node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Application {
    /// Kubernetes namespace of Service and Pods.
    pub namespace: &'static str,
    /// Name of the Service; its Pods have the Node's number behind it.
    pub name: &'static str,
    /// Name of the Service's only port.
    pub port_name: &'static str,
    /// Transport protocol of the Service. The Pods themselves answer on both.
    pub protocol: Protocol,
    /// Port of the Service address.
    pub port: u16,
    /// Port on which its Pods listen.
    pub target_port: u16,
    /// Port on every Node, for clients outside; 0 for none.
    pub node_port: u16,
}

/// The application of Pod `index` of each Node. There is one for every index, named or not.
#[must_use]
pub fn application(index: usize) -> Application {
    APPLICATIONS.get(index).copied().unwrap_or(BATCH)
}

/// Whether the Pods of `index` stand behind a Service.
#[must_use]
pub fn has_service(index: usize) -> bool {
    index < APPLICATIONS.len()
}

/// A small shop; the order is that in which they appear as Pods per Node grow.
const APPLICATIONS: [Application; 8] = [
    web("shop", "frontend", 80, 8080, 30080),
    web("shop", "cart", 80, 8080, 0),
    Application {
        namespace: "kube-system",
        name: "coredns",
        port_name: "dns",
        protocol: Protocol::Udp,
        port: 53,
        target_port: 53,
        node_port: 0,
    },
    Application { port_name: "sql", ..web("data", "postgres", 5432, 5432, 0) },
    Application { port_name: "grpc", ..web("shop", "catalog", 9000, 9000, 0) },
    Application { port_name: "redis", ..web("data", "redis", 6379, 6379, 0) },
    web("shop", "checkout", 80, 8080, 0),
    web("monitoring", "prometheus", 9090, 9090, 0),
];

/// Every further Pod: it has no Service.
const BATCH: Application = web("batch", "worker", 0, 8080, 0);

const fn web(
    namespace: &'static str,
    name: &'static str,
    port: u16,
    target_port: u16,
    node_port: u16,
) -> Application {
    Application { namespace, name, port_name: "http", protocol: Protocol::Tcp, port, target_port, node_port }
}

/// Their addresses differ in one octet; the last ones belong to the collector and the way out.
pub const MOST_NODES: usize = 200;

/// A Node's Pods share a /24, with room for its gateway.
pub const MOST_PODS_PER_NODE: usize = 200;
