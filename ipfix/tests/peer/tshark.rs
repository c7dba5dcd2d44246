//! Wireshark's decoder reads what we export, and what others exported as we do.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use podflow_ipfix::collect::UdpSessions;
use podflow_ipfix::export::ExportSettings;
use podflow_ipfix::registry::Registry;
use podflow_ipfix::value::Value;

use crate::files::{capture, folder, recorded, run};
use crate::ours::{NOW, RECORDS, flow, flows};

/// One flow as tshark shows it: names and values in order.
type Shown = Vec<(String, String)>;

fn decoded(path: &Path) -> Vec<Shown> {
    let decode_as = ["-d", "udp.port==4739,cflow"];
    let complaints = run(
        Command::new("tshark")
            .arg("-r")
            .arg(path)
            .args(decode_as)
            .args(["-Y", "_ws.malformed || _ws.expert"]),
        "tshark",
    );
    assert_eq!(complaints, "", "tshark complains");
    let pdml = run(Command::new("tshark").arg("-r").arg(path).args(decode_as).args(["-T", "pdml"]), "tshark");
    let mut flows: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in pdml.lines() {
        let shown = attribute(line, " show=\"").unwrap_or_default();
        if shown.starts_with("Flow ") {
            flows.push(Vec::new());
            inside = true;
        } else if shown.starts_with("Set ") {
            inside = false;
        } else if let (true, Some(name), Some(flow)) =
            (inside, attribute(line, " name=\"cflow."), flows.last_mut())
        {
            flow.push((name, shown));
        }
    }
    flows
}

fn attribute(line: &str, start: &str) -> Option<String> {
    let (_, value) = line.split_once(start)?;
    value.split_once('"').map(|(value, _)| value.to_owned())
}

fn shown<'f>(flow: &'f Shown, name: &str) -> Vec<&'f str> {
    flow.iter().filter(|(other, _)| other == name).map(|(_, value)| &**value).collect()
}

#[test]
fn tshark_reads_our_export_with_every_value() {
    let folder = folder();
    let messages = flows(ExportSettings::udp(7, 1_400));
    assert!(messages.len() > 5, "several datagrams");
    let shown_flows = decoded(&capture(&folder, messages.iter().map(|message| &message.octets[..])));
    let of_ours: Vec<&Shown> = shown_flows.iter().filter(|flow| !shown(flow, "srcaddr").is_empty()).collect();
    assert_eq!(of_ours.len(), RECORDS as usize);
    for (number, seen) in of_ours.into_iter().enumerate() {
        let ours = flow(u32::try_from(number).unwrap());
        let text = |place: usize| ours[place].to_string();
        for (name, place) in [("srcaddr", 2), ("srcaddrv6", 3), ("srcport", 4), ("protocol", 5)] {
            assert_eq!(shown(seen, name), [text(place)], "{name} of {number}");
        }
        assert_eq!(shown(seen, "octets"), [text(6), text(8)], "forward and reverse");
        for (name, place) in [("packets", 7), ("srcmac", 9), ("absolute_error", 11), ("if_name", 12)] {
            assert_eq!(shown(seen, name), [text(place)], "{name} of {number}");
        }
        let hex = |place: usize| {
            let octets: Vec<String> = text(place).bytes().map(|octet| format!("{octet:02x}")).collect();
            octets.join(":")
        };
        let private: Vec<String> = [13, 14].map(hex).into_iter().filter(|hex| !hex.is_empty()).collect();
        let seen: Vec<&str> =
            shown(seen, "enterprise_private_entry").into_iter().filter(|s| !s.is_empty()).collect();
        assert_eq!(seen, private, "our own elements of {number}");
    }
}

#[test]
fn tshark_and_we_agree_on_what_others_exported() {
    for name in ["softflowd-v5", "softflowd-v9", "softflowd-v10", "pmacctd-v9", "pmacctd-v10"] {
        let messages = recorded(&format!("{name}.bin"));
        let folder = folder();
        let path = capture(&folder, messages.iter().map(Vec::as_slice));
        let decode_as = ["-d", "udp.port==4739,cflow", "-T", "pdml"];
        let pdml_flows = {
            // softflowd's sequence numbers are wrong, which tshark calls an expert note: only values are compared.
            let pdml = run(Command::new("tshark").arg("-r").arg(&path).args(decode_as), "tshark");
            summaries(&pdml)
        };
        let ours = our_summaries(&messages);
        assert_eq!(ours.len(), 60, "{name}");
        assert_eq!(ours, pdml_flows, "{name}");
    }
}

/// What both sides know of a flow: addresses, ports, protocol, octets, packets, flags.
type Summary = [String; 8];

const COMPARED: [(u16, &str); 8] = [
    (8, "srcaddr"),
    (12, "dstaddr"),
    (7, "srcport"),
    (11, "dstport"),
    (4, "protocol"),
    (1, "octets"),
    (2, "packets"),
    (6, "tcpflags"),
];

fn our_summaries(messages: &[Vec<u8>]) -> Vec<Summary> {
    let mut sessions = UdpSessions::new(Arc::default(), Arc::new(Registry::standard()));
    let mut summaries = Vec::new();
    for message in messages {
        let from = "127.0.0.1:50000".parse().expect("an address");
        let received = sessions.receive(NOW, from, message, &mut |record| {
            let value = |id: u16| {
                let found =
                    record.fields().find(|(field, _)| field.key.enterprise == 0 && field.key.id == id);
                found.map_or_else(String::new, |(_, value)| match (id, value) {
                    (6, Value::Unsigned(flags)) => format!("0x{flags:02x}"),
                    (_, value) => value.to_string(),
                })
            };
            if !record.is_options() {
                summaries.push(COMPARED.map(|(id, _)| value(id)));
            }
        });
        assert!(received.is_ok(), "{received:?}");
    }
    summaries
}

fn summaries(pdml: &str) -> Vec<Summary> {
    let mut flows: Vec<Shown> = Vec::new();
    for line in pdml.lines() {
        let value = attribute(line, " show=\"").unwrap_or_default();
        // NetFlow v5 calls its records pdus.
        if value.starts_with("Flow ") || value.starts_with("pdu ") {
            flows.push(Vec::new());
        } else if let (Some(name), Some(flow)) = (attribute(line, " name=\"cflow."), flows.last_mut()) {
            flow.push((name, value));
        }
    }
    let flows = flows.iter().filter(|flow| !shown(flow, "srcaddr").is_empty());
    flows
        .map(|flow| {
            COMPARED.map(|(_, name)| {
                shown(flow, name).first().map_or_else(String::new, |text| (*text).to_owned())
            })
        })
        .collect()
}
