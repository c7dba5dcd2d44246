//! Every file of the fuzz target's corpus, replayed.

use std::fs;
use std::path::Path;

use podflow_capture::exercise;

#[test]
fn the_fuzz_corpus_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/capture");
    let mut came_out = 0;
    for file in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        came_out += exercise::capture(&fs::read(file.unwrap().path()).unwrap());
    }
    assert!(came_out > 1_000, "the seeds hold datagrams: {came_out} octets");
}
