//! `kill -9` at random while documents are committed and segments merged: whatever a commit had returned for is there
//! afterwards, once, and the store opens by itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use podflow_collector::store::{Options, Store, admin};

use crate::flows::Flows;

const FLOWS: Flows = Flows { count: 1_000_000, span: 6 * 3_600_000, holes: true };
/// How often the writer is killed.
const KILLS: u64 = 50;
/// Documents of one commit: small, so that merges are always under way.
const COMMIT: u64 = 40;

#[test]
fn nothing_acknowledged_is_lost_however_often_the_writer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    let mut acknowledged = 0;
    for round in 0..KILLS {
        // Some are killed while they open and repair, most while they write and merge.
        let commits = xxhash_rust::xxh3::xxh3_64(&round.to_le_bytes()) % 30;
        let mut writer = writer(&directory, acknowledged);
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        for line in
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("committed ").map(str::to_owned))
        {
            acknowledged = line.parse().unwrap();
            if acknowledged / COMMIT % 31 >= commits {
                break;
            }
        }
        writer.kill().unwrap();
        writer.wait().unwrap();

        let reader = admin::Reader::open(&directory, true).unwrap();
        assert!(reader.damaged.is_empty(), "round {round}: {:?}", reader.damaged);
        let found = reader.info().documents;
        // One commit may have been finished without its writer having lived to say so.
        assert!(
            (acknowledged..=acknowledged + COMMIT).contains(&found),
            "round {round}: {found} of {acknowledged}"
        );
    }
    // Everything is sent again, as its senders would: each document is there once.
    let store = Store::open(&directory, options()).unwrap();
    let mut batch = store.batch();
    (0..acknowledged).for_each(|number| {
        batch.add(&FLOWS.document(number));
    });
    assert_eq!(store.commit(&mut batch).unwrap().duplicates, acknowledged);
    drop(store);
    let mut printed = Vec::new();
    admin::Reader::open(&directory, true).unwrap().export(0..i64::MAX, &mut printed).unwrap();
    let mut found: Vec<&[u8]> =
        printed.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).collect();
    let mut expected: Vec<Vec<u8>> = (0..found.len() as u64)
        .map(|number| {
            let mut line = Vec::new();
            podflow_collector::document::json::write(&FLOWS.document(number), &mut line);
            line
        })
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert!(found.len() as u64 >= acknowledged);
    assert!(found == expected, "the documents are not those that were given");
}

/// Commits from a number on until it is killed, and says so after each commit.
#[test]
#[ignore = "runs as a process of its own, started and killed by the test above"]
fn writes_until_killed() {
    let directory = std::env::var("PODFLOW_TEST_DIRECTORY").expect("only the other test starts this one");
    let from: u64 = std::env::var("PODFLOW_TEST_FROM").unwrap().parse().unwrap();
    let store = Store::open(directory, options()).unwrap();
    let mut next = from;
    loop {
        let mut batch = store.batch();
        for number in next..next + COMMIT {
            batch.add(&FLOWS.document(number));
        }
        store.commit(&mut batch).unwrap();
        next += COMMIT;
        // Past the harness's own capture, at once.
        let mut output = std::io::stdout().lock();
        writeln!(output, "\ncommitted {next}").unwrap();
        output.flush().unwrap();
    }
}

fn writer(directory: &Path, from: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "killed::writes_until_killed", "--nocapture"])
        .env("PODFLOW_TEST_DIRECTORY", directory)
        .env("PODFLOW_TEST_FROM", from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn options() -> Options {
    Options { keep: Duration::MAX, ..Options::default() }
}
