//! Each option does what its help says.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{captures, decode, recorded};

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_string_lossy().into_owned()
}

#[test]
fn port_narrows_to_what_was_sent_there() {
    let folder = captures("softflowd-v10");
    let [udp, tcp] = ["ethernet.pcap", "tcp.pcap"].map(|name| path(&folder, name));
    assert_eq!(decode(["--port", "4739", &udp, &tcp]).documents().len(), 120);
    assert_eq!(decode(["--port", "9995", &udp, &tcp]).documents().len(), 0);
    assert_eq!(decode(["--port", "9995", "--port", "4739", &udp]).documents().len(), 60);
}

#[test]
fn without_a_port_whatever_looks_like_it_is_decoded() {
    for recording in ["softflowd-v5", "softflowd-v9", "softflowd-v10"] {
        let folder = captures(recording);
        let kinds: &[&str] =
            if recording == "softflowd-v10" { &["ethernet.pcap", "tcp.pcap"] } else { &["ethernet.pcap"] };
        for kind in kinds {
            // The destination's port, 4739, becomes 2055 in every frame.
            let mut octets = fs::read(folder.path().join(kind)).unwrap();
            for place in 0..octets.len() - 4 {
                if octets[place..].starts_with(&[0xc3, 0x50, 0x12, 0x83]) {
                    octets[place + 2..place + 4].copy_from_slice(&2_055_u16.to_be_bytes());
                }
            }
            let other_port = path(&folder, "other-port");
            fs::write(&other_port, octets).unwrap();
            assert_eq!(decode([&other_port]).documents().len(), 60, "{recording} {kind}");
            assert_eq!(decode(["--port", "4739", &other_port]).documents().len(), 0, "{recording} {kind}");
        }
    }
}

#[test]
fn the_three_outputs_show_the_same_records() {
    let folder = captures("softflowd-v10");
    let file = path(&folder, "ethernet.pcap");
    let documents = decode([&file]).documents();
    assert_eq!(decode(["-o", "ndjson", &file]).documents(), documents, "it is the default");
    let raw = decode(["-o", "raw", &file]).documents();
    let options = |record: &&Value| record["options"] == true;
    assert_eq!(raw.iter().filter(options).count(), 1, "options records are raw's alone");
    let raw: Vec<&Value> = raw.iter().filter(|record| !options(record)).collect();
    let table = decode(["-o", "table", &file]);
    assert_eq!((table.code, &*table.err), (Some(0), ""));
    let rows: Vec<Vec<&str>> = table.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..3], ["time", "sourceName", "sourceTransportPort"]);
    assert_eq!((documents.len(), raw.len(), rows.len()), (60, 60, 61));
    for ((document, raw), row) in documents.iter().zip(raw).zip(&rows[1..]) {
        let (flow, fields) = (&document["ipfix"], &raw["fields"]);
        assert_eq!((&document["host"], &raw["exporter"]), (&"10.1.0.1".into(), &"10.1.0.1".into()));
        assert_eq!(document["@timestamp"], row[0]);
        for name in ["sourceIPv4Address", "sourceTransportPort", "octetDeltaCount", "packetDeltaCount"] {
            assert_eq!(flow[name], fields[name], "{name}");
        }
        let shown = ["sourceName", "sourceTransportPort", "destinationName", "destinationTransportPort"];
        let shown = shown.map(|name| flow[name].to_string().trim_matches('"').to_owned());
        assert_eq!(row[1..5], shown);
        assert_eq!(row[6..8], ["octetDeltaCount", "packetDeltaCount"].map(|name| flow[name].to_string()));
    }
}

#[test]
fn definitions_name_elements_and_their_faults_stop_before_anything_is_read() {
    let folder = captures("softflowd-v10");
    let file = path(&folder, "ethernet.pcap");
    let definitions = path(&folder, "definitions.yml");
    fs::write(&definitions, "0:\n  61: [:uint8, :which_way]\n").unwrap();
    let with = decode(["--definitions", &definitions, &file]).documents();
    assert!(with.iter().all(|document| document["ipfix"]["which_way"].is_u64()), "{}", with[0]);
    fs::write(&definitions, "0:\n  61: [:uint9, :which_way]\n").unwrap();
    let refused = decode(["--definitions", &definitions, &file]);
    assert_eq!((refused.code, &*refused.out), (Some(1), ""));
    assert!(refused.err.contains("definitions.yml:2: 0/61: type :uint9 is not known"), "{}", refused.err);
}

