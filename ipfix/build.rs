//! Makes the registry's tables from `data/*.csv`: one Rust line for each element.
//!
//! In: the two CSV files. Out: `standard_elements.rs` in the build folder, included by `src/registry/standard.rs`.
//! An IANA element gives a second line for its reverse under enterprise 29305 (RFC 5103 section 6.1).

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let mut rows = String::from("pub(super) const ELEMENTS: &[Row] = &[\n");
    for line in lines("data/iana-elements.csv") {
        let column: Vec<&str> = line.split(',').collect();
        let [id, name, data_type, semantics, units, _status] = column[..] else {
            panic!("six columns wanted: {line}")
        };
        row(&mut rows, "0", id, name, data_type, semantics, units);
        row(&mut rows, "29305", id, &reverse(name), data_type, semantics, units);
    }
    for line in lines("data/antrea-elements.csv") {
        let column: Vec<&str> = line.splitn(5, ',').collect();
        let [enterprise, id, name, data_type, _note] = column[..] else {
            panic!("five columns wanted: {line}")
        };
        row(&mut rows, enterprise, id, name, data_type, "", "");
    }
    rows.push_str("];\n");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("standard_elements.rs"), rows).expect("writing the generated table");
}

/// The lines of a CSV file without its heading.
fn lines(path: &str) -> Vec<String> {
    println!("cargo::rerun-if-changed={path}");
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("reading {path}: {error}"));
    text.lines().skip(1).map(str::to_owned).collect()
}

fn row(
    rows: &mut String,
    enterprise: &str,
    id: &str,
    name: &str,
    data_type: &str,
    semantics: &str,
    units: &str,
) {
    let data_type = variant(data_type);
    let semantics = if semantics.is_empty() { "Default".to_owned() } else { variant(semantics) };
    let units = match units {
        "" => "None".to_owned(),
        "4-octet words" => "FourOctetWords".to_owned(),
        name => variant(name),
    };
    writeln!(
        rows,
        "({enterprise}, {id}, \"{name}\", DataType::{data_type}, Semantics::{semantics}, Units::{units}),"
    )
    .expect("writing to a String");
}

/// `unsigned64` to `Unsigned64`: the enums of `data_type.rs` carry the registry's names in capitals.
fn variant(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// `octetDeltaCount` to `reverseOctetDeltaCount` (RFC 5103 section 6.1).
fn reverse(name: &str) -> String {
    format!("reverse{}", variant(name))
}
