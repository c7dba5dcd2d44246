//! Counters of nftables that are there before the traffic: totals between a client and a server's port.
//!
//! A set that learns tuples from packets must find memory for each new counter while it handles the packet, and now and
//! then there is none: that packet is not counted. These counters are made beforehand, so they miss nothing.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Count;
use crate::bed::Node;
use crate::tools::{NFT, run};

/// Counts TCP packets of a Node between pairs of a client's address and a server.
#[derive(Clone, Debug)]
pub struct Watch {
    node: Node,
}

/// Both directions between a client and a server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Both {
    /// From the client.
    pub forward: Count,
    /// To the client.
    pub reverse: Count,
}

impl Watch {
    /// Begins to count on `node`, from zero, where its packets arrive and before any translation. IPv4 only.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn start(node: &Node, pairs: &[(IpAddr, SocketAddr)]) -> Result<Self> {
        let elements = |order: fn(&IpAddr, &SocketAddr) -> String| {
            pairs.iter().map(|(client, server)| order(client, server)).collect::<Vec<_>>().join(", ")
        };
        let forward = elements(|client, server| format!("{client} . {} . {}", server.ip(), server.port()));
        let reverse = elements(|client, server| format!("{} . {client} . {}", server.ip(), server.port()));
        let set = |name: &str, elements: &str| {
            format!(
                "set {name} {{ type ipv4_addr . ipv4_addr . inet_service; counter; elements = {{ {elements} }}; }}\n"
            )
        };
        let rules = format!(
            "table ip {TABLE} {{\n{}{}chain arriving {{ type filter hook prerouting priority raw;\n\
             ip saddr . ip daddr . tcp dport @forward\nip saddr . ip daddr . tcp sport @reverse\n}}\n}}\n",
            set("forward", &forward),
            set("reverse", &reverse),
        );
        run(&node.space, NFT, &["-f", "-"], &rules)?;
        Ok(Self { node: node.clone() })
    }

    /// What was counted so far, by client and server.
    ///
    /// # Errors
    /// When `nft` fails or prints something unknown.
    pub fn read(&self) -> Result<HashMap<(IpAddr, SocketAddr), Both>> {
        let mut all: HashMap<_, Both> = HashMap::new();
        for name in ["forward", "reverse"] {
            let text = run(&self.node.space, NFT, &["-j", "list", "set", "ip", TABLE, name], "")?;
            for (from, to, port, count) in parse(&text).with_context(|| format!("reading the set {name}"))? {
                if name == "forward" {
                    all.entry((from, SocketAddr::new(to, port))).or_default().forward = count;
                } else {
                    all.entry((to, SocketAddr::new(from, port))).or_default().reverse = count;
                }
            }
        }
        Ok(all)
    }
}

fn parse(text: &str) -> Result<Vec<(IpAddr, IpAddr, u16, Count)>> {
    let whole: Value = serde_json::from_str(text)?;
    let objects = whole["nftables"].as_array().context("no list of objects")?;
    let set = objects.iter().find_map(|object| object.get("set")).context("no set")?;
    let elements = set["elem"].as_array().into_iter().flatten();
    elements
        .map(|element| {
            let (key, counter) = (&element["elem"]["val"]["concat"], &element["elem"]["counter"]);
            let address =
                |place: usize| -> Result<IpAddr> { Ok(key[place].as_str().context("no address")?.parse()?) };
            let number =
                |name: &str| counter[name].as_u64().with_context(|| format!("no {name} in {element}"));
            let port = key[2].as_u64().context("no port")?.try_into()?;
            let count = Count { packets: number("packets")?, octets: number("bytes")? };
            Ok((address(0)?, address(1)?, port, count))
        })
        .collect()
}

const TABLE: &str = "podflow_watch";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_as_nft_prints_them() {
        let text = r#"{"nftables": [{"metainfo": {}}, {"set": {"name": "forward", "elem": [
            {"elem": {"val": {"concat": ["10.10.0.10", "10.10.1.10", 8080]}, "counter": {"packets": 7, "bytes": 1300}}}]}}]}"#;
        let expected = ("10.10.0.10".parse().unwrap(), "10.10.1.10".parse().unwrap(), 8080);
        let count = Count { packets: 7, octets: 1300 };
        assert_eq!(parse(text).unwrap(), [(expected.0, expected.1, expected.2, count)]);
        assert!(parse(&text.replace("packets", "pakets")).is_err());
    }
}
