//! A flow record as the agent exports it: names borrowed from whoever keeps them, units in the field names.

use std::net::IpAddr;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::kind::FlowType;

/// One direction's counters: since the flow began, and since its previous record.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Packets since the flow began (IE 86).
    pub packets_total: u64,
    /// Octets of IP packets since the flow began (IE 85).
    pub octets_total: u64,
    /// Packets since the previous record (IE 2).
    pub packets_delta: u64,
    /// Octets since the previous record (IE 1).
    pub octets_delta: u64,
}

/// Why a record was made (IE 136 flowEndReason).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum FlowEndReason {
    /// The kernel let it expire.
    IdleTimeout = 1,
    /// It goes on; this is its record of the interval.
    ActiveTimeout = 2,
    /// TCP closed it.
    EndOfFlow = 3,
    /// Somebody deleted the entry.
    ForcedEnd = 4,
    /// Our own bound was reached.
    LackOfResources = 5,
}

/// What the agent exports of one flow at one moment.
///
/// Every name is empty where it is not known, every address and port that does not apply is `None`.
#[derive(Clone, Debug)]
pub struct FlowRecord<'a> {
    /// Who opened the connection (IE 8, 27).
    pub source: IpAddr,
    /// The real endpoint, after any translation (IE 12, 28); of the same family as the source.
    pub destination: IpAddr,
    /// 0 for protocols without ports (IE 7).
    pub source_port: u16,
    /// 0 for protocols without ports (IE 11).
    pub destination_port: u16,
    /// IP protocol number (IE 4).
    pub protocol: u8,
    /// ICMP type × 256 + code (IE 32, 139); 0 for other protocols.
    pub icmp_type_code: u16,
    /// First packet, milliseconds since 1970 (IE 152; in seconds IE 150).
    pub start_ms: u64,
    /// Last time the counters were seen to move (IE 153; in seconds IE 151).
    pub end_ms: u64,
    /// Why this record was made (IE 136).
    pub end_reason: FlowEndReason,
    /// Hash of the flow's key (IE 148), see [`flow_id`].
    pub flow_id: u64,
    /// From source to destination.
    pub forward: Counters,
    /// From destination to source.
    pub reverse: Counters,
    /// Namespace of the source Pod.
    pub source_pod_namespace: &'a str,
    /// Name of the source Pod.
    pub source_pod_name: &'a str,
    /// Node of the source.
    pub source_node_name: &'a str,
    /// Namespace of the destination Pod.
    pub destination_pod_namespace: &'a str,
    /// Name of the destination Pod.
    pub destination_pod_name: &'a str,
    /// Node of the destination.
    pub destination_node_name: &'a str,
    /// ClusterIP that was dialled.
    pub cluster_ip: Option<IpAddr>,
    /// Service port that was dialled; 0 where the flow is not to a Service.
    pub service_port: u16,
    /// `namespace/service:portName`; empty where the flow is not to a Service.
    pub service_port_name: &'a str,
    /// The kernel's name of the TCP state; empty for other protocols.
    pub tcp_state: &'a str,
    /// Antrea's flow type.
    pub flow_type: FlowType,
    /// Bits per second since the previous record, forward.
    pub throughput: u64,
    /// Bits per second since the previous record, reverse.
    pub reverse_throughput: u64,
    /// Source address after translation (IE 225, 281), where the source was translated.
    pub post_nat_source: Option<IpAddr>,
    /// Source port after translation (IE 227); 0 where the source was not translated.
    pub post_nat_source_port: u16,
    /// The address that was dialled, when the destination was translated (56506/168, 169): ClusterIP, Node
    /// address, external or load-balancer address.
    pub dialled: Option<IpAddr>,
}

