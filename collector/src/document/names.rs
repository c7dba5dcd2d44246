//! Second step of a document: the Pods, Nodes and Services that the record does not name itself.
//!
//! An agent names only what is local to its Node; the rest comes from the cluster-wide directory, by address and
//! time. Names that a record carries stay as they are. Only exporters of this cluster are helped so: anybody
//! else's 10.0.0.1 is not ours.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use podflow_cluster::{Directory, Owner};
use podflow_flow::record::{antrea_observation_domain, observation_domain};

use super::model::Value;
use super::role::Role;
use super::shape::{Draft, Origin};

/// What the directory could say about a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Naming {
    /// Everything there is to say.
    Complete,
    /// An address of the cluster has no owner yet: asking again in a moment may help.
    Incomplete,
    /// The copy of the destination's agent of a flow that its source's agent exports: to be dropped.
    OtherSide,
}

/// Which exporters are of this cluster, and which Node each is on.
#[derive(Clone, Debug)]
pub struct Members {
    cluster: String,
    networks: Vec<IpNet>,
    generation: Option<u64>,
    ours: HashMap<u32, Arc<str>>,
    antreas: HashMap<u32, Arc<str>>,
}

/// An exporter of this cluster.
#[derive(Clone, Debug)]
struct Member {
    node: Option<Arc<str>>,
    ours: bool,
}

impl Members {
    /// The exporters whose observation domain is that of a Node of `cluster`, or whose address is in `networks`.
    pub fn new(cluster: &str, networks: Vec<IpNet>) -> Self {
        Self {
            cluster: cluster.to_owned(),
            networks,
            generation: None,
            ours: HashMap::new(),
            antreas: HashMap::new(),
        }
    }

    fn of(&mut self, origin: &Origin, directory: &Directory) -> Option<Member> {
        self.refresh(directory);
        if let Some(node) = self.ours.get(&origin.domain) {
            return Some(Member { node: Some(Arc::clone(node)), ours: true });
        }
        if let Some(node) = self.antreas.get(&origin.domain) {
            return Some(Member { node: Some(Arc::clone(node)), ours: false });
        }
        if self.networks.iter().any(|network| network.contains(&origin.exporter)) {
            let node = directory.node_with_address(origin.exporter).map(|node| Arc::clone(&node.name));
            return Some(Member { node, ours: false });
        }
        None
    }

    /// Computes the Nodes' observation domains anew when the directory has changed.
    fn refresh(&mut self, directory: &Directory) {
        let generation = directory.generation();
        if self.generation == Some(generation) {
            return;
        }
        self.generation = Some(generation);
        self.ours.clear();
        self.antreas.clear();
        for node in directory.nodes() {
            self.ours.insert(observation_domain(&self.cluster, &node.name), Arc::clone(&node.name));
            self.antreas.insert(antrea_observation_domain(&node.name), Arc::clone(&node.name));
        }
    }
}

/// Fills in what the directory knows and the record does not say.
pub(crate) fn fill(draft: &mut Draft<'_>, members: &mut Members, directory: &Directory) -> Naming {
    let Some(member) = members.of(&draft.origin, directory) else { return Naming::Complete };
    draft.of_cluster = true;
    draft.exporter_node = member.node.clone();
    let source_on_wire = draft.is_named(&SOURCE);
    let source = name_end(draft, directory, &SOURCE);
    let destination = name_end(draft, directory, &DESTINATION);
    name_service(draft, directory);
    if member.ours
        && !source_on_wire
        && let (Some(exporter), End::Named(Some(source))) = (&member.node, &source)
        && source != exporter
    {
        return Naming::OtherSide;
    }
    match (source, destination) {
        (End::Unnamed, _) => Naming::Incomplete,
        // A Service's own address has no owner and needs none.
        (_, End::Unnamed) if draft.text(Role::ServicePortName).is_empty() => Naming::Incomplete,
        _ => Naming::Complete,
    }
}

