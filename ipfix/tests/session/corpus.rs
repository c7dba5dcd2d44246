//! Every file of the fuzz targets' corpora, replayed: what once broke stays mended.

use std::fs;
use std::path::Path;

use podflow_ipfix::exercise;

/// What a fuzz target does with octets.
type Exercise = fn(&[u8]);

#[test]
fn the_fuzz_corpora_are_replayed() {
    let targets: [(&str, Exercise); 5] = [
        ("message", exercise::message),
        ("netflow", exercise::netflow),
        ("framing", exercise::framing),
        ("definitions", exercise::definitions),
        ("saved", exercise::saved),
    ];
    for (target, exercise) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let mut replayed = 0;
        for file in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            exercise(&fs::read(file.unwrap().path()).unwrap());
            replayed += 1;
        }
        assert!(replayed > 0, "no seeds in {}", folder.display());
    }
}
