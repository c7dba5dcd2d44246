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

use podflow_cluster::{Directory, Owner, ServicePortName};
use podflow_flow::record::{antrea_observation_domain, observation_domain};

use super::facts::Facts;
use super::json;
use super::keys::{Key, key};
use super::lookups::{Lookups, Side, Slot, Whose};
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
    ours: HashMap<u32, Member>,
    antreas: HashMap<u32, Member>,
    /// The last answer: a message's records ask the same.
    last: Option<(u32, IpAddr, Option<Member>)>,
}

/// An exporter of this cluster.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its Node, where that is known.
    pub(crate) node: Option<Arc<str>>,
    /// Whether the Node's name needs no escape in JSON.
    plain: bool,
    agent: Agent,
}

impl Member {
    fn new(node: Option<&Arc<str>>, agent: Agent) -> Self {
        let plain = node.is_none_or(|node| json::all_plain(node.as_bytes()));
        Self { node: node.map(Arc::clone), plain, agent }
    }
}

/// Whose agent an exporter is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Agent {
    Ours,
    Antreas,
    /// Something else, which the configuration lists.
    Listed,
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
            last: None,
        }
    }

    fn of(&mut self, origin: &Origin, directory: &Directory, generation: u64) -> Option<&Member> {
        self.refresh(directory, generation);
        let (domain, exporter) = (origin.domain, origin.exporter);
        if !self.last.as_ref().is_some_and(|(of, at, _)| *of == domain && *at == exporter) {
            let member = self.ours.get(&domain).or_else(|| self.antreas.get(&domain)).cloned();
            let in_networks = || {
                self.networks.iter().find(|network| network.contains(&exporter))?;
                let node = directory.node_with_address(exporter);
                Some(Member::new(node.as_ref().map(|node| &node.name), Agent::Listed))
            };
            self.last = Some((domain, exporter, member.or_else(in_networks)));
        }
        self.last.as_ref().and_then(|(_, _, member)| member.as_ref())
    }

    /// Computes the Nodes' observation domains anew when the directory has changed.
    fn refresh(&mut self, directory: &Directory, generation: u64) {
        if self.generation == Some(generation) {
            return;
        }
        self.generation = Some(generation);
        self.last = None;
        self.ours.clear();
        self.antreas.clear();
        for node in directory.nodes() {
            let member = |agent| Member::new(Some(&node.name), agent);
            self.ours.insert(observation_domain(&self.cluster, &node.name), member(Agent::Ours));
            self.antreas.insert(antrea_observation_domain(&node.name), member(Agent::Antreas));
        }
    }
}

/// What the directory says about one record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Findings<'c> {
    pub(crate) naming: Naming,
    /// The exporter, where it is of this cluster.
    pub(crate) member: Option<&'c Member>,
    /// The exporter is Antrea's agent on the destination's Node, and the source is on another.
    pub(crate) destination_copy: bool,
    /// Whether no name in here needs an escape in JSON.
    pub(crate) plain: bool,
    source: Option<&'c Owner>,
    destination: Option<&'c Owner>,
    service: Option<(&'c ServicePortName, IpAddr)>,
}

/// A value that the directory has for a role.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filled<'c> {
    Text(&'c str),
    Number(u64),
    Address(IpAddr),
}

/// The roles that the directory has values for, and the document fields that those go to; in the order in which
/// fields that the record lacks are added.
pub(crate) const FILLED: [(Role, &Key); 9] = [
    (Role::SourcePodName, key!("sourcePodName")),
    (Role::SourcePodNamespace, key!("sourcePodNamespace")),
    (Role::SourceNode, key!("sourceNodeName")),
    (Role::DestinationPodName, key!("destinationPodName")),
    (Role::DestinationPodNamespace, key!("destinationPodNamespace")),
    (Role::DestinationNode, key!("destinationNodeName")),
    (Role::ServicePortName, key!("destinationServicePortName")),
    (Role::ServicePort, key!("destinationServicePort")),
    (Role::ClusterIp, key!("destinationClusterIP")),
];

/// Where an IPv6 ClusterIP goes.
const CLUSTER_IP_V6: &Key = key!("destinationClusterIPv6");

impl<'c> Findings<'c> {
    /// What there is to fill in, in the order of [`FILLED`]; it takes the place of what the record says.
    pub(crate) fn filled(&self) -> [Option<Filled<'c>>; FILLED.len()] {
        let text = |text: &'c str| Some(Filled::Text(text)).filter(|_| !text.is_empty());
        let end = |owner: Option<&'c Owner>| match owner {
            Some(Owner::Pod(pod)) => [text(&pod.name), text(&pod.namespace), text(&pod.node)],
            Some(Owner::Node(node)) => [None, None, text(&node.name)],
            None => [None; 3],
        };
        let [source_pod, source_namespace, source_node] = end(self.source);
        let [destination_pod, destination_namespace, destination_node] = end(self.destination);
        let [service_name, service_port, cluster_ip] = match self.service {
            Some((service, ip)) => [
                text(&service.name),
                Some(Filled::Number(service.port.into())),
                Some(Filled::Address(ip)).filter(|_| service.by_cluster_ip),
            ],
            None => [None; 3],
        };
        [
            source_pod,
            source_namespace,
            source_node,
            destination_pod,
            destination_namespace,
            destination_node,
            service_name,
            service_port,
            cluster_ip,
        ]
    }

    /// The field that a value goes to where the record has none for its role.
    pub(crate) const fn field(&self, key: &'static Key, value: &Filled<'_>) -> &'static Key {
        match value {
            Filled::Address(IpAddr::V6(_)) => CLUSTER_IP_V6,
            _ => key,
        }
    }
}

