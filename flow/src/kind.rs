//! Who talks to whom: the kind of a flow in words, and Antrea's flowType number.

use std::fmt;

/// One end of a flow, as seen by whoever looks at the cluster.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Party {
    /// A Pod with an address of its own (not one on the Node's network).
    Pod,
    /// A Service that was dialled; only ever a destination.
    Service,
    /// A Node, and Pods on its network.
    Node,
    /// Anything outside the cluster.
    External,
}

impl Party {
    /// Every party.
    pub const ALL: [Self; 4] = [Self::Pod, Self::Service, Self::Node, Self::External];

    /// The party as a word of a kind.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::Node => "Node",
            Self::External => "External",
        }
    }
}

/// The kind of a flow: `Pod-to-Service`, `External-to-Pod`, … (`ipfix.flowKind`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FlowKind {
    /// Who opened the connection.
    pub source: Party,
    /// Whom it dialled.
    pub destination: Party,
}

impl FlowKind {
    /// The kind as one word, without an allocation.
    pub const fn name(self) -> &'static str {
        use Party::{External, Node, Pod, Service};
        match (self.source, self.destination) {
            (Pod, Pod) => "Pod-to-Pod",
            (Pod, Service) => "Pod-to-Service",
            (Pod, Node) => "Pod-to-Node",
            (Pod, External) => "Pod-to-External",
            (Node, Pod) => "Node-to-Pod",
            (Node, Service) => "Node-to-Service",
            (Node, Node) => "Node-to-Node",
            (Node, External) => "Node-to-External",
            (External, Pod) => "External-to-Pod",
            (External, Service) => "External-to-Service",
            (External, Node) => "External-to-Node",
            (External, External) => "External-to-External",
            (Service, Pod) => "Service-to-Pod",
            (Service, Service) => "Service-to-Service",
            (Service, Node) => "Service-to-Node",
            (Service, External) => "Service-to-External",
        }
    }
}

impl fmt::Display for FlowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Antrea's flowType (56506/137).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum FlowType {
    /// Not known.
    #[default]
    Unspecified = 0,
    /// Both ends on one Node.
    IntraNode = 1,
    /// The ends on two Nodes of the cluster.
    InterNode = 2,
    /// From the cluster to the outside.
    ToExternal = 3,
    /// From the outside into the cluster.
    FromExternal = 4,
}

impl FlowType {
    /// The type of a number on the wire; a number nobody has assigned is unspecified.
    pub const fn from_wire(number: u64) -> Self {
        match number {
            1 => Self::IntraNode,
            2 => Self::InterNode,
            3 => Self::ToExternal,
            4 => Self::FromExternal,
            _ => Self::Unspecified,
        }
    }

    /// The number on the wire.
    pub const fn to_wire(self) -> u8 {
        self as u8
    }

    /// The type in words (`ipfix.flowTypeStr`); `None` where it is not known.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Unspecified => None,
            Self::IntraNode => Some("Intra-Node"),
            Self::InterNode => Some("Inter-Node"),
            Self::ToExternal => Some("To External"),
            Self::FromExternal => Some("From External"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_kind_is_made_of_its_two_words() {
        for source in Party::ALL {
            for destination in Party::ALL {
                let kind = FlowKind { source, destination };
                assert_eq!(kind.to_string(), format!("{}-to-{}", source.word(), destination.word()));
            }
        }
    }

    #[test]
    fn flow_types_keep_their_number() {
        for number in 0..=4_u8 {
            assert_eq!(FlowType::from_wire(number.into()).to_wire(), number);
        }
        assert_eq!(FlowType::from_wire(5), FlowType::Unspecified);
        assert_eq!(FlowType::from_wire(2).name(), Some("Inter-Node"));
        assert_eq!(FlowType::Unspecified.name(), None);
    }
}
