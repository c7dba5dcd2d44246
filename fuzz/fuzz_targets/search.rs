#![no_main]

#[path = "../../collector/tests/store/flows.rs"]
mod flows;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use flows::Flows;
use podflow_collector::es::exercise::Asker;
use podflow_collector::store::{Options, Store};

/// Somebody who asks a store of a few hundred flows, with values of all kinds.
static ASKER: LazyLock<(Asker, tempfile::TempDir)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options { keep: Duration::MAX, ..Options::default() }).unwrap();
    let flows = Flows { count: 300, span: 86_400_000, holes: true };
    let mut batch = store.batch();
    for number in 0..flows.count {
        batch.add(&flows.document(number));
    }
    store.commit(&mut batch).unwrap();
    (Asker::of(Arc::new(store)).unwrap(), folder)
});

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    ASKER.0.ask(octets);
});
