//! Running the program, and what it is given.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What the program printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `podflow decode` with arguments.
pub(crate) fn decode<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Printed {
    let output = command().args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    Printed { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// `podflow decode`.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podflow"));
    command.arg("decode").env_remove("RUST_LOG");
    command
}

impl Printed {
    /// The lines of JSON of a run in which nothing was lost.
    pub(crate) fn documents(&self) -> Vec<Value> {
        assert_eq!((self.code, &*self.err), (Some(0), ""));
        self.lines()
    }

    /// The lines of JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Messages that were recorded of another program: `softflowd-v10`, `pmacctd-v9` and so on.
pub(crate) fn recorded(name: &str) -> Vec<Vec<u8>> {
    let octets = std::fs::read(recorded_path(name)).unwrap();
    let mut rest = &octets[..];
    let mut messages = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (message, behind) = behind.split_at(u16::from_be_bytes(*length).into());
        messages.push(message.to_vec());
        rest = behind;
    }
    messages
}

fn recorded_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ipfix/testdata").join(format!("{name}.bin"))
}

/// Captures of recorded messages in every kind of frame, made by scapy.
pub(crate) fn captures(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../capture/tests/frames/frames.py");
    // The system's Python, for which Debian packages scapy.
    let arguments = [&script, &recorded_path(name), folder.path()];
    run(Command::new("/usr/bin/python3").args(arguments), "python3-scapy");
    folder
}

/// Runs a program to its end and gives what it printed; its absence fails the test with the package's name.
pub(crate) fn run(command: &mut Command, package: &str) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; install the package {package} (build/deps.sh does)")
    });
    let complaint = String::from_utf8_lossy(&output.stderr);
    let hint = format!("the package {package} is needed (build/deps.sh installs it)");
    assert!(output.status.success(), "{command:?} ended with {}: {complaint}; {hint}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