/// The roles of one end of a flow, and the document fields that a name for it goes to.
pub(crate) struct EndRoles {
    address: Role,
    pod_name: (Role, &'static str),
    pod_namespace: (Role, &'static str),
    node: (Role, &'static str),
}

pub(crate) const SOURCE: EndRoles = EndRoles {
    address: Role::SourceAddress,
    pod_name: (Role::SourcePodName, "sourcePodName"),
    pod_namespace: (Role::SourcePodNamespace, "sourcePodNamespace"),
    node: (Role::SourceNode, "sourceNodeName"),
};

pub(crate) const DESTINATION: EndRoles = EndRoles {
    address: Role::DestinationAddress,
    pod_name: (Role::DestinationPodName, "destinationPodName"),
    pod_namespace: (Role::DestinationPodNamespace, "destinationPodNamespace"),
    node: (Role::DestinationNode, "destinationNodeName"),
};

/// What became of one end.
enum End {
    /// Named by the record, by the directory (then with its Node), or outside the cluster.
    Named(Option<Arc<str>>),
    /// Of the cluster, and nobody knows whose.
    Unnamed,
}

fn name_end(draft: &mut Draft<'_>, directory: &Directory, end: &EndRoles) -> End {
    if draft.is_named(end) {
        return End::Named(None);
    }
    let Some(address) = draft.address(end.address) else { return End::Named(None) };
    let (start, last) = draft.lifetime();
    match directory.owner(address, start, last) {
        Some(owner) => {
            if let Owner::Pod(pod) = &owner {
                draft.put_text(end.pod_name, &pod.name);
                draft.put_text(end.pod_namespace, &pod.namespace);
            }
            draft.put_text(end.node, owner.node_name());
            End::Named(Some(Arc::clone(owner.node_name())))
        }
        None if directory.is_in_cluster(address) => End::Unnamed,
        None => End::Named(None),
    }
}

/// The Service that was dialled: at its ClusterIP, at the address before translation, or at the destination
/// itself where the exporter sees flows before translation.
fn name_service(draft: &mut Draft<'_>, directory: &Directory) {
    if !draft.text(Role::ServicePortName).is_empty() {
        return;
    }
    let Some(protocol) = draft.number(Role::Protocol).and_then(|number| u8::try_from(number).ok()) else {
        return;
    };
    let service_port = draft.port(Role::ServicePort);
    let candidates: [(Option<IpAddr>, u16); 3] = [
        (draft.address(Role::ClusterIp), service_port),
        (draft.address(Role::Dialled), service_port),
        (draft.address(Role::DestinationAddress), draft.port(Role::DestinationPort)),
    ];
    for (address, port) in candidates {
        let Some(address) = address.filter(|_| port != 0) else { continue };
        let Some(service) = directory.service(address, port, protocol) else { continue };
        draft.put_text((Role::ServicePortName, "destinationServicePortName"), &service.name);
        draft.put((Role::ServicePort, "destinationServicePort"), Value::Unsigned(service.port.into()));
        if service.by_cluster_ip {
            let name = if address.is_ipv4() { "destinationClusterIP" } else { "destinationClusterIPv6" };
            draft.put((Role::ClusterIp, name), Value::Address(address));
        }
        return;
    }
}

impl<'a> Draft<'a> {
    /// Whether the record or an earlier look-up names this end.
    pub(crate) fn is_named(&self, end: &EndRoles) -> bool {
        !self.text(end.pod_name.0).is_empty() || !self.text(end.node.0).is_empty()
    }

    /// Start and end of the flow by our clock, milliseconds since 1970; the export time where the record does
    /// not say.
    fn lifetime(&self) -> (i64, i64) {
        let export = i64::try_from(self.origin.export_ms).unwrap_or(i64::MAX);
        let time = |role| self.number(role).and_then(|millis| i64::try_from(millis).ok());
        let end = time(Role::EndMilliseconds).or_else(|| time(Role::End)).unwrap_or(export);
        let start = time(Role::Start).unwrap_or(end);
        (start.saturating_add(self.origin.skew_ms), end.saturating_add(self.origin.skew_ms))
    }

    /// Puts a text where the role's field is, or adds the field.
    fn put_text(&mut self, field: (Role, &'static str), text: &str) {
        if !text.is_empty() {
            self.put(field, Value::String(Cow::Owned(text.to_owned())));
        }
    }

    /// Puts a value where the role's field is, or adds the field.
    fn put(&mut self, (role, name): (Role, &'static str), value: Value<'a>) {
        match self.places.place(role).and_then(|place| self.document.fields.get_mut(place)) {
            Some((_, old)) => *old = value,
            None => {
                self.places.set(role, self.document.fields.len());
                self.document.fields.push((Cow::Borrowed(name), value));
            }
        }
    }

    /// The role's text, empty where there is none.
    pub(crate) fn text(&self, role: Role) -> &str {
        self.places.text(&self.document, role)
    }

    /// The role's number.
    pub(crate) fn number(&self, role: Role) -> Option<u64> {
        self.places.number(&self.document, role)
    }

    /// The role's port, 0 where there is none.
    pub(crate) fn port(&self, role: Role) -> u16 {
        self.places.port(&self.document, role)
    }

    /// The role's address, unless it is all zeroes.
    pub(crate) fn address(&self, role: Role) -> Option<IpAddr> {
        self.places.address(&self.document, role)
    }
}
