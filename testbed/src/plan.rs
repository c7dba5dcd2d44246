//! Who has which address.
//!
//! ```text
//!  10.10.N.10+  Pods of Node N      fd00:10:N::10+     via 10.10.N.1, the Node's end of each link
//!  172.18.0.2+N Node N              fd00:18::2+N       via 172.18.0.1, the underlay
//!  172.18.0.254 the collector       fd00:18::254
//!  10.96.0.10+  Services            fd00:96::10+       exist only in the Nodes' DNAT rules
//!  203.0.113.10-13 outside          2001:db8::10-13
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address in both families. Where the testbed has no IPv6, only the first is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pair {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

impl Pair {
    /// The addresses in use.
    #[must_use]
    pub fn addresses(&self, ipv6: bool) -> Vec<IpAddr> {
        let v6 = ipv6.then_some(IpAddr::V6(self.v6));
        std::iter::once(IpAddr::V4(self.v4)).chain(v6).collect()
    }
}

/// Node `node` on the underlay.
#[must_use]
pub fn node(node: usize) -> Pair {
    on_underlay(2 + octet(node))
}

/// The underlay's own address: the way from Node to Node and out.
#[must_use]
pub fn underlay() -> Pair {
    on_underlay(1)
}

/// The collector, beside the Nodes.
#[must_use]
pub fn collector() -> Pair {
    on_underlay(254)
}

/// Pod `pod` of Node `node`.
#[must_use]
pub fn pod(node: usize, pod: usize) -> Pair {
    on_node(node, 10 + octet(pod))
}

/// The Node's end of every link to its Pods.
#[must_use]
pub fn gateway(node: usize) -> Pair {
    on_node(node, 1)
}

/// The network of a Node's Pods, as IPv4 and IPv6 CIDR.
#[must_use]
pub fn pod_cidrs(node: usize) -> [String; 2] {
    let Pair { v4, v6 } = on_node(node, 0);
    [format!("{v4}/24"), format!("{v6}/64")]
}

/// All Nodes' Pods together, as IPv4 and IPv6 CIDR.
pub const CLUSTER_CIDRS: [&str; 2] = ["10.10.0.0/16", "fd00:10::/32"];

/// The ClusterIP of application `application`.
#[must_use]
pub fn service(application: usize) -> Pair {
    let host = 10 + octet(application);
    Pair { v4: Ipv4Addr::new(10, 96, 0, host), v6: Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, decimal(host)) }
}

/// The hosts outside the cluster: one machine with several addresses.
#[must_use]
pub fn outside() -> [Pair; 4] {
    [10, 11, 12, 13].map(|host| Pair {
        v4: Ipv4Addr::new(203, 0, 113, host),
        v6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, decimal(host)),
    })
}

fn on_underlay(host: u8) -> Pair {
    Pair {
        v4: Ipv4Addr::new(172, 18, 0, host),
        v6: Ipv6Addr::new(0xfd00, 0x18, 0, 0, 0, 0, 0, decimal(host)),
    }
}

fn on_node(node: usize, host: u8) -> Pair {
    let node = octet(node);
    Pair {
        v4: Ipv4Addr::new(10, 10, node, host),
        v6: Ipv6Addr::new(0xfd00, 0x10, decimal(node), 0, 0, 0, 0, decimal(host)),
    }
}

/// The same digits in hexadecimal, so that both families' addresses of one host look alike.
fn decimal(number: u8) -> u16 {
    let number = u16::from(number);
    number / 100 * 0x100 + number / 10 % 10 * 0x10 + number % 10
}

/// `Shape` has checked that the numbers fit.
fn octet(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_of_a_host_look_alike() {
        assert_eq!(pod(12, 199).addresses(true).map_to_text(), ["10.10.12.209", "fd00:10:12::209"]);
        assert_eq!(collector().addresses(true).map_to_text(), ["172.18.0.254", "fd00:18::254"]);
        assert_eq!(node(0).addresses(false).map_to_text(), ["172.18.0.2"]);
        assert_eq!(pod_cidrs(3), ["10.10.3.0/24", "fd00:10:3::/64"]);
    }

    trait Text {
        fn map_to_text(self) -> Vec<String>;
    }

    impl Text for Vec<IpAddr> {
        fn map_to_text(self) -> Vec<String> {
            self.iter().map(ToString::to_string).collect()
        }
    }
}
