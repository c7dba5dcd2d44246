//! Files that the other programs read, and running them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A folder that goes with the test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A capture of UDP datagrams from 127.0.0.1:50000 to 127.0.0.1:4739.
pub(crate) fn capture<'m>(folder: &TempDir, datagrams: impl IntoIterator<Item = &'m [u8]>) -> PathBuf {
    let path = folder.path().join("datagrams.pcap");
    let mut file = std::fs::File::create(&path).expect("a file");
    // Raw IP (link type 101), microseconds, in this machine's byte order.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.write_all(&word.to_ne_bytes()).expect("writing the capture");
    }
    for datagram in datagrams {
        let packet = packet(datagram);
        let length = u32::try_from(packet.len()).expect("a packet");
        for word in [1_763_000_000, 0, length, length] {
            file.write_all(&u32::to_ne_bytes(word)).expect("writing the capture");
        }
        file.write_all(&packet).expect("writing the capture");
    }
    path
}

fn packet(datagram: &[u8]) -> Vec<u8> {
    let udp_length = u16::try_from(8 + datagram.len()).expect("a datagram").to_be_bytes();
    let length = u16::try_from(28 + datagram.len()).expect("a datagram").to_be_bytes();
    let mut packet =
        vec![0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
    packet.extend([50_000_u16.to_be_bytes(), 4_739_u16.to_be_bytes(), udp_length, [0, 0]].concat());
    packet.extend_from_slice(datagram);
    packet
}

/// A file of messages (RFC 5655).
pub(crate) fn message_file<'m>(folder: &TempDir, messages: impl IntoIterator<Item = &'m [u8]>) -> PathBuf {
    let path = folder.path().join("messages.ipfix");
    let octets: Vec<&[u8]> = messages.into_iter().collect();
    std::fs::write(&path, octets.concat()).expect("writing the file");
    path
}

/// Messages of a file of `testdata/`, each behind its length.
pub(crate) fn recorded(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    let octets = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rest = &octets[..];
    let mut messages = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (message, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
        messages.push(message.to_vec());
        rest = behind;
    }
    messages
}

/// Runs a program to its end and gives its standard output; its absence fails the test with the package's name.
pub(crate) fn run(command: &mut Command, package: &str) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; install the package {package} (build/deps.sh does)")
    });
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {complaint}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
