//! The store by itself: what goes in comes out, once, also after a restart, a merge and damage.

use std::borrow::Cow;
use std::fs;
use std::net::IpAddr;

use serde_json::json;

use super::*;
use crate::document::model::{Document, DocumentId, Value};

fn id(number: u32) -> DocumentId {
    let hash = xxhash_rust::xxh3::xxh3_128(&number.to_be_bytes()).to_be_bytes();
    let mut octets = [0; 15];
    octets.copy_from_slice(&hash[..15]);
    DocumentId(octets)
}

fn document(number: u32, timestamp: i64) -> Document<'static> {
    Document {
        id: id(number),
        timestamp,
        host: IpAddr::from([10, 0, 0, 5]),
        fields: vec![
            (Cow::Borrowed("version"), Value::Unsigned(10)),
            (Cow::Borrowed("sourcePodName"), Value::String(Cow::Owned(format!("pod-{}", number % 7)))),
            (Cow::Borrowed("octetDeltaCount"), Value::Unsigned(u64::from(number))),
        ],
    }
}

const NOON: i64 = 1_795_348_800_000;

fn fill(store: &Store, numbers: std::ops::Range<u32>) -> Committed {
    let mut batch = store.batch();
    for number in numbers {
        batch.add(&document(number, NOON + i64::from(number)));
    }
    store.commit(&mut batch).unwrap()
}

fn sources(store: &Store) -> Vec<serde_json::Value> {
    let view = store.inner.view();
    let mut all = Vec::new();
    for segment in view.segments() {
        let mut sources = Sources::new(segment, &store.inner.cache).unwrap();
        for row in 0..segment.facts.documents {
            all.push(serde_json::Value::Object(sources.source(row).unwrap()));
        }
    }
    all
}

#[test]
fn a_document_comes_back_as_it_was_also_what_no_column_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let long = "x".repeat(9000);
    let document = Document {
        id: id(1),
        timestamp: NOON,
        host: IpAddr::from([10, 0, 0, 5]),
        fields: vec![
            ("b".into(), Value::Unsigned(u64::MAX)),
            ("a".into(), Value::Signed(-5)),
            ("float".into(), Value::Float(5.0)),
            ("truth".into(), Value::Boolean(false)),
            ("time".into(), Value::Time(NOON)),
            ("address".into(), Value::Address("2001:db8::1".parse().unwrap())),
            ("long".into(), Value::String(long.as_str().into())),
            ("list".into(), Value::List(vec![Value::Unsigned(2), Value::Unsigned(1)])),
            ("object".into(), Value::Object(vec![("inner".into(), Value::String("x".into()))])),
            ("odd\u{1f}name".into(), Value::Unsigned(3)),
        ],
    };
    let mut batch = store.batch();
    assert_eq!(batch.add(&document), Added::New);
    store.commit(&mut batch).unwrap();
    let expected = json!({
        "@timestamp": "2026-11-22T12:00:00.000Z", "@version": "1", "type": "ipfix", "host": "10.0.0.5",
        "ipfix": {"b": u64::MAX, "a": -5, "float": 5.0, "truth": false, "time": "2026-11-22T12:00:00.000Z",
                  "address": "2001:db8::1", "long": long, "list": [2, 1], "object": {"inner": "x"},
                  "odd\u{1f}name": 3}
    });
    let stored = sources(&store);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0], expected);
    assert_eq!(stored[0].to_string(), expected.to_string(), "also the order of fields");
}

#[test]
fn a_record_sent_twice_is_stored_once_also_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    assert_eq!(fill(&store, 0..10), Committed { stored: 10, duplicates: 0 });
    assert_eq!(fill(&store, 5..15), Committed { stored: 5, duplicates: 5 });
    drop(store);
    let store = Store::open(folder.path(), Options::default()).unwrap();
    assert_eq!(fill(&store, 0..20), Committed { stored: 5, duplicates: 15 });
    assert_eq!(store.info().documents, 20);
}

#[test]
fn a_batch_thrown_away_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let mut batch = store.batch();
    batch.add(&document(1, NOON));
    drop(batch);
    assert_eq!(fill(&store, 0..2), Committed { stored: 2, duplicates: 0 });
}

