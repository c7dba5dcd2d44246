//! The document fields that the collector derives from a record, beside the record's own elements.

use crate::index::IndexType;

/// A document field under `ipfix.` that no element carries.
#[derive(Clone, Copy, Debug)]
pub struct DerivedField {
    /// Name without the `ipfix.` prefix.
    pub name: &'static str,
    /// How it is indexed.
    pub index: IndexType,
    /// What it says, for the documents.
    pub doc: &'static str,
}

/// Every derived field, in the order in which documents carry them.
pub const DERIVED: &[DerivedField] = &[
    derived("version", IndexType::Long, "version of the message: 10 for IPFIX, 9 and 5 for NetFlow"),
    derived("flowset_id", IndexType::Long, "template id of the record"),
    derived("bytes", IndexType::Long, "octets of both directions since the previous record"),
    derived("packets", IndexType::Long, "packets of both directions since the previous record"),
    derived("sourceIP", IndexType::Ip, "source address of either family"),
    derived("destinationIP", IndexType::Ip, "destination address of either family"),
    derived("protocol", IndexType::Keyword, "name of the IP protocol: TCP, UDP, …"),
    derived("flowKind", IndexType::Keyword, "Pod-to-Pod, Pod-to-Service, External-to-Pod, …"),
    derived("flowTypeStr", IndexType::Keyword, "flowType in words"),
    derived("flowKey", IndexType::Keyword, "source:port→destination:port protocol"),
    derived("flowId", IndexType::Long, "the record's own, or made from domain, key and start"),
    derived("sourceName", IndexType::Keyword, "namespace/pod, else Node, else address of the source"),
    derived(
        "destinationName",
        IndexType::Keyword,
        "namespace/pod, else Node, else address of the destination",
    ),
    derived("podPair", IndexType::Keyword, "sourceName → destinationName"),
    derived("servicePair", IndexType::Keyword, "sourceName → namespace/service:port"),
    derived("nodePair", IndexType::Keyword, "source Node → destination Node"),
    derived("exporterNode", IndexType::Keyword, "Node of the exporting agent"),
    derived(
        "samplingInterval",
        IndexType::Long,
        "one packet of so many was seen: as the record says, else as its exporter announced; counters are as exported",
    ),
    derived("exportTime", IndexType::Date, "the message's export time where @timestamp could not be it"),
    derived("ingressNetworkPolicyTypeStr", IndexType::Keyword, "kind of the policy that let the flow in"),
    derived("egressNetworkPolicyTypeStr", IndexType::Keyword, "kind of the policy that let the flow out"),
    derived("ingressNetworkPolicyRuleActionStr", IndexType::Keyword, "Allow, Drop or Reject on the way in"),
    derived("egressNetworkPolicyRuleActionStr", IndexType::Keyword, "Allow, Drop or Reject on the way out"),
];

const fn derived(name: &'static str, index: IndexType, doc: &'static str) -> DerivedField {
    DerivedField { name, index, doc }
}

/// The name of a rule action (56506/139, 140); `None` for 0 and numbers nobody has assigned.
pub const fn rule_action_name(number: u64) -> Option<&'static str> {
    match number {
        1 => Some("Allow"),
        2 => Some("Drop"),
        3 => Some("Reject"),
        _ => None,
    }
}

/// The name of a policy type (56506/115, 118); `None` for numbers nobody has assigned.
pub const fn policy_type_name(number: u64) -> Option<&'static str> {
    match number {
        1 => Some("K8s NetworkPolicy"),
        2 => Some("Antrea NetworkPolicy"),
        3 => Some("Antrea ClusterNetworkPolicy"),
        4 => Some("K8s ClusterNetworkPolicy"),
        _ => None,
    }
}
