//! A document as columns for reading.

use std::io::Write as _;

use podflow_collector::document::model::{Document, Value};
use podflow_collector::document::{json, time};

/// Appends the names of the columns.
pub(super) fn heading(line: &mut Vec<u8>) {
    line.extend_from_slice(format!("{:<25}", "time").as_bytes());
    for (name, width) in COLUMNS {
        // Writing into memory does not fail.
        drop(write!(line, "{:<width$}", name.strip_suffix("DeltaCount").unwrap_or(name)));
    }
}

/// Appends a document's columns.
pub(super) fn write(document: &Document<'_>, line: &mut Vec<u8>) {
    time::write(document.timestamp, line);
    line.push(b' ');
    for (name, width) in COLUMNS {
        let text = document.field(name).map(text).unwrap_or_default();
        drop(write!(line, "{text:<width$}"));
        // A value that fills its column does not run into the next.
        if text.chars().count() >= width {
            line.push(b' ');
        }
    }
}

fn text(value: &Value<'_>) -> String {
    let mut text = Vec::new();
    json::value(value, &mut text);
    String::from_utf8_lossy(&text).trim_matches('"').to_owned()
}

/// What is shown of a document, and how wide.
const COLUMNS: [(&str, usize); 9] = [
    ("sourceName", 34),
    ("sourceTransportPort", 20),
    ("destinationName", 34),
    ("destinationTransportPort", 25),
    ("protocol", 9),
    ("octetDeltaCount", 14),
    ("packetDeltaCount", 12),
    ("reverseOctetDeltaCount", 14),
    ("flowKind", 18),
];