#[test]
fn many_commits_are_merged_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { keep: Duration::MAX, ..Options::default() };
    let store = Store::open(folder.path(), options.clone()).unwrap();
    for start in (0..100).step_by(5) {
        fill(&store, start..start + 5);
    }
    let before = sources(&store);
    store.inner.work();
    assert!(store.info().segments < 8, "{:?}", store.info());
    assert_eq!(sources(&store), before);
    drop(store);
    let store = Store::open(folder.path(), options).unwrap();
    assert_eq!(sources(&store), before);
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _store = Store::open(folder.path(), Options::default()).unwrap();
    let refused = Store::open(folder.path(), Options::default()).err().unwrap();
    assert!(refused.to_string().ends_with("is in use by another process; one collector per data directory"));
}

#[test]
fn another_layout_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("layout"), "podflow store 9\n").unwrap();
    let refused = Store::open(folder.path(), Options::default()).err().unwrap().to_string();
    assert!(refused.contains("\"podflow store 9\", this version reads \"podflow store 1\""), "{refused}");
}

#[test]
fn a_flipped_byte_sets_its_file_aside_and_the_rest_serves() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options { keep: Duration::MAX, ..Options::default() }).unwrap();
    fill(&store, 0..10);
    fill(&store, 10..20);
    let path = store.inner.view().segments().next().unwrap().path.clone();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 30, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let store =
            Store::open(folder.path(), Options { keep: Duration::MAX, ..Options::default() }).unwrap();
        assert_eq!((store.info().documents, store.info().set_aside), (10, 1), "octet {at}");
    }
    assert_eq!(fs::read_dir(folder.path().join("damaged")).unwrap().count(), 1);
}

#[test]
fn retention_deletes_by_age_and_by_size() {
    let folder = tempfile::tempdir().unwrap();
    let hour = 3_600_000;
    let store = Store::open(folder.path(), Options { keep: Duration::MAX, ..Options::default() }).unwrap();
    let mut batch = store.batch();
    for number in 0..4 {
        batch.add(&document(number, NOON + i64::from(number) * hour));
    }
    store.commit(&mut batch).unwrap();
    drop(store);
    let store =
        Store::open(folder.path(), Options { keep: Duration::from_hours(2), ..Options::default() }).unwrap();
    // The background thread may have been there first, with the real clock: then all but nothing is left to test.
    store.inner.retain(NOON + 4 * hour);
    assert!(store.info().documents <= 3);
    drop(store);
    let options = Options { keep: Duration::MAX, most_octets: Some(1), ..Options::default() };
    let store = Store::open(folder.path(), options).unwrap();
    store.inner.retain(NOON);
    assert!(store.info().slices <= 1, "the newest slice stays");
}

#[test]
fn slices_are_hours_and_resolve_to_daily_indices() {
    assert_eq!(batch::slice_name(NOON + 3_599_999), "2026.11.22T12");
    assert_eq!(segment::index_of_slice("2026.11.22T12"), "flow-2026.11.22");
    assert_eq!(background::hour_end("2026.11.22T12"), Some(NOON + 3_600_000));
    assert_eq!(background::hour_end("lost+found"), None);
}

#[test]
fn a_running_store_is_copied_checked_and_printed_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { keep: Duration::MAX, ..Options::default() };
    let store = Store::open(folder.path().join("data"), options.clone()).unwrap();
    fill(&store, 0..10);
    fill(&store, 10..20);
    let copy = folder.path().join("copy");
    assert_eq!(admin::snapshot(&folder.path().join("data"), &copy).unwrap(), 2);
    assert!(admin::snapshot(&folder.path().join("data"), &copy).is_err(), "never over something");
    fill(&store, 20..30);

    let reader = admin::Reader::open(&folder.path().join("data"), true).unwrap();
    assert_eq!((reader.info().documents, reader.damaged.len()), (30, 0));
    let mut printed = Vec::new();
    assert_eq!(reader.export(NOON + 5..NOON + 8, &mut printed).unwrap(), 3);
    let first: serde_json::Value =
        serde_json::from_slice(printed.split(|c| *c == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["ipfix"]["octetDeltaCount"], 5);

    let restored = Store::open(&copy, options).unwrap();
    assert_eq!(restored.info().documents, 20);
    let path = restored.inner.view().segments().next().unwrap().path.clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[3] ^= 1;
    // The copy is a hard link: a new file, or the original would change too.
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let reader = admin::Reader::open(&copy, true).unwrap();
    assert_eq!((reader.info().documents, reader.damaged.len()), (10, 1));
}
