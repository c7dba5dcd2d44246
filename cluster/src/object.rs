//! What we keep of Kubernetes' objects: names, addresses, ports and times, nothing else.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A Node: its name, every address of it, and the ranges its Pods' addresses come from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Node {
    /// Name of the Node object.
    pub name: Arc<str>,
    /// Status addresses that are IP addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Ranges of Pod addresses; empty under many CNIs.
    #[serde(default, rename = "podCIDRs")]
    pub pod_cidrs: Vec<IpNet>,
}

/// A Pod with addresses of its own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Pod {
    /// Namespace of the Pod object.
    pub namespace: Arc<str>,
    /// Name of the Pod object.
    pub name: Arc<str>,
    /// Name of the Node it runs on.
    pub node: Arc<str>,
    /// Its addresses, of either family.
    #[serde(default)]
    pub ips: Vec<IpAddr>,
    /// status.startTime in milliseconds since 1970; 0: it has always been there (inventory).
    #[serde(default)]
    pub started_ms: i64,
    /// When its last container ended or it was deleted; `None` while it lives.
    #[serde(default)]
    pub ended_ms: Option<i64>,
    /// TCP ports on which kubelet probes it.
    #[serde(default)]
    pub probes: Vec<u16>,
}

/// A Service, with every address and port by which it is dialled.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Service {
    /// Namespace of the Service object.
    pub namespace: Arc<str>,
    /// Name of the Service object.
    pub name: Arc<str>,
    /// ClusterIPs; none for headless Services.
    #[serde(default, rename = "clusterIPs")]
    pub cluster_ips: Vec<IpAddr>,
    /// spec.externalIPs.
    #[serde(default, rename = "externalIPs")]
    pub external_ips: Vec<IpAddr>,
    /// Addresses that a load balancer was given.
    #[serde(default, rename = "loadBalancerIPs")]
    pub load_balancer_ips: Vec<IpAddr>,
    /// Its ports.
    #[serde(default)]
    pub ports: Vec<ServicePort>,
}

/// One port of a Service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServicePort {
    /// Name of the port; empty where a Service has one port without a name.
    #[serde(default)]
    pub name: Arc<str>,
    /// Port that is dialled on the Service's addresses.
    pub port: u16,
    /// Port that is dialled on every Node's addresses; 0 where there is none.
    #[serde(default)]
    pub node_port: u16,
    /// TCP, UDP or SCTP.
    #[serde(default)]
    pub protocol: ServiceProtocol,
}

/// The protocols that a Service's port can have.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceProtocol {
    /// IP protocol 6.
    #[default]
    Tcp,
    /// IP protocol 17.
    Udp,
    /// IP protocol 132.
    Sctp,
}

impl ServiceProtocol {
    /// IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// A Service's port as it was dialled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServicePortName {
    /// `namespace/service:portName`, or `namespace/service` for a port without a name.
    pub name: Arc<str>,
    /// The Service's own port, also where a NodePort was dialled.
    pub port: u16,
    /// The Service's first ClusterIP of the dialled address's family.
    pub cluster_ip: Option<IpAddr>,
    /// Whether the dialled address was the Service's ClusterIP (else NodePort, external or load balancer).
    pub by_cluster_ip: bool,
}
