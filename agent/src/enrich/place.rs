//! What an address is, seen from this Node.

use std::net::IpAddr;
use std::sync::Arc;

use podflow_cluster::object::Pod;
use podflow_cluster::{Directory, Owner};
use podflow_flow::Party;

/// What an address is, seen from this Node.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A Pod on this Node; `None` where its address is of this Node's range and nobody has told us of it yet.
    LocalPod(Option<Arc<Pod>>),
    /// A Pod on another Node, or an address of the cluster's ranges that nobody is known to hold.
    RemotePod,
    /// This Node.
    ThisNode,
    /// Another Node.
    OtherNode,
    /// Not of the cluster.
    Outside,
}

impl Place {
    /// Looks an address up for a flow of that time (milliseconds since 1970). `interfaces` are this Node's own
    /// addresses: those of bridges and tunnel devices are in no Node object.
    pub(super) fn of(
        directory: &Directory,
        node: &str,
        interfaces: &[IpAddr],
        address: IpAddr,
        (start_ms, end_ms): (i64, i64),
    ) -> Self {
        match directory.owner(address, start_ms, end_ms) {
            Some(Owner::Pod(pod)) if *pod.node == *node => Self::LocalPod(Some(pod)),
            Some(Owner::Pod(_)) => Self::RemotePod,
            _ if interfaces.contains(&address) => Self::ThisNode,
            Some(Owner::Node(owner)) => {
                let has_it = directory.node_with_address(address).is_some();
                match (*owner.name == *node, has_it) {
                    (true, true) => Self::ThisNode,
                    (true, false) => Self::LocalPod(None),
                    (false, true) => Self::OtherNode,
                    (false, false) => Self::RemotePod,
                }
            }
            None if directory.is_in_cluster(address) => Self::RemotePod,
            None => Self::Outside,
        }
    }

    /// It is on this Node.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::LocalPod(_) | Self::ThisNode)
    }

    /// It is a local Pod whose name is not known yet.
    pub(crate) fn is_unnamed(&self) -> bool {
        matches!(self, Self::LocalPod(None))
    }

    /// The local Pod it is, where it is named.
    pub(crate) fn pod(&self) -> Option<&Pod> {
        match self {
            Self::LocalPod(pod) => pod.as_deref(),
            _ => None,
        }
    }

    /// A name for people: `namespace/pod`, or what kind of place it is.
    pub(crate) fn name(&self, node: &str) -> String {
        match self {
            Self::LocalPod(Some(pod)) => format!("{}/{}", pod.namespace, pod.name),
            Self::LocalPod(None) => "(local Pod)".to_owned(),
            Self::RemotePod => "(remote Pod)".to_owned(),
            Self::ThisNode => node.to_owned(),
            Self::OtherNode => "(other Node)".to_owned(),
            Self::Outside => String::new(),
        }
    }

    /// The word of a flow kind.
    pub(crate) fn party(&self) -> Party {
        match self {
            Self::LocalPod(_) | Self::RemotePod => Party::Pod,
            Self::ThisNode | Self::OtherNode => Party::Node,
            Self::Outside => Party::External,
        }
    }
}
