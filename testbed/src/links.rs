//! The wires: one veth pair from each Pod to its Node, and from each Node, the collector and the outside to
//! the underlay. Everything is routed by host routes, nothing is bridged.

use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;

use crate::namespace::Namespace;
use crate::plan::{self, CLUSTER_CIDRS, Pair};
use crate::shape::Shape;
use crate::tools::{IP, run};

/// The name of every namespace's way out; on a Node the others are [`pod_link`].
pub(crate) const UPLINK: &str = "eth0";

/// The Node's end of the link to Pod `pod`.
pub(crate) fn pod_link(pod: usize) -> String {
    format!("{POD_LINKS}{pod}")
}

/// What the names of all links to Pods begin with.
pub(crate) const POD_LINKS: &str = "pod";

/// Lets a fresh namespace forward packets, or not, before it has any link.
pub(crate) fn prepare(namespace: &Namespace, shape: &Shape, forwards: bool) -> Result<()> {
    let forwards = if forwards { "1" } else { "0" };
    namespace.set("net/ipv4/ip_forward", forwards)?;
    namespace.set("net/ipv4/conf/all/rp_filter", "0")?;
    namespace.set("net/ipv4/conf/default/rp_filter", "0")?;
    if !Path::new("/proc/sys/net/ipv6").exists() {
        return Ok(());
    }
    // Without IPv6 its multicast chatter on every new link would only disturb what is counted.
    let disabled = if shape.ipv6 { "0" } else { "1" };
    namespace.set("net/ipv6/conf/all/disable_ipv6", disabled)?;
    namespace.set("net/ipv6/conf/default/disable_ipv6", disabled)?;
    namespace.set("net/ipv6/conf/default/accept_dad", "0")?;
    namespace.set("net/ipv6/conf/default/router_solicitations", "0")?;
    namespace.set("net/ipv6/conf/all/forwarding", forwards)
}

/// Joins Pod `pod`, living in `inside`, to its Node.
pub(crate) fn join_pod(
    shape: &Shape,
    node_space: &Namespace,
    node: usize,
    pod: usize,
    inside: &Namespace,
) -> Result<()> {
    let (near, gateway, address) = (pod_link(pod), plan::gateway(node), plan::pod(node, pod));
    let mut here = vec![pair_of_links(&near, inside)];
    here.extend(addresses(&near, &[gateway], shape));
    here.push(format!("link set {near} up"));
    here.extend(host_routes(&near, address, shape));
    batch(node_space, &here)?;

    let mut there = way_out(&[address], gateway, shape);
    if shape.small_segments {
        there.insert(0, format!("link set {UPLINK} gso_max_segs 1"));
    }
    batch(inside, &there)
}

/// Joins a Node, the collector or the outside, living in `space` under `hosts`, to the underlay, which
/// calls the link `near`; `behind` are the networks that are reached through it.
pub(crate) fn join_underlay(
    shape: &Shape,
    underlay: &Namespace,
    near: &str,
    space: &Namespace,
    hosts: &[Pair],
    behind: &[String],
) -> Result<()> {
    let gateway = plan::underlay();
    let mut here = vec![pair_of_links(near, space)];
    here.extend(addresses(near, &[gateway], shape));
    here.push(format!("link set {near} up"));
    here.extend(hosts.iter().flat_map(|host| host_routes(near, *host, shape)));
    let first = hosts.first().map(|host| host.addresses(shape.ipv6)).unwrap_or_default();
    let ways = behind.iter().zip(first);
    here.extend(ways.map(|(network, host)| format!("route add {network} via {host} dev {near} onlink")));
    batch(underlay, &here)?;
    batch(space, &way_out(hosts, gateway, shape))
}

/// Pod addresses that no Pod of this Node has must not travel back to the underlay.
pub(crate) fn refuse_unknown_pods(space: &Namespace, node: usize, shape: &Shape) -> Result<()> {
    let commands = plan::pod_cidrs(node).into_iter().take(families(shape));
    batch(space, &commands.map(|network| format!("route add unreachable {network}")).collect::<Vec<_>>())
}

/// The underlay knows every Node's Pods; a Pod network without a Node ends there.
pub(crate) fn refuse_unknown_nodes(underlay: &Namespace, shape: &Shape) -> Result<()> {
    let networks = CLUSTER_CIDRS.iter().take(families(shape));
    batch(underlay, &networks.map(|network| format!("route add unreachable {network}")).collect::<Vec<_>>())
}

fn pair_of_links(near: &str, inside: &Namespace) -> String {
    format!("link add {near} type veth peer name {UPLINK} netns {}", inside.path().display())
}

fn way_out(own: &[Pair], gateway: Pair, shape: &Shape) -> Vec<String> {
    let mut commands = vec!["link set lo up".to_owned()];
    commands.extend(addresses(UPLINK, own, shape));
    commands.push(format!("link set {UPLINK} up"));
    commands.extend(host_routes(UPLINK, gateway, shape));
    let gateways = gateway.addresses(shape.ipv6).into_iter();
    commands.extend(
        gateways.map(|gateway| format!("route add {} via {gateway} dev {UPLINK}", everything(gateway))),
    );
    commands
}

fn addresses<'a>(link: &'a str, own: &'a [Pair], shape: &'a Shape) -> impl Iterator<Item = String> + 'a {
    let all = own.iter().flat_map(|pair| pair.addresses(shape.ipv6));
    all.map(move |address| format!("address add {} dev {link}{}", host(address), no_check(address)))
}

fn host_routes(link: &str, to: Pair, shape: &Shape) -> Vec<String> {
    to.addresses(shape.ipv6)
        .into_iter()
        .map(|address| format!("route add {} dev {link}", host(address)))
        .collect()
}

/// Duplicate address detection would keep an IPv6 address unusable for its first second.
fn no_check(address: IpAddr) -> &'static str {
    if address.is_ipv6() { " nodad" } else { "" }
}

fn host(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv6() { 128 } else { 32 })
}

fn everything(address: IpAddr) -> &'static str {
    if address.is_ipv6() { "::/0" } else { "0.0.0.0/0" }
}

fn families(shape: &Shape) -> usize {
    if shape.ipv6 { 2 } else { 1 }
}

fn batch(space: &Namespace, commands: &[String]) -> Result<()> {
    run(space, IP, &["-batch", "-"], &(commands.join("\n") + "\n")).map(drop)
}
