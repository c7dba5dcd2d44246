//! A bar while files are read on a terminal, and nothing of the kind elsewhere.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};

use nix::pty::openpty;

use crate::program::{captures, command};

#[test]
fn a_bar_is_drawn_on_a_terminal_and_gone_at_the_end() {
    let folder = captures("softflowd-v10");
    let once = fs::read(folder.path().join("ethernet.pcap")).unwrap();
    let file = folder.path().join("many.pcap");
    fs::write(&file, [&once[..24], &once[24..].repeat(200)].concat()).unwrap();
    let shown = on_a_terminal(command().arg(&file).stdin(Stdio::null()));
    for part in ["kB/620.42 kB, ", " records, ", "B/s, ", " left"] {
        assert!(shown.contains(part), "no {part:?} in {} octets", shown.len());
    }
    // Beside the bar every document is a whole line.
    let lines = shown.split(['\n', '\r']).filter_map(|line| line.find('{').map(|start| &line[start..]));
    let documents = lines.filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
    assert_eq!(documents, 200 * 60);
    let (_, after) = shown.rsplit_once(" left").unwrap();
    assert_eq!(after.trim_start_matches(' '), "\r\u{1b}[2K", "the line is empty again");
}

#[test]
fn of_a_pipe_without_a_known_end_what_has_come_is_shown() {
    let folder = captures("softflowd-v10");
    let file = File::open(folder.path().join("ethernet.pcap")).unwrap();
    let shown = on_a_terminal(command().arg("-").stdin(file));
    assert!(shown.contains(" kB, ") && shown.contains("B/s") && !shown.contains(" left"), "{shown}");
    assert_eq!(shown.matches("\"@timestamp\"").count(), 60);
}

/// What a program shows on a terminal, which must end well.
fn on_a_terminal(command: &mut Command) -> String {
    let terminal = openpty(None, None).unwrap();
    let mut process = command
        .env("TERM", "xterm")
        .stdout(terminal.slave.try_clone().unwrap())
        .stderr(terminal.slave)
        .spawn()
        .unwrap();
    // What holds the terminal's other end open is the program alone.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut shown = Vec::new();
    // A terminal whose last user has gone ends with an error.
    let mut master = File::from(terminal.master);
    let mut buffer = [0; 65_536];
    while let Ok(octets @ 1..) = master.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..octets]);
    }
    assert!(process.wait().unwrap().success());
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn no_bar_where_stdout_is_no_terminal() {
    let folder = captures("softflowd-v10");
    let terminal = openpty(None, None).unwrap();
    let output = command()
        .arg(folder.path().join("ethernet.pcap"))
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(terminal.slave))
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.iter().filter(|octet| **octet == b'\n').count(), 60);
    let mut shown = Vec::new();
    let mut master = File::from(terminal.master);
    let mut buffer = [0; 4_096];
    while let Ok(octets @ 1..) = master.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..octets]);
    }
    assert_eq!(String::from_utf8_lossy(&shown), "");
}
