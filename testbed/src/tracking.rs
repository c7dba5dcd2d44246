//! What a Node does to packets, as one nftables ruleset: puts its Pods' connections into the conntrack zones
//! that Antrea uses, translates Service addresses to endpoints, and counts every packet by its tuple.
//!
//! The counters stand where conntrack's own do, in prerouting and output, before any translation: a packet
//! is seen by both in the same shape, as one, however large the kernel has made it.

use std::net::IpAddr;

use anyhow::Result;

use crate::bed::{Node, Pod, Service};
use crate::links::{POD_LINKS, UPLINK};
use crate::plan;
use crate::tools::{NFT, run};

/// Table that holds the rules, of the family `inet`.
pub(crate) const TABLE: &str = "podflow_testbed";

/// Names of the counting sets, IPv4 and IPv6.
pub(crate) const COUNTED: [&str; 2] = ["counted4", "counted6"];

/// Loads a Node's rules. From here on its kernel tracks connections.
pub(crate) fn start(node: &Node, services: &[Service]) -> Result<()> {
    run(&node.space, NFT, &["-f", "-"], &ruleset(node, services)).map(drop)
}

fn ruleset(node: &Node, services: &[Service]) -> String {
    let [pods4, pods6] = plan::pod_cidrs(node.index);
    let [counted4, counted6] = COUNTED;
    let translations = translations(node, services);
    let node_ports = node_port_zones(node, services);
    format!(
        "table inet {TABLE} {{
  set {counted4} {{
    type ipv4_addr . ipv4_addr . inet_proto . inet_service . inet_service
    flags dynamic
    size {MOST_COUNTED}
    counter
  }}
  set {counted6} {{
    type ipv6_addr . ipv6_addr . inet_proto . inet_service . inet_service
    flags dynamic
    size {MOST_COUNTED}
    counter
  }}
  chain count {{
    meta nfproto ipv4 meta l4proto {{ tcp, udp }} update @{counted4} {{ ip saddr . ip daddr . meta l4proto . th sport . th dport }}
    meta nfproto ipv6 meta l4proto {{ tcp, udp }} update @{counted6} {{ ip6 saddr . ip6 daddr . meta l4proto . th sport . th dport }}
  }}
  chain arriving {{
    type filter hook prerouting priority raw
    iifname \"{POD_LINKS}*\" meta nfproto ipv4 ct zone set {ZONE_IPV4}
    iifname \"{POD_LINKS}*\" meta nfproto ipv6 ct zone set {ZONE_IPV6}
    iifname \"{UPLINK}\" ip daddr {pods4} ct zone set {ZONE_IPV4}
    iifname \"{UPLINK}\" ip6 daddr {pods6} ct zone set {ZONE_IPV6}
{node_ports}    jump count
  }}
  chain own {{
    type filter hook output priority raw
    ip daddr {pods4} ct zone set {ZONE_IPV4}
    ip6 daddr {pods6} ct zone set {ZONE_IPV6}
    jump count
  }}
  chain services {{
{translations}  }}
  chain translate_arriving {{
    type nat hook prerouting priority dstnat
    jump services
  }}
  chain translate_own {{
    type nat hook output priority -100
    jump services
  }}
}}
"
    )
}

/// One rule for each Service address and family: to any of its endpoints with the same chance. A Node's port
/// leads only to endpoints on that Node, so that the client's address can be left as it is.
fn translations(node: &Node, services: &[Service]) -> String {
    let mut rules = String::new();
    for service in services {
        for cluster_ip in &service.cluster_ips {
            rules += &translation(service, *cluster_ip, service.port, service.endpoints.iter());
        }
        if service.node_port != 0 {
            for address in &node.ips {
                let local = service.endpoints.iter().filter(|endpoint| endpoint.node == node.index);
                rules += &translation(service, *address, service.node_port, local);
            }
        }
    }
    rules
}

fn translation<'a>(
    service: &Service,
    dialled: IpAddr,
    port: u16,
    endpoints: impl Iterator<Item = &'a Pod>,
) -> String {
    let addresses =
        endpoints.flat_map(|endpoint| &endpoint.ips).filter(|ip| ip.is_ipv6() == dialled.is_ipv6());
    let choices: Vec<_> = addresses
        .enumerate()
        .map(|(number, ip)| format!("{number} : {ip} . {}", service.target_port))
        .collect();
    if choices.is_empty() {
        return String::new();
    }
    let (family, protocol, choice) = (family(dialled), service.protocol.name(), choices.join(", "));
    let count = choices.len();
    format!(
        "    {family} daddr {dialled} {protocol} dport {port} dnat {family} to numgen random mod {count} map {{ {choice} }}\n"
    )
}

/// Both directions of a connection need the same zone, and its replies come from a Pod.
fn node_port_zones(node: &Node, services: &[Service]) -> String {
    let mut rules = String::new();
    for service in services.iter().filter(|service| service.node_port != 0) {
        for address in &node.ips {
            let zone = if address.is_ipv6() { ZONE_IPV6 } else { ZONE_IPV4 };
            let (family, protocol, port) = (family(*address), service.protocol.name(), service.node_port);
            rules += &format!(
                "    iifname \"{UPLINK}\" {family} daddr {address} {protocol} dport {port} ct zone set {zone}\n"
            );
        }
    }
    rules
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv6() { "ip6" } else { "ip" }
}

/// Antrea's zone for the Pods' IPv4 connections.
pub const ZONE_IPV4: u16 = 65_520;

/// Antrea's zone for the Pods' IPv6 connections.
pub const ZONE_IPV6: u16 = 65_510;

/// The kernel keeps an entry of a counting set in about 100 octets; twice as many as conntrack can hold.
const MOST_COUNTED: u32 = 524_288;