/// Asks the directory for what the record does not say.
pub(crate) fn find<'c>(
    facts: &impl Facts,
    members: &'c mut Members,
    lookups: &'c mut Lookups,
) -> Findings<'c> {
    let generation = lookups.refresh();
    let nothing = Findings {
        naming: Naming::Complete,
        member: None,
        destination_copy: false,
        plain: true,
        source: None,
        destination: None,
        service: None,
    };
    let Some(member) = members.of(facts.origin(), lookups.directory(), generation) else { return nothing };
    let source = end_slot(facts, lookups, &SOURCE);
    let destination = end_slot(facts, lookups, &DESTINATION);
    let service = service_slot(facts, lookups);

    // Nothing is asked from here on.
    let lookups = &*lookups;
    let source = source.map(|slot| lookups.whose(Side::Source, slot));
    let destination = destination.map(|slot| lookups.whose(Side::Destination, slot));
    let service = service.and_then(|(slot, address)| Some((lookups.service(slot)?, address)));
    let owner = |whose: Option<&'c Whose>| match whose {
        Some(Whose::Owned { owner, plain }) => (Some(owner), *plain),
        _ => (None, true),
    };
    let ((from, from_plain), (to, to_plain)) = (owner(source), owner(destination));
    let service_plain = service.is_none_or(|(service, _)| json::all_plain(service.name.as_bytes()));
    let findings = Findings {
        member: Some(member),
        plain: member.plain && from_plain && to_plain && service_plain,
        source: from,
        destination: to,
        service,
        ..nothing
    };
    let of_other_node = |exporter: &Arc<str>| findings.source.is_some_and(|s| s.node_name() != exporter);
    let from_other_node = member.node.as_ref().is_some_and(of_other_node);
    let is_service = service.is_some() || !facts.text(Role::ServicePortName).is_empty();
    let destination_copy =
        member.agent == Agent::Antreas && from_other_node && !facts.text(Role::DestinationPodName).is_empty();
    let naming = match (source, destination) {
        _ if member.agent == Agent::Ours && from_other_node => Naming::OtherSide,
        (Some(Whose::Unnamed), _) => Naming::Incomplete,
        // A Service's own address has no owner and needs none.
        (_, Some(Whose::Unnamed)) if !is_service => Naming::Incomplete,
        _ => Naming::Complete,
    };
    Findings { naming, destination_copy, ..findings }
}

/// The roles of one end of a flow.
#[derive(Debug)]
pub(crate) struct EndRoles {
    side: Side,
    address: Role,
    pub(crate) pod_name: Role,
    pub(crate) node: Role,
}

const SOURCE: EndRoles = EndRoles {
    side: Side::Source,
    address: Role::SourceAddress,
    pod_name: Role::SourcePodName,
    node: Role::SourceNode,
};

const DESTINATION: EndRoles = EndRoles {
    side: Side::Destination,
    address: Role::DestinationAddress,
    pod_name: Role::DestinationPodName,
    node: Role::DestinationNode,
};

/// Whose an end of the flow is; `None` where the record says so itself or has no address.
fn end_slot(facts: &impl Facts, lookups: &mut Lookups, end: &EndRoles) -> Option<Slot> {
    let address = if facts.is_named(end) { None } else { facts.address(end.address) }?;
    let (start, last) = facts.lifetime();
    Some(lookups.find(end.side, address, start, last))
}

/// The Service that was dialled: at its ClusterIP, at the address before translation, or at the destination
/// itself where the exporter sees flows before translation.
fn service_slot(facts: &impl Facts, lookups: &mut Lookups) -> Option<(Slot, IpAddr)> {
    if !facts.text(Role::ServicePortName).is_empty() {
        return None;
    }
    let protocol = u8::try_from(facts.number(Role::Protocol)?).ok()?;
    let service_port = facts.port(Role::ServicePort);
    [
        (Role::ClusterIp, service_port),
        (Role::Dialled, service_port),
        (Role::DestinationAddress, facts.port(Role::DestinationPort)),
    ]
    .into_iter()
    .filter(|(_, port)| *port != 0)
    .find_map(|(role, port)| {
        let address = facts.address(role)?;
        Some((lookups.find_service(address, port, protocol, facts.lifetime().0)?, address))
    })
}

/// Fills in what the directory knows and the record does not say.
pub(crate) fn fill(draft: &mut Draft<'_>, members: &mut Members, lookups: &mut Lookups) -> Naming {
    let findings = find(draft, members, lookups);
    if let Some(member) = findings.member {
        draft.of_cluster = true;
        draft.destination_copy |= findings.destination_copy;
        draft.exporter_node = member.node.clone();
    }
    for ((role, key), value) in FILLED.into_iter().zip(findings.filled()) {
        if let Some(value) = value {
            draft.put(role, findings.field(key, &value), value);
        }
    }
    findings.naming
}

impl Draft<'_> {
    /// Puts a value where the role's field is, or adds the field.
    fn put(&mut self, role: Role, key: &'static Key, value: Filled<'_>) {
        let value = match value {
            Filled::Text(text) => Value::String(Cow::Owned(text.to_owned())),
            Filled::Number(number) => Value::Unsigned(number),
            Filled::Address(ip) => Value::Address(ip),
        };
        match self.places.place(role).and_then(|place| self.document.fields.get_mut(place)) {
            Some((_, old)) => *old = value,
            None => {
                self.places.set(role, self.document.fields.len());
                self.document.fields.push((Cow::Borrowed(key.name), value));
            }
        }
    }
}

impl Facts for Draft<'_> {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn text(&self, role: Role) -> &str {
        self.places.text(&self.document, role)
    }

    fn number(&self, role: Role) -> Option<u64> {
        self.places.number(&self.document, role)
    }

    fn address(&self, role: Role) -> Option<IpAddr> {
        self.places.address(&self.document, role)
    }
}
