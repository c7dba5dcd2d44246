//! `podflow decode` on what was recorded prints the documents that the live path stored.

use std::path::PathBuf;

use podflow_e2e::recording::{Recording, recording};
use podflow_e2e::{programs, readings};
use serde_json::Value;

use crate::stores::embedded;

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_stream_gives_the_documents_that_were_stored() {
    let recording = tokio::task::spawn_blocking(recording).await.unwrap();
    // The file has no addresses; the live exporters were here.
    let decoded: Vec<Value> = recording
        .streams
        .iter()
        .flat_map(|stream| decode(recording, stream, &["--exporter", "127.0.0.1"]))
        .collect();
    let stored: Vec<Value> = embedded(recording).await.documents.values().cloned().collect();
    assert_eq!(sorted(decoded), sorted(stored));
}

#[test]
fn a_capture_of_the_udp_export_gives_every_flow_with_its_exporter() {
    let recording = recording();
    let port = recording.udp_port.to_string();
    let documents = decode(recording, &recording.capture, &["--port", &port]);
    let payloads =
        programs::tshark(&recording.capture, recording.udp_port, "", &["ip.src", "udp.payload"]).unwrap();
    for (node, stream) in readings::by_key(&payloads) {
        let flows = readings::ours(&stream).unwrap().flows.len();
        let decoded = documents.iter().filter(|document| document["host"] == *node).count();
        assert_eq!(decoded, flows, "documents of {node}");
    }
}

/// What the program prints for a file: one document a line. It ends with status 0, so nothing of the file was lost.
fn decode(recording: &Recording, file: &[u8], more: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let (path, inventory) = (folder.path().join("recorded"), folder.path().join("inventory.yml"));
    std::fs::write(&path, file).unwrap();
    std::fs::write(&inventory, &recording.inventory).unwrap();
    let (path, inventory) = (path.to_string_lossy(), inventory.to_string_lossy());
    let arguments = [&["decode", &path, "--inventory", &inventory], more].concat();
    let printed = programs::output(&podflow().to_string_lossy(), &arguments).unwrap();
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The program of this build, which `cargo test --workspace` puts one folder above the tests.
fn podflow() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("podflow");
    assert!(program.exists(), "{} is not built: cargo build --workspace --bin podflow", program.display());
    program
}

fn sorted(documents: Vec<Value>) -> Vec<String> {
    let mut lines: Vec<String> = documents.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}
