//! While no server answers, what comes in waits on disk, and memory stays bounded. In a process of its own, whose memory
//! nobody else uses.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

mod support;

use std::net::TcpListener;

use podflow_ipfix::ElementKey;
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;
use support::Running;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Records of 8 kB: 480 MB in all.
const RECORDS: u64 = 60_000;
const TEXT: usize = 8_000;
/// The queue before the decoder (32 MB), four batches and those under way of 1 MB each, and the spool's cache (32 MB); with
/// room for an allocator that keeps as much again, and less than half of what was sent.
const MOST_GROWN_KB: u64 = 200 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_fills_the_disk_and_not_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    // Nobody listens there any more.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let collector = Running::start_in(
        folder,
        &format!(
            "batch: {{bytes: 1MB, queue: 4}}\nspool: {{path: '{path}', after: 1s}}\ndeadLetters: {{path: '{path}'}}\n\
             store: {{elasticsearch: {{hosts: ['http://{nobody}']}}}}\n"
        ),
    );
    let before = most_kb();
    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    let mut exporter = session();
    for number in 0..RECORDS {
        let text = format!("{number:0TEXT$}");
        exporter.add(0, ID, [Value::Unsigned(number), Value::String(text.as_str().into())]).unwrap();
        while let Some(message) = exporter.next_message() {
            stream.write_all(&message.octets).await.unwrap();
        }
    }
    exporter.flush(0);
    while let Some(message) = exporter.next_message() {
        stream.write_all(&message.octets).await.unwrap();
    }
    // However long a disk takes: what counts is that it goes on.
    let mut last = 0;
    loop {
        let waits = |status: &serde_json::Value| status["spool"]["documents"].as_u64().unwrap();
        let status = collector.until("the spool to grow", |s| waits(s) > last || waits(s) == RECORDS).await;
        last = waits(&status);
        if last == RECORDS {
            assert_eq!((&status["in_flight"], &status["stored"]), (&RECORDS.into(), &0.into()), "{status}");
            break;
        }
    }
    let grown = most_kb() - before;
    println!("{grown} kB more for {RECORDS} records of {TEXT} octets");
    assert!(grown < MOST_GROWN_KB, "{grown} kB");
    collector.stop().await;
}

const ID: TemplateId = TemplateId::constant(256);

/// An exporter of octetDeltaCount and interfaceDescription.
fn session() -> ExportingSession {
    let fields =
        vec![FieldSpecifier::new(ElementKey::iana(1), 8), FieldSpecifier::new(ElementKey::iana(83), 65_535)];
    let template = Template::new(ID, fields).unwrap();
    ExportingSession::new(ExportSettings::stream(7), vec![template], &Registry::standard()).unwrap()
}

/// The most memory that this process has held, kB.
fn most_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}
