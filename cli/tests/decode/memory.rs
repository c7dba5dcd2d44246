//! Memory does not grow with the file, whatever is in it.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Stdio;

use crate::program::{command, decode, recorded};

/// A file of so many octets is fed in all.
const WHOLE: u64 = 280 << 20;
/// After so many all bounds have been reached: of streams, sessions, fragments, and of what waits behind gaps.
const BEGINNING: u64 = 160 << 20;
/// What may come on top afterwards, for the allocator's fragments.
const SLACK_KB: u64 = 16 * 1_024;
/// Nothing may be bigger than this: what waits behind gaps is 32 MB, incomplete packets 16 MB, and some for sessions.
const MOST_KB: u64 = 256 * 1_024;

#[test]
fn a_capture_of_any_size_takes_the_same_memory() {
    let mut process = command()
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    let stdout = process.stdout.take().unwrap();
    // Documents are counted as they come.
    let documents =
        std::thread::spawn(move || std::io::BufRead::lines(std::io::BufReader::new(stdout)).count());
    let mut traffic = Traffic::new();
    let (mut written, mut after_beginning) = (0, 0);
    let mut frames = header();
    while written < WHOLE {
        traffic.next(&mut frames);
        input.write_all(&frames).unwrap();
        written += frames.len() as u64;
        frames.clear();
        if written > BEGINNING && after_beginning == 0 {
            after_beginning = most_kb(process.id());
        }
    }
    let most = most_kb(process.id());
    drop(input);
    let output = process.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let documents = documents.join().unwrap() as u64;
    println!(
        "{written} octets, {documents} documents: {after_beginning} kB in the middle, {most} kB at the end"
    );
    assert_eq!(documents, traffic.flows, "{told}");
    // The fragments and the holes in streams that the traffic has on purpose.
    assert!(told.contains("× fragments"), "{told}");
    assert!(most < MOST_KB && most < after_beginning + SLACK_KB, "{after_beginning} kB, then {most} kB");
}

#[test]
fn collectors_and_exporters_of_one_file_are_bounded_and_what_is_beyond_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (mut traffic, mut frames, mut many) = (Traffic::new(), header(), header());
    // One collector more than are kept apart, then exporters of the first, one more than have a line of their own.
    for port in 0..=256 {
        traffic.datagram(&mut frames, Ipv4Addr::new(11, 0, 0, 1), 10_000 + port);
    }
    for exporter in 0..=10_000 {
        traffic.datagram(&mut many, Ipv4Addr::from(0x0b00_0000 + exporter), 4_739);
    }
    let printed = |octets: &[u8]| {
        let path = folder.path().join("file");
        fs::write(&path, octets).unwrap();
        decode(["--stats", &path.to_string_lossy()])
    };
    let collectors = printed(&frames);
    assert_eq!((collectors.code, collectors.lines().len()), (Some(1), 256));
    let told = "lost: 1 × sockets; the first: more collectors in one file than are kept apart";
    assert!(collectors.err.ends_with(&format!("{told}\n")), "{}", collectors.err);
    let exporters = printed(&many);
    assert_eq!((exporters.code, exporters.lines().len()), (Some(0), 10_001));
    // A head, 10,000 of their own, one for all others, and the sum.
    assert_eq!(exporters.err.lines().count(), 10_003);
    assert!(exporters.err.lines().any(|line| line.starts_with("0.0.0.0 ")));
}

/// A pcap header in big-endian order: raw IP.
fn header() -> Vec<u8> {
    let words = [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 262_144, 101];
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The most memory that a process has held.
fn most_kb(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Packets that leave something behind in a careless reader: in every round a new exporter, new TCP connections with
/// a hole, and a packet of which a fragment is missing.
struct Traffic {
    round: u32,
    flows: u64,
    messages: Vec<Vec<u8>>,
}

impl Traffic {
    fn new() -> Self {
        // One record each: NetFlow v5 says how many there are, and a record has 48 octets.
        let one = |mut message: Vec<u8>| {
            message[3] = 1;
            message.truncate(24 + 48);
            message
        };
        Self { round: 0, flows: 0, messages: recorded("softflowd-v5").into_iter().map(one).collect() }
    }

    fn next(&mut self, frames: &mut Vec<u8>) {
        self.round += 1;
        let peer = Ipv4Addr::from(0x0b00_0000 + self.round);
        self.datagram(frames, peer, 4_739);
        frame(frames, peer, 17, 0x2000, &[0; 1_000]);
        for sequence in [1_u32, 100_000, 200_000] {
            let header = [
                &[0x30, 0x39, 0x12, 0x83][..],
                &sequence.to_be_bytes(),
                &[0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0],
            ];
            frame(frames, peer, 6, 0, &[&header.concat()[..], &[0x55; 2_000]].concat());
        }
    }

    /// A datagram of one flow.
    fn datagram(&mut self, frames: &mut Vec<u8>, from: Ipv4Addr, port: u16) {
        let message = &self.messages[self.round as usize % self.messages.len()];
        let ports = [50_000_u16.to_be_bytes(), port.to_be_bytes()].concat();
        frame(frames, from, 17, 0, &[&ports[..], &octets(8 + message.len()), &[0, 0], message].concat());
        self.flows += 1;
    }
}

/// Appends a frame of raw IPv4.
fn frame(frames: &mut Vec<u8>, from: Ipv4Addr, protocol: u8, fragment: u16, payload: &[u8]) {
    let length = u32::try_from(20 + payload.len()).unwrap();
    for word in [1_763_000_000, 0, length, length] {
        frames.extend_from_slice(&u32::to_be_bytes(word));
    }
    frames.extend_from_slice(&[0x45, 0]);
    frames.extend_from_slice(&octets(20 + payload.len()));
    frames.extend_from_slice(&[0, 7]);
    frames.extend_from_slice(&fragment.to_be_bytes());
    frames.extend_from_slice(&[64, protocol, 0, 0]);
    frames.extend_from_slice(&from.octets());
    frames.extend_from_slice(&[10, 0, 0, 9]);
    frames.extend_from_slice(payload);
}

fn octets(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}
