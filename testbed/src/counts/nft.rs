//! Reads the counting sets of a Node's ruleset, as `nft` prints them in JSON.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Count, Tuple};
use crate::bed::Node;
use crate::tools::{NFT, run};
use crate::tracking::{COUNTED, TABLE};

/// All TCP and UDP packets that reached `node` or left it, by tuple before any translation.
///
/// # Errors
/// When `nft` fails or prints something unknown.
pub fn nft(node: &Node) -> Result<HashMap<Tuple, Count>> {
    let mut all = HashMap::new();
    for set in COUNTED {
        let text = run(&node.space, NFT, &["-j", "list", "set", "inet", TABLE, set], "")?;
        parse(&text, &mut all).with_context(|| format!("reading the counters {set} of {}", node.name))?;
    }
    Ok(all)
}

fn parse(text: &str, all: &mut HashMap<Tuple, Count>) -> Result<()> {
    let whole: Value = serde_json::from_str(text)?;
    let objects = whole["nftables"].as_array().context("no list of objects")?;
    let set = objects.iter().find_map(|object| object.get("set")).context("no set")?;
    for element in set["elem"].as_array().into_iter().flatten() {
        let (tuple, count) = parse_element(element).with_context(|| format!("in {element}"))?;
        all.insert(tuple, count);
    }
    Ok(())
}

fn parse_element(element: &Value) -> Result<(Tuple, Count)> {
    let (key, counter) = (&element["elem"]["val"]["concat"], &element["elem"]["counter"]);
    let address = |ip: usize, port: usize| -> Result<SocketAddr> {
        let ip = key[ip].as_str().context("no address")?.parse()?;
        Ok(SocketAddr::new(ip, key[port].as_u64().context("no port")?.try_into()?))
    };
    let protocol = match key[2].as_str() {
        Some("tcp") => 6,
        Some("udp") => 17,
        _ => bail!("no known protocol"),
    };
    let number = |name: &str| counter[name].as_u64().with_context(|| format!("no {name}"));
    let tuple = Tuple { protocol, source: address(0, 3)?, destination: address(1, 4)? };
    Ok((tuple, Count { packets: number("packets")?, octets: number("bytes")? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_as_nft_prints_it() {
        let text = r#"{"nftables": [{"metainfo": {"json_schema_version": 1}}, {"set": {"name": "counted4", "elem": [
            {"elem": {"val": {"concat": ["10.10.0.10", "10.96.0.11", "tcp", 40868, 80]},
             "counter": {"packets": 7, "bytes": 1300}}}]}}]}"#;
        let mut all = HashMap::new();
        parse(text, &mut all).unwrap();
        let tuple = Tuple {
            protocol: 6,
            source: "10.10.0.10:40868".parse().unwrap(),
            destination: "10.96.0.11:80".parse().unwrap(),
        };
        assert_eq!(all, HashMap::from([(tuple, Count { packets: 7, octets: 1300 })]));
        assert!(parse(&text.replace("tcp", "dccp"), &mut all).is_err());
    }
}
