//! Files that are cut, damaged, or hold what is not read: what was good before is there, and the rest is told.

use std::process::Command;

use podflow_capture::CaptureError;

use crate::files::{MESSAGES, all, read_file, read_octets, run, scapy};

/// The same capture in both formats.
fn both() -> [(&'static str, Vec<u8>); 2] {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pcapng = folder.path().join("pcapng");
    run(
        Command::new("editcap").args(["-F", "pcapng"]).arg(scapy("ethernet.pcap")).arg(&pcapng),
        "wireshark-common",
    );
    [("pcap", scapy("ethernet.pcap")), ("pcapng", pcapng)]
        .map(|(name, path)| (name, std::fs::read(path).expect("a file")))
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_packets_and_says_where_it_ends() {
    for (format, octets) in both() {
        let mut whole = 0;
        for length in 4..octets.len() {
            let seen = read_octets(&octets[..length]);
            let messages = seen.messages();
            assert_eq!(messages, all()[..messages.len()], "{format} {length}");
            assert!(messages.len() >= whole, "{format}: more octets, fewer packets at {length}");
            whole = messages.len();
            match seen.error {
                None => {}
                Some(CaptureError::Cut { offset, .. }) => assert_eq!(offset, length as u64, "{format}"),
                Some(other) => panic!("{format} {length}: {other}"),
            }
        }
        assert_eq!(whole, MESSAGES.len() - 1, "{format}: the last lacks an octet");
    }
}

#[test]
fn the_sentence_names_the_place_and_what_is_there() {
    let [(_, pcap), (_, pcapng)] = both();
    let said = |octets: &[u8]| read_octets(octets).error.expect("a fault").to_string();
    assert_eq!(said(&pcap[..20]), "the capture file ends at octet 20, within its header");
    assert_eq!(said(&pcap[..30]), "the capture file ends at octet 30, within a packet's header");
    assert_eq!(said(&pcap[..100]), "the capture file ends at octet 100, within a packet");
    let mut damaged = pcap;
    damaged[32..36].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    assert_eq!(said(&damaged), "the capture file is damaged at octet 24: a packet of 2147483647 octets");
    let mut damaged = pcapng.clone();
    damaged[8..12].copy_from_slice(b"????");
    assert_eq!(
        said(&damaged),
        "the capture file is damaged at octet 0: a section of the unknown byte order [3f, 3f, 3f, 3f]"
    );
    let mut damaged = pcapng;
    let end = damaged.len() - 4;
    damaged[end..].copy_from_slice(&28_u32.to_le_bytes());
    let error = said(&damaged);
    assert!(error.contains("that ends as one of 28"), "{error}");
}

#[test]
fn packets_that_were_cut_by_the_capture_are_told_from_whole_ones() {
    let folder = tempfile::tempdir().unwrap();
    let cut = |octets: &str, name: &str| {
        let path = folder.path().join(name);
        let arguments = ["-F", "pcap", "-s", octets];
        run(
            Command::new("editcap").args(arguments).arg(scapy(&format!("{name}.pcap"))).arg(&path),
            "wireshark-common",
        );
        read_file(&path)
    };
    // Enough for the shortest of the messages only.
    let seen = cut("300", "ethernet");
    let told: Vec<bool> = seen.datagrams.iter().map(|datagram| datagram.cut).collect();
    assert_eq!(told, [true, true, false]);
    // Not enough for the headers.
    let seen = cut("36", "ethernet");
    assert_eq!((seen.datagrams.len(), seen.losses.cut), (0, MESSAGES.len() as u64));
    // A fragment that is not whole loses its packet.
    let seen = cut("200", "fragments");
    assert_eq!(seen.losses.fragments + seen.datagrams.len() as u64, MESSAGES.len() as u64);
    assert!(seen.losses.fragments >= 2);
}

#[test]
fn links_and_interfaces_that_are_not_known_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wireless");
    run(
        Command::new("editcap")
            .args(["-F", "pcap", "-T", "ieee-802-11"])
            .arg(scapy("ethernet.pcap"))
            .arg(&path),
        "wireshark-common",
    );
    let seen = read_file(&path);
    assert_eq!((seen.datagrams.len(), seen.losses.link_type), (0, MESSAGES.len() as u64));
    // The interface's description becomes a block of an unknown kind.
    let [_, (_, mut pcapng)] = both();
    let section = u32::from_le_bytes(*pcapng[4..].first_chunk().unwrap()) as usize;
    assert_eq!(pcapng[section], 1, "the description");
    pcapng[section] = 99;
    let seen = read_octets(&pcapng);
    assert!(seen.error.is_none(), "{:?}", seen.error);
    assert_eq!((seen.datagrams.len(), seen.losses.link_type), (0, MESSAGES.len() as u64));
}
