//! The file formats, as other programs write them.

use std::path::{Path, PathBuf};
use std::process::Command;

use podflow_capture::{CaptureFile, LinkType, Losses};

use crate::files::{MESSAGES, Seen, all, read, read_file, run, scapy};

/// When the first datagram was sent, and each further one a second later.
const TIME_NS: u64 = 1_763_000_000_123_456_000;

fn assert_datagrams(seen: &Seen, what: &str) {
    assert_eq!(seen.messages(), all(), "{what}");
    for (datagram, second) in seen.datagrams.iter().zip(0..) {
        // scapy counts time in floating point, which is 128 nanoseconds off today.
        let late = datagram.time_ns.abs_diff(TIME_NS + second * 1_000_000_000);
        assert!(late <= 1_000, "{what}: {} of the {second}th", datagram.time_ns);
    }
}

#[test]
fn pcap_of_both_byte_orders_with_microseconds_and_nanoseconds() {
    for name in ["big-endian", "little-endian", "big-endian-ns", "little-endian-ns"] {
        assert_datagrams(&read(name), name);
    }
}

#[test]
fn pcapng_of_scapy() {
    assert_datagrams(&read_file(&scapy("scapy.pcapng")), "scapy.pcapng");
}

#[test]
fn every_format_that_wireshark_writes_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["pcap", "nsecpcap", "modpcap", "pcapng"] {
        let path = folder.path().join(format);
        run(
            Command::new("editcap").args(["-F", format]).arg(scapy("little-endian-ns.pcap")).arg(&path),
            "wireshark-common",
        );
        let first = std::fs::read(&path).unwrap();
        let written: [u8; 4] = match format {
            "pcap" => [0xd4, 0xc3, 0xb2, 0xa1],
            "nsecpcap" => [0x4d, 0x3c, 0xb2, 0xa1],
            "modpcap" => [0x34, 0xcd, 0xb2, 0xa1],
            _ => [0x0a, 0x0d, 0x0d, 0x0a],
        };
        assert_eq!(first.first_chunk(), Some(&written), "{format} is what we meant to read");
        assert_datagrams(&read_file(&path), format);
    }
}

#[test]
fn pcapng_with_comments_options_several_interfaces_and_sections() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    // Three interfaces of different links and units of time.
    let merged = file("merged.pcapng");
    merge(&merged, &["cooked.pcap", "little-endian-ns.pcap", "raw-ipv6.pcap"]);
    let seen = read_file(&merged);
    let links: Vec<LinkType> = frames(&merged).iter().map(|(link, _)| *link).collect();
    for link in [LinkType::LinuxCooked, LinkType::Ethernet, LinkType::RawIp] {
        // They are put together by time: a frame of each in every second.
        assert!(links.chunks(3).all(|second| second.contains(&link)), "{links:?}");
    }
    assert_eq!(seen.datagrams.len(), 3 * MESSAGES.len());
    let mut messages = seen.messages();
    messages.sort_unstable();
    assert_eq!(messages, all().into_iter().flat_map(|message| [message; 3]).collect::<Vec<_>>());
    // Comments on the file and on a packet.
    let commented = file("commented.pcapng");
    let comments = ["-F", "pcapng", "-a", "2:a comment", "--capture-comment", "of the whole"];
    run(
        Command::new("editcap").args(comments).arg(scapy("ethernet.pcap")).arg(&commented),
        "wireshark-common",
    );
    assert_datagrams(&read_file(&commented), "commented");
    // Sections one after the other, of which each has its own interfaces.
    let sections = file("sections.pcapng");
    std::fs::write(&sections, [&merged, &commented].map(|path| std::fs::read(path).unwrap()).concat())
        .unwrap();
    assert_eq!(read_file(&sections).datagrams.len(), 4 * MESSAGES.len());
}

#[test]
fn pcapng_with_every_kind_of_block_and_option_in_both_byte_orders() {
    for name in ["odd-little.pcapng", "odd-big.pcapng"] {
        let path = scapy(name);
        let seen = read_file(&path);
        assert_eq!((seen.messages(), seen.losses), (all(), Losses::default()), "{name}");
        let times: Vec<u64> = seen.datagrams.iter().map(|datagram| datagram.time_ns).collect();
        // The last kind of block has no time.
        assert_eq!(times, [TIME_NS, 1_763_000_001_500_000_000, 0], "{name}");
        let theirs = run(
            Command::new("tshark").arg("-r").arg(&path).args(["-T", "fields", "-e", "frame.time_epoch"]),
            "tshark",
        );
        // It shows the unknown block too, without a time.
        let theirs: Vec<&str> = theirs.lines().filter(|time| !time.is_empty()).collect();
        assert_eq!(theirs, ["1763000000.123456000", "1763000001.500000000"]);
    }
}

#[test]
fn what_text2pcap_and_tcpdump_write() {
    let folder = tempfile::tempdir().unwrap();
    // Text of one datagram, for which text2pcap makes the headers.
    let text = folder.path().join("text");
    let hex: Vec<String> = MESSAGES[0].iter().map(|octet| format!("{octet:02x}")).collect();
    std::fs::write(&text, format!("0000 {}\n", hex.join(" "))).unwrap();
    for format in ["pcap", "pcapng"] {
        let path = folder.path().join(format);
        let headers = ["-q", "-F", format, "-4", "10.1.0.1,10.1.0.9", "-u", "50000,4739"];
        run(Command::new("text2pcap").args(headers).args([&text, &path]), "wireshark-common");
        assert_eq!(read_file(&path).messages(), [Some(0)], "{format}");
    }
    // tcpdump copies what passes its filter.
    let path = folder.path().join("copied");
    let copy =
        ["-r", &scapy("qinq.pcap").to_string_lossy(), "-w", &path.to_string_lossy()].map(str::to_owned);
    run(Command::new("tcpdump").args(copy), "tcpdump");
    assert_datagrams(&read_file(&path), "tcpdump");
}

/// Puts captures together, each with its interface.
fn merge(into: &Path, names: &[&str]) {
    let files: Vec<PathBuf> = names.iter().map(|name| scapy(name)).collect();
    run(
        Command::new("mergecap").args(["-F", "pcapng", "-I", "none", "-w"]).arg(into).args(files),
        "wireshark-common",
    );
}

/// The links and octets of a file's frames.
pub(crate) fn frames(path: &Path) -> Vec<(LinkType, Vec<u8>)> {
    let octets = std::fs::read(path).expect("a file");
    let mut file =
        CaptureFile::open(*octets.first_chunk().expect("four octets"), &octets[..]).expect("a capture");
    std::iter::from_fn(|| file.next_frame())
        .map(|frame| frame.expect("a whole file"))
        .map(|frame| (frame.link, frame.octets))
        .collect()
}