#[test]
fn an_inventory_names_both_ends() {
    let folder = captures("softflowd-v10");
    let file = path(&folder, "ethernet.pcap");
    let inventory = path(&folder, "inventory.yml");
    let pods = "- {namespace: shop, name: cart, node: n1, ips: [10.1.0.1]}\n- {namespace: shop, name: web, node: n1, \
                ips: [10.2.0.9]}\n";
    let nodes = "- {name: n1, addresses: [10.0.0.1]}\n";
    fs::write(&inventory, format!("nodes:\n{nodes}pods:\n{pods}")).unwrap();
    let named = decode(["--inventory", &inventory, &file]).documents();
    let flow = |source: &str, destination: &str| {
        let both = |document: &&Value| {
            document["ipfix"]["sourceIPv4Address"] == source
                && document["ipfix"]["destinationIPv4Address"] == destination
        };
        named.iter().find(both).unwrap()
    };
    let known = flow("10.1.0.1", "10.2.0.9");
    assert_eq!(known["ipfix"]["sourceName"], "shop/cart", "{known}");
    assert_eq!(known["ipfix"]["destinationName"], "shop/web", "{known}");
    assert_eq!(flow("10.1.0.2", "10.2.0.9")["ipfix"]["sourceName"], "10.1.0.2");
    let unnamed = decode([&file]).documents();
    assert!(unnamed.iter().all(|document| document["ipfix"]["sourceName"] != "shop/cart"));
    fs::write(&inventory, "pods: 5\n").unwrap();
    let refused = decode(["--inventory", &inventory, &file]);
    assert_eq!((refused.code, &*refused.out), (Some(1), ""));
    assert!(refused.err.contains("inventory.yml"), "{}", refused.err);
}

#[test]
fn stats_tell_what_each_exporter_sent() {
    let folder = captures("softflowd-v10");
    let (v4, v6) = (path(&folder, "ethernet.pcap"), path(&folder, "ethernet-ipv6.pcap"));
    let told = decode(["--stats", &v4, &v6]);
    assert_eq!(told.code, Some(0));
    let rows: Vec<Vec<&str>> = told.err.lines().map(|line| line.split_whitespace().collect()).collect();
    let heads = [
        "exporter",
        "messages",
        "octets",
        "records",
        "options",
        "templates",
        "missing",
        "repeated",
        "malformed",
    ];
    assert_eq!(rows[0], heads);
    let octets = recorded("softflowd-v10").concat().len().to_string();
    for (row, exporter) in rows[1..3].iter().zip(["10.1.0.1", "fd00::1"]) {
        assert_eq!(row[..6], [exporter, "3", &octets, "60", "1", "5"]);
        assert_eq!(row[7..], ["0", "0"], "none repeated, none malformed");
    }
    assert_eq!(rows[3], ["120", "written"]);
    // Without it only losses are told.
    assert_eq!(decode([&v4]).err, "");
}

#[test]
fn files_of_messages_have_the_exporter_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "messages.ipfix");
    fs::write(&file, recorded("softflowd-v10").concat()).unwrap();
    let documents = decode(["--exporter", "192.0.2.7", &file]).documents();
    assert_eq!(documents.len(), 60);
    assert!(documents.iter().all(|document| document["host"] == "192.0.2.7"));
    // The time is that of the export, as there is no other.
    assert!(documents.iter().all(|document| document["@timestamp"] == documents[0]["@timestamp"]));
    // Standard input is a file too.
    let piped = crate::program::command().arg("-").stdin(fs::File::open(&file).unwrap()).output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap().lines().count(), 60);
}

#[test]
fn what_comes_through_a_pipe_is_printed_before_the_pipe_ends() {
    let folder = captures("softflowd-v10");
    let mut process =
        crate::program::command().arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(&fs::read(folder.path().join("ethernet.pcap")).unwrap()).unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert_eq!(lines.take(60).map(Result::unwrap).filter(|line| line.starts_with('{')).count(), 60);
    drop(input);
    assert!(process.wait().unwrap().success());
}

#[test]
fn the_help_names_every_option_with_a_sentence() {
    let help = decode(["--help"]);
    assert_eq!(help.code, Some(0));
    for option in
        ["--output", "--port", "--definitions", "--inventory", "--cluster-name", "--exporter", "--stats"]
    {
        let line = help.out.lines().position(|line| line.contains(option)).expect(option);
        let told: String = help.out.lines().skip(line).take(2).collect();
        let told = told.split_once(option).unwrap().1;
        assert!(told.split_whitespace().count() > 5, "{option}: {told}");
    }
    assert!(help.out.contains("pcapng"), "{}", help.out);
}
