//! The captures, made once for all tests, and what is read of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use podflow_capture::{CaptureError, CaptureFile, Event, Losses, Reassembly};
use tempfile::TempDir;

/// What came out of a capture.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) datagrams: Vec<Datagram>,
    /// What TCP streams did: the first of a stream is number 1.
    pub(crate) streams: Vec<(u64, Happened)>,
    pub(crate) losses: Losses,
    pub(crate) error: Option<CaptureError>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Datagram {
    pub(crate) time_ns: u64,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) octets: Vec<u8>,
    pub(crate) cut: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Happened {
    Octets(Vec<u8>),
    Gap,
    End,
}

/// The messages that are in the captures: what softflowd exported.
pub(crate) static MESSAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let octets = std::fs::read(messages_path()).expect("the recorded messages");
    let mut rest = &octets[..];
    let mut messages = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (message, behind) = behind.split_at(u16::from_be_bytes(*length).into());
        messages.push(message.to_vec());
        rest = behind;
    }
    messages
});

/// The folder with what scapy made of the messages.
static SCAPY: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frames/frames.py");
    // The system's Python, for which Debian packages scapy.
    run(
        Command::new("/usr/bin/python3").args([&script, &messages_path()]).arg(folder.path()),
        "python3-scapy",
    );
    folder
});

fn messages_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ipfix/testdata/softflowd-v10.bin")
}

/// A capture that scapy made.
pub(crate) fn scapy(name: &str) -> PathBuf {
    SCAPY.path().join(name)
}

/// Everything that a capture of scapy's holds, which must be readable to its end.
pub(crate) fn read(name: &str) -> Seen {
    read_file(&scapy(&format!("{name}.pcap")))
}

/// Everything that a capture holds, which must be readable to its end.
pub(crate) fn read_file(path: &Path) -> Seen {
    let octets = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let seen = read_octets(&octets);
    assert!(seen.error.is_none(), "{}: {:?}", path.display(), seen.error);
    seen
}

/// Everything up to the first fault.
pub(crate) fn read_octets(octets: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let magic = *octets.first_chunk().expect("four octets");
    assert!(CaptureFile::<&[u8]>::is_capture(magic));
    let mut file = match CaptureFile::open(magic, octets) {
        Ok(file) => file,
        Err(error) => return Seen { error: Some(error), ..seen },
    };
    let mut reassembly = Reassembly::new();
    while let Some(frame) = file.next_frame() {
        match frame {
            Ok(frame) => reassembly.take(&frame, &mut |event| seen.take(event)),
            Err(error) => {
                seen.error = Some(error);
                break;
            }
        }
    }
    let losses = reassembly.finish(&mut |event| seen.take(event));
    seen.losses = losses;
    seen
}

impl Seen {
    fn take(&mut self, event: Event<'_>) {
        let (stream, happened) = match event {
            Event::Datagram { time_ns, from, to, octets, cut } => {
                let octets = octets.to_vec();
                self.datagrams.push(Datagram { time_ns, from, to, octets, cut });
                return;
            }
            Event::Octets { stream, octets, .. } => (stream, Happened::Octets(octets.to_vec())),
            Event::Gap { stream } => (stream, Happened::Gap),
            Event::End { stream } => (stream, Happened::End),
        };
        self.streams.push((stream.serial, happened));
    }

    /// Which of the messages the datagrams are, by number; none for one that is no message.
    pub(crate) fn messages(&self) -> Vec<Option<usize>> {
        let number = |datagram: &Datagram| MESSAGES.iter().position(|message| *message == datagram.octets);
        self.datagrams.iter().map(number).collect()
    }
}

/// The numbers of all messages, in order.
pub(crate) fn all() -> Vec<Option<usize>> {
    (0..MESSAGES.len()).map(Some).collect()
}

/// Runs a program to its end and gives what it printed; its absence fails the test with the package's name.
pub(crate) fn run(command: &mut Command, package: &str) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; install the package {package} (build/deps.sh does)")
    });
    let complaint = String::from_utf8_lossy(&output.stderr);
    let hint = format!("the package {package} is needed (build/deps.sh installs it)");
    assert!(output.status.success(), "{command:?} ended with {}: {complaint}; {hint}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
