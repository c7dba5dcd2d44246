//! tshark and we decode the same files to the same values.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{captures, decode, run};

/// What is compared of a flow: the name of the element, and tshark's.
const COMPARED: [(&str, &str); 11] = [
    ("sourceIPv4Address", "srcaddr"),
    ("destinationIPv4Address", "dstaddr"),
    ("sourceTransportPort", "srcport"),
    ("destinationTransportPort", "dstport"),
    ("protocolIdentifier", "protocol"),
    ("octetDeltaCount", "octets"),
    ("packetDeltaCount", "packets"),
    ("tcpControlBits", "tcpflags"),
    ("ipClassOfService", "tos"),
    ("ingressInterface", "inputint"),
    ("egressInterface", "outputint"),
];

#[test]
fn tshark_and_we_read_the_same_of_datagrams_in_every_frame() {
    let folder = captures("softflowd-v10");
    for kind in ["ethernet", "qinq", "cooked", "cooked2-vlan", "raw-ipv6", "fragments-reversed", "fragments6"]
    {
        agree(&folder.path().join(format!("{kind}.pcap")), kind, 60);
    }
    agree(&folder.path().join("scapy.pcapng"), "pcapng", 60);
}

#[test]
fn tshark_and_we_read_the_same_of_every_protocol() {
    for recording in ["softflowd-v5", "softflowd-v9", "pmacctd-v9", "pmacctd-v10"] {
        let folder = captures(recording);
        agree(&folder.path().join("vlan.pcap"), recording, 60);
        agree(&folder.path().join("fragments.pcap"), recording, 60);
    }
}

#[test]
fn tshark_and_we_read_the_same_of_tcp_streams() {
    let folder = captures("pmacctd-v10");
    for kind in
        ["tcp", "tcp-wrap", "tcp-repeated", "tcp-mixed", "tcp-overlapping", "tcp-vlan", "tcp-fragments"]
    {
        agree(&folder.path().join(format!("{kind}.pcap")), kind, 60);
    }
}

fn agree(path: &Path, what: &str, flows: usize) {
    let ours: Vec<Vec<String>> = decode([Path::new("-o"), Path::new("raw"), path])
        .documents()
        .iter()
        .filter(|record| record["options"] == false)
        .map(|record| COMPARED.map(|(name, _)| text(&record["fields"][name])).to_vec())
        .collect();
    assert_eq!(ours.len(), flows, "{what}");
    let theirs = tshark(path);
    for (place, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "{what}, flow {place}");
    }
    assert_eq!(ours.len(), theirs.len(), "{what}");
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

/// The flows of a file as tshark shows them.
fn tshark(path: &Path) -> Vec<Vec<String>> {
    let decode_as = ["-d", "udp.port==4739,cflow", "-d", "tcp.port==4739,cflow"];
    let order = ["-o", "tcp.reassemble_out_of_order:TRUE", "-T", "pdml"];
    let pdml = run(Command::new("tshark").arg("-r").arg(path).args(decode_as).args(order), "tshark");
    let mut flows: Vec<Vec<(String, String)>> = Vec::new();
    for line in pdml.lines() {
        let value = attribute(line, " show=\"").unwrap_or_default();
        // NetFlow v5 calls its records pdus.
        if value.starts_with("Flow ") || value.starts_with("pdu ") {
            flows.push(Vec::new());
        } else if let (Some(name), Some(flow)) = (attribute(line, " name=\"cflow."), flows.last_mut()) {
            flow.push((name, value));
        }
    }
    let shown = |flow: &[(String, String)], name: &str| {
        let found = flow.iter().find(|(other, _)| other == name).map(|(_, value)| &**value);
        let number = found.and_then(|value| value.strip_prefix("0x"));
        let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.map_or_else(|| found.unwrap_or_default().to_owned(), |number| number.to_string())
    };
    let flows = flows.iter().filter(|flow| !shown(flow, "srcaddr").is_empty());
    flows.map(|flow| COMPARED.map(|(_, name)| shown(flow, name)).to_vec()).collect()
}

fn attribute(line: &str, start: &str) -> Option<String> {
    let (_, value) = line.split_once(start)?;
    value.split_once('"').map(|(value, _)| value.to_owned())
}
