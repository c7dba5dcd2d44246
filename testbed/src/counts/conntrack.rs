//! Reads a Node's connection tracking table, as the `conntrack` program prints it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};

use super::{Count, Tuple};
use crate::bed::Node;
use crate::tools::{CONNTRACK, run};

/// One tracked connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The direction of its first packet, before any translation.
    pub original: Tuple,
    /// The other direction, likewise.
    pub reply: Tuple,
    /// What was counted in the original direction; zero where the kernel did not count.
    pub original_count: Count,
    /// What was counted in the reply direction; zero where the kernel did not count.
    pub reply_count: Count,
    /// Its conntrack zone.
    pub zone: u16,
    /// The kernel's number for it, which successive connections of one tuple share.
    pub id: u32,
}

/// All entries of `node`'s table.
///
/// # Errors
/// When `conntrack` fails or prints something unknown.
pub fn conntrack(node: &Node) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for family in ["ipv4", "ipv6"] {
        let text = run(&node.space, CONNTRACK, &["-L", "-f", family, "-o", "extended,id"], "")?;
        for line in text.lines() {
            entries.push(parse(line).with_context(|| format!("reading the conntrack entry `{line}`"))?);
        }
    }
    Ok(entries)
}

/// `ipv4 2 tcp 6 117 TIME_WAIT src=… dst=… sport=… dport=… packets=… bytes=… src=… … [ASSURED] mark=0 zone=… use=1 id=…`
fn parse(line: &str) -> Result<Entry> {
    let mut words = line.split_whitespace();
    let protocol = words.nth(3).context("no protocol number")?.parse().context("protocol number")?;
    let pairs: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
    // What is said of each direction stands twice, first for the original one.
    let nth = |name: &str, nth: usize| {
        pairs.iter().filter(|(key, _)| *key == name).nth(nth).map(|(_, value)| *value)
    };
    let number = |name: &str, place: usize| -> Result<u64> {
        nth(name, place).map_or(Ok(0), |text| text.parse().with_context(|| format!("{name}={text}")))
    };
    let end = |ip: &str, port: &str, place: usize| -> Result<SocketAddr> {
        let text = nth(ip, place).with_context(|| format!("no {ip}"))?;
        let address: IpAddr = text.parse().with_context(|| format!("{ip}={text}"))?;
        Ok(SocketAddr::new(address, number(port, place)?.try_into()?))
    };
    let tuple = |place| -> Result<Tuple> {
        Ok(Tuple { protocol, source: end("src", "sport", place)?, destination: end("dst", "dport", place)? })
    };
    let count = |place| -> Result<Count> {
        Ok(Count { packets: number("packets", place)?, octets: number("bytes", place)? })
    };
    // The number at the very end: an ICMP tuple has ids of its own.
    let id = pairs.iter().rev().find(|(key, _)| *key == "id").map(|(_, value)| *value);
    Ok(Entry {
        original: tuple(0)?,
        reply: tuple(1)?,
        original_count: count(0)?,
        reply_count: count(1)?,
        zone: number("zone", 0)?.try_into()?,
        id: id.context("no id")?.parse().context("id")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_as_conntrack_prints_them() {
        let entry = parse(
            "ipv4     2 tcp      6 117 TIME_WAIT src=10.10.0.10 dst=10.96.0.11 sport=40868 dport=80 packets=6 \
             bytes=1320 src=10.10.1.11 dst=10.10.0.10 sport=8080 dport=40868 packets=4 bytes=1216 [ASSURED] mark=0 \
             zone=65520 use=1 id=2361909160",
        )
        .unwrap();
        assert_eq!(entry.original.destination, "10.96.0.11:80".parse().unwrap());
        assert_eq!(entry.reply.source, "10.10.1.11:8080".parse().unwrap());
        assert_eq!(entry.original_count, Count { packets: 6, octets: 1320 });
        assert_eq!(entry.reply_count, Count { packets: 4, octets: 1216 });
        assert_eq!((entry.zone, entry.id, entry.original.protocol), (65_520, 2_361_909_160, 6));
    }

    #[test]
    fn an_entry_without_ports_counters_and_zone() {
        let entry = parse(
            "ipv6     10 icmpv6   58 29 src=fd00:10:0::10 dst=fd00:10:1::10 type=128 code=0 id=7 [UNREPLIED] \
             src=fd00:10:1::10 dst=fd00:10:0::10 type=129 code=0 id=7 mark=0 use=1 id=12",
        )
        .unwrap();
        assert_eq!(entry.original.source, "[fd00:10::10]:0".parse().unwrap());
        assert_eq!((entry.zone, entry.id, entry.original_count), (0, 12, Count::default()));
        assert!(parse("ipv4 2 tcp").is_err());
    }
}
