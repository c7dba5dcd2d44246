//! Flow records as tshark shows them: names and values in order.

use anyhow::Result;

use crate::programs;

/// One record of a NetFlow or IPFIX message: names without `cflow.` and what tshark shows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Shown(Vec<(String, String)>);

impl Shown {
    /// The first value of one of these names; empty where there is none.
    #[must_use]
    pub fn first(&self, names: &[&str]) -> &str {
        let found = self.0.iter().find(|(name, _)| names.contains(&&**name));
        found.map_or("", |(_, value)| value)
    }
}

/// The records of a capture file, those of options templates left out, with the protocol on `port`.
///
/// # Errors
/// When tshark is missing or fails.
pub fn flows(capture: &[u8], port: u16) -> Result<Vec<Shown>> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), capture)?;
    let (name, decode_as) = (file.path().to_string_lossy(), format!("udp.port=={port},cflow"));
    let pdml = programs::output("tshark", &["-r", &name, "-d", &decode_as, "-T", "pdml"])?;
    let mut flows: Vec<Shown> = Vec::new();
    for line in pdml.lines() {
        let value = attribute(line, " show=\"").unwrap_or_default();
        // NetFlow v5 calls its records pdus.
        if value.starts_with("Flow ") || value.starts_with("pdu ") {
            flows.push(Shown::default());
        } else if let (Some(name), Some(flow)) = (attribute(line, " name=\"cflow."), flows.last_mut()) {
            flow.0.push((name, value));
        }
    }
    flows.retain(|flow| !flow.first(&["srcaddr", "srcaddrv6"]).is_empty());
    Ok(flows)
}

fn attribute(line: &str, start: &str) -> Option<String> {
    let (_, value) = line.split_once(start)?;
    value.split_once('"').map(|(value, _)| value.to_owned())
}
