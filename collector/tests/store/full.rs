//! A full disk: commits fail with a sentence, what is stored is served, and when there is room again the same batch
//! goes through. The disk is a small tmpfs inside a mount namespace of this thread.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use podflow_collector::store::{Options, Store, StoreError};

use crate::flows::Flows;

const FLOWS: Flows = Flows { count: 100_000, span: 1_800_000, holes: false };

#[test]
fn a_full_disk_stops_writing_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    if let Err(error) = small_disk(folder.path()) {
        assert!(std::env::var("CI").is_err(), "mounting a tmpfs needs root: {error}");
        eprintln!("SKIPPED a full disk: mounting a tmpfs needs root: {error}");
        return;
    }
    let ballast = folder.path().join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let options = Options { keep: Duration::MAX, ..Options::default() };
    let store = Store::open(folder.path().join("data"), options.clone()).unwrap();

    let mut stored = 0;
    let mut numbers = 0..FLOWS.count;
    let (mut stuck, error) = loop {
        let mut batch = store.batch();
        for number in numbers.by_ref().take(2000) {
            batch.add(&FLOWS.document(number));
        }
        match store.commit(&mut batch) {
            Ok(committed) => stored += committed.stored,
            Err(error) => break (batch, error),
        }
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(error.to_string().contains("no room on the disk"), "{error}");
    assert!(stored > 0);
    assert_eq!(
        (store.info().documents, store.info().failed_writes),
        (stored, 1),
        "what was stored is served"
    );
    assert!(store.commit(&mut stuck).is_err(), "still full");

    fs::remove_file(&ballast).unwrap();
    assert_eq!(store.commit(&mut stuck).unwrap().stored, 2000, "the same batch, once there is room");
    drop(store);
    let store = Store::open(folder.path().join("data"), options).unwrap();
    assert_eq!((store.info().documents, store.info().set_aside), (stored + 2000, 0));
}

/// Three megabytes, seen by this thread alone and gone with it.
fn small_disk(at: &Path) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("size=3m"))
}
