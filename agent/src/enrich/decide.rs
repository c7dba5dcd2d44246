//! Who exports a flow: one table, so that each flow of the cluster is exported once.
//!
//! The source's Node exports it. When the source is outside, the Node whose entry still shows the client does: the
//! one that translated the destination, else the endpoint's. An entry whose source is another Node's address is a
//! masqueraded one, and that Node's own entry has the client.

use std::net::IpAddr;

use podflow_flow::FlowType;

use super::place::Place;

/// Whether this Node exports a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It does.
    Export(FlowType),
    /// It does not.
    Leave(Left),
}

/// Why a flow is not exported; each is a label of one metric.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Left {
    /// The source's own Node exports it.
    SourceElsewhere,
    /// It only passes this Node.
    Transit,
    /// It carries Pods' traffic between Nodes, which is exported by itself.
    Tunnel,
    /// It never leaves the machine.
    Loopback,
    /// Multicast or broadcast.
    Multicast,
    /// Link-local addresses.
    LinkLocal,
    /// The agent's own connection to the collector.
    OwnExport,
    /// A probe of kubelet's.
    Probe,
    /// A rule of the configuration.
    Excluded,
    /// The same connection as one in another zone.
    Twin,
    /// It could not be written into a message.
    Unencodable,
}

impl Left {
    /// Every reason.
    pub(crate) const ALL: [Self; 11] = [
        Self::SourceElsewhere,
        Self::Transit,
        Self::Tunnel,
        Self::Loopback,
        Self::Multicast,
        Self::LinkLocal,
        Self::OwnExport,
        Self::Probe,
        Self::Excluded,
        Self::Twin,
        Self::Unencodable,
    ];

    /// The metric's label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::SourceElsewhere => "source_elsewhere",
            Self::Transit => "transit",
            Self::Tunnel => "tunnel",
            Self::Loopback => "loopback",
            Self::Multicast => "multicast",
            Self::LinkLocal => "link_local",
            Self::OwnExport => "own_export",
            Self::Probe => "probe",
            Self::Excluded => "excluded",
            Self::Twin => "twin",
            Self::Unencodable => "unencodable",
        }
    }
}

/// The table. `translated`: the destination that was dialled is not the endpoint that answers.
pub(crate) fn decide(source: &Place, destination: &Place, translated: bool) -> Verdict {
    use Place::{LocalPod, OtherNode, Outside, RemotePod, ThisNode};
    use Verdict::{Export, Leave};
    match (source, destination, translated) {
        (LocalPod(_) | ThisNode, LocalPod(_) | ThisNode, _) => Export(FlowType::IntraNode),
        (LocalPod(_) | ThisNode, RemotePod | OtherNode, _) => Export(FlowType::InterNode),
        (LocalPod(_) | ThisNode, Outside, _) => Export(FlowType::ToExternal),
        (RemotePod | OtherNode, _, _) => Leave(Left::SourceElsewhere),
        (Outside, LocalPod(_) | ThisNode, _) => Export(FlowType::FromExternal),
        (Outside, RemotePod | OtherNode | Outside, true) => Export(FlowType::FromExternal),
        (Outside, RemotePod | OtherNode | Outside, false) => Leave(Left::Transit),
    }
}

/// Addresses between which nothing is exported, whoever they belong to.
pub(crate) fn out_of_scope(source: IpAddr, destination: IpAddr) -> Option<Left> {
    [source, destination].into_iter().find_map(|address| match address {
        _ if address.is_loopback() => Some(Left::Loopback),
        _ if address.is_multicast() => Some(Left::Multicast),
        IpAddr::V4(v4) if v4.is_broadcast() => Some(Left::Multicast),
        IpAddr::V4(v4) if v4.is_link_local() => Some(Left::LinkLocal),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Left::LinkLocal),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table() {
        use FlowType::{FromExternal, InterNode, IntraNode, ToExternal};
        use Left::{SourceElsewhere, Transit};
        use Place::{LocalPod, OtherNode, Outside, RemotePod, ThisNode};
        use Verdict::{Export, Leave};
        let local = || LocalPod(None);
        for (case, source, destination, translated, verdict) in [
            ("Pod to Pod on this Node", local(), local(), false, Export(IntraNode)),
            ("Pod to Pod on another Node", local(), RemotePod, false, Export(InterNode)),
            ("Pod to Service with a local endpoint", local(), local(), true, Export(IntraNode)),
            ("Pod to Service with a remote endpoint", local(), RemotePod, true, Export(InterNode)),
            ("Pod to its own Node", local(), ThisNode, false, Export(IntraNode)),
            ("Pod to another Node", local(), OtherNode, false, Export(InterNode)),
            ("Pod to outside", local(), Outside, false, Export(ToExternal)),
            ("hairpin through a Service", local(), local(), true, Export(IntraNode)),
            ("Node to its Pod", ThisNode, local(), false, Export(IntraNode)),
            ("Node to a remote Pod", ThisNode, RemotePod, false, Export(InterNode)),
            ("Node to Node", ThisNode, OtherNode, false, Export(InterNode)),
            ("Node to Service", ThisNode, RemotePod, true, Export(InterNode)),
            ("Node to outside", ThisNode, Outside, false, Export(ToExternal)),
            ("remote Pod to local Pod", RemotePod, local(), false, Leave(SourceElsewhere)),
            ("remote Pod to this Node", RemotePod, ThisNode, false, Leave(SourceElsewhere)),
            ("remote Pod passing by", RemotePod, RemotePod, false, Leave(SourceElsewhere)),
            ("remote Pod to a NodePort here", RemotePod, local(), true, Leave(SourceElsewhere)),
            ("masqueraded by another Node to a local Pod", OtherNode, local(), false, Leave(SourceElsewhere)),
            ("Node to this Node", OtherNode, ThisNode, false, Leave(SourceElsewhere)),
            ("outside to a local Pod", Outside, local(), false, Export(FromExternal)),
            ("outside to this Node", Outside, ThisNode, false, Export(FromExternal)),
            ("NodePort with a local endpoint", Outside, local(), true, Export(FromExternal)),
            ("NodePort with a remote endpoint", Outside, RemotePod, true, Export(FromExternal)),
            (
                "NodePort with a hostNetwork endpoint elsewhere",
                Outside,
                OtherNode,
                true,
                Export(FromExternal),
            ),
            ("load balancer's address to outside", Outside, Outside, true, Export(FromExternal)),
            ("outside to a remote Pod, passing by", Outside, RemotePod, false, Leave(Transit)),
            ("outside to another Node, passing by", Outside, OtherNode, false, Leave(Transit)),
            ("outside to outside, passing by", Outside, Outside, false, Leave(Transit)),
        ] {
            assert_eq!(decide(&source, &destination, translated), verdict, "{case}");
        }
    }

    #[test]
    fn addresses_that_are_never_exported() {
        for (source, destination, left) in [
            ("127.0.0.1", "127.0.0.1", Some(Left::Loopback)),
            ("10.0.0.1", "224.0.0.251", Some(Left::Multicast)),
            ("10.0.0.1", "255.255.255.255", Some(Left::Multicast)),
            ("169.254.1.1", "10.0.0.1", Some(Left::LinkLocal)),
            ("fe80::1", "fd00::1", Some(Left::LinkLocal)),
            ("fd00::1", "ff02::1", Some(Left::Multicast)),
            ("::1", "::1", Some(Left::Loopback)),
            ("10.0.0.1", "192.0.2.1", None),
        ] {
            assert_eq!(out_of_scope(source.parse().unwrap(), destination.parse().unwrap()), left, "{source}");
        }
    }
}
