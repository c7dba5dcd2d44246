//! The page `docs/conformance.md` names a test for each requirement: every one that it names is there.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a `file::test` without a path may be.
const FOLDERS: [&str; 3] = ["ipfix/tests/session", "capture/tests/frames", "cli/tests/decode"];
/// What the first part of a path stands for.
const SHORT: [(&str, &[&str]); 4] = [
    ("peer/", &["ipfix/tests/peer/"]),
    ("e2e/", &["e2e/tests/whole/"]),
    ("collector/", &["collector/tests/"]),
    ("src/", &["ipfix/src/", "capture/src/"]),
];

#[test]
fn every_proof_exists() {
    let page = fs::read_to_string(root().join("docs/conformance.md")).expect("the page");
    let (mut rows, mut proofs, mut faults) = (0, 0, Vec::new());
    let mut in_table = false;
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if !line.starts_with('|') {
            in_table = false;
        } else if cells.last() == Some(&"proof") {
            in_table = true;
        } else if in_table && !line.starts_with("|-") {
            rows += 1;
            let named: Vec<&str> =
                cells.last().into_iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
            proofs += named.len();
            if named.is_empty() {
                faults.push(format!("no proof of: {}", cells[0]));
            }
            faults.extend(
                named.iter().filter(|proof| !exists(proof)).map(|proof| format!("no such test: {proof}")),
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(rows > 50 && proofs > rows, "{rows} rows, {proofs} proofs");
}

/// Whether a file has a test of that name. `*` stands for any, a name that ends in `…` for one that begins so.
fn exists(proof: &str) -> bool {
    let (file, test) = proof.split_once("::").unwrap_or((proof, "*"));
    let wanted = match test.strip_suffix('…') {
        Some(beginning) => format!("fn {beginning}"),
        None if test == "*" => "fn ".to_owned(),
        None => format!("fn {test}("),
    };
    candidates(file).iter().any(|path| {
        fs::read_to_string(root().join(path)).is_ok_and(|text| {
            text.contains(&wanted) && (text.contains("#[test]") || text.contains("#[tokio::test"))
        })
    })
}

fn candidates(file: &str) -> Vec<PathBuf> {
    let name = if file.ends_with(".rs") { file.to_owned() } else { format!("{file}.rs") };
    let mut candidates = vec![PathBuf::from(&name)];
    candidates.extend(FOLDERS.iter().map(|folder| Path::new(folder).join(&name)));
    for (short, folders) in SHORT {
        if let Some(rest) = name.strip_prefix(short) {
            candidates.extend(folders.iter().map(|folder| Path::new(folder).join(rest)));
        }
    }
    candidates
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