impl FlowRecord<'_> {
    /// A TCP flow between two addresses of which nothing more is known: nobody has a name, nothing was counted.
    pub const fn between(source: IpAddr, destination: IpAddr) -> Self {
        let nothing = Counters { packets_total: 0, octets_total: 0, packets_delta: 0, octets_delta: 0 };
        Self {
            source,
            destination,
            source_port: 0,
            destination_port: 0,
            protocol: 6,
            icmp_type_code: 0,
            start_ms: 0,
            end_ms: 0,
            end_reason: FlowEndReason::ActiveTimeout,
            flow_id: 0,
            forward: nothing,
            reverse: nothing,
            source_pod_namespace: "",
            source_pod_name: "",
            source_node_name: "",
            destination_pod_namespace: "",
            destination_pod_name: "",
            destination_node_name: "",
            cluster_ip: None,
            service_port: 0,
            service_port_name: "",
            tcp_state: "",
            flow_type: FlowType::Unspecified,
            throughput: 0,
            reverse_throughput: 0,
            post_nat_source: None,
            post_nat_source_port: 0,
            dialled: None,
        }
    }

    /// Whether template 256 (IPv4) carries it; otherwise template 257 (IPv6) does.
    pub const fn is_ipv4(&self) -> bool {
        self.source.is_ipv4()
    }
}

/// A flow's id: a fixed hash of the octets of its key.
///
/// 53 bits: the id then is exact in every JSON reader, in an Elasticsearch `long` and in a browser. Among 10^8
/// flows a day two share an id once in two days; documents differ all the same, by their `_id`.
pub fn flow_id(key: &[&[u8]]) -> u64 {
    // One hash over all parts; of a short key, put together first, it takes a tenth of the time.
    let mut room = [0; SHORT_KEY];
    let hash = match joined(key, &mut room) {
        Some(octets) => xxh3_64(octets),
        None => {
            let mut hash = Xxh3Default::new();
            for part in key {
                hash.update(part);
            }
            hash.digest()
        }
    };
    hash >> 11
}

/// The parts of a key behind each other, where there is room.
fn joined<'r>(key: &[&[u8]], room: &'r mut [u8; SHORT_KEY]) -> Option<&'r [u8]> {
    let mut length = 0;
    for part in key {
        room.get_mut(length..length + part.len())?.copy_from_slice(part);
        length += part.len();
    }
    room.get(..length)
}

/// The longest key that is put together before it is hashed: two IPv6 addresses, ports, domain and times, and room.
const SHORT_KEY: usize = 128;

/// The observation domain of a Node's agent: FNV-1 (32 bit) of `podflow/<cluster>/<node>`.
///
/// Antrea's agent on the same Node hashes the bare Node name, so that the two never meet.
pub fn observation_domain(cluster: &str, node: &str) -> u32 {
    let name = ["podflow/", cluster, "/", node];
    name.iter()
        .flat_map(|part| part.bytes())
        .fold(FNV_OFFSET, |hash, octet| hash.wrapping_mul(FNV_PRIME) ^ u32::from(octet))
}

/// The observation domain of Antrea's own agent on a Node: FNV-1 (32 bit) of the Node's name.
pub fn antrea_observation_domain(node: &str) -> u32 {
    node.bytes().fold(FNV_OFFSET, |hash, octet| hash.wrapping_mul(FNV_PRIME) ^ u32::from(octet))
}

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_1_known_values() {
        // Published FNV-1 32 bit test values.
        assert_eq!(antrea_observation_domain(""), 0x811c_9dc5);
        assert_eq!(antrea_observation_domain("a"), 0x050c_5d7e);
        assert_eq!(antrea_observation_domain("foobar"), 0x31f0_b262);
        assert_eq!(observation_domain("c", "n"), antrea_observation_domain("podflow/c/n"));
    }

    #[test]
    fn flow_ids_are_exact_in_json_and_depend_on_every_part() {
        let id = flow_id(&[b"ab", b"c"]);
        assert!(id < 1 << 53);
        assert_ne!(id, flow_id(&[b"ab", b"d"]));
        assert_eq!(id, flow_id(&[b"ab", b"c"]));
        let long = vec![7; 3 * SHORT_KEY];
        for length in [0, 1, SHORT_KEY - 1, SHORT_KEY, SHORT_KEY + 1, long.len()] {
            let (whole, parts) = (&long[..length], long[..length].split_at(length / 3));
            assert_eq!(flow_id(&[whole]), flow_id(&[parts.0, parts.1]), "{length}");
            assert_eq!(flow_id(&[whole]), xxh3_64(whole) >> 11, "{length}");
        }
    }
}
