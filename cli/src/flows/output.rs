//! Records as a table, as JSON lines, or as CSV.

use std::io::{self, Write};

use serde_json::Value;

/// How records are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One line a record, in columns.
    #[default]
    Table,
    /// One document a line, as it is stored.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// Writes records one after the other.
pub(super) struct Printer<W> {
    format: Format,
    out: W,
    begun: bool,
}

impl<W: Write> Printer<W> {
    pub(super) fn new(format: Format, out: W) -> Self {
        Self { format, out, begun: false }
    }

    /// Writes one hit of a search.
    pub(super) fn record(&mut self, hit: &Value) -> io::Result<()> {
        let source = &hit["_source"];
        if self.format == Format::Json {
            return writeln!(self.out, "{source}");
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.line(COLUMNS.map(|column| column.title.to_owned()))?;
        }
        self.line(COLUMNS.map(|column| (column.value)(source)))
    }

    /// Hands over what was written: nothing more comes for a while.
    pub(super) fn pause(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn line(&mut self, cells: [String; COLUMNS.len()]) -> io::Result<()> {
        if self.format == Format::Csv {
            return writeln!(self.out, "{}", cells.map(|cell| quoted(&cell)).join(","));
        }
        let padded = COLUMNS.iter().zip(&cells).map(|(column, cell)| match column.right {
            true => format!("{cell:>width$}", width = column.width),
            false => format!("{cell:<width$}", width = column.width),
        });
        writeln!(self.out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
    }
}

struct Column {
    title: &'static str,
    width: usize,
    right: bool,
    value: fn(&Value) -> String,
}

const COLUMNS: [Column; 8] = [
    Column { title: "TIME", width: 24, right: false, value: |source| text(&source["@timestamp"]) },
    Column { title: "SOURCE", width: 30, right: false, value: |source| end(source, "source") },
    Column { title: "DESTINATION", width: 30, right: false, value: |source| end(source, "destination") },
    Column {
        title: "SERVICE",
        width: 24,
        right: false,
        value: |source| ipfix(source, "destinationServicePortName"),
    },
    Column { title: "PROTOCOL", width: 8, right: false, value: |source| ipfix(source, "protocol") },
    Column { title: "SENT", width: 10, right: true, value: |source| ipfix(source, "octetDeltaCount") },
    Column {
        title: "RECEIVED",
        width: 10,
        right: true,
        value: |source| ipfix(source, "reverseOctetDeltaCount"),
    },
    Column { title: "KIND", width: 16, right: false, value: |source| ipfix(source, "flowKind") },
];

/// `namespace/pod:port`, or what there is.
fn end(source: &Value, side: &str) -> String {
    let name = match ipfix(source, &format!("{side}Name")) {
        name if name.is_empty() => ipfix(source, &format!("{side}IPv4Address")),
        name => name,
    };
    match ipfix(source, &format!("{side}TransportPort")).as_str() {
        "" | "0" => name,
        port => format!("{name}:{port}"),
    }
}

fn ipfix(source: &Value, field: &str) -> String {
    text(&source["ipfix"][field])
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// RFC 4180: quoted where it must be.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(format: Format) -> String {
        let hit = json!({"_id": "x", "_source": {"@timestamp": "2026-11-22T20:00:00.000Z", "ipfix": {
            "sourceName": "shop/cart-0", "sourceTransportPort": 40868, "destinationName": "203.0.113.10",
            "destinationTransportPort": 443, "protocol": "TCP", "octetDeltaCount": 1200, "reverseOctetDeltaCount": 80,
            "flowKind": "Pod-to-External"}}});
        let mut out = Vec::new();
        Printer::new(format, &mut out).record(&hit).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_has_columns() {
        assert_eq!(
            printed(Format::Table),
            "TIME                      SOURCE                          DESTINATION                     SERVICE                   PROTOCOL        SENT    RECEIVED  KIND\n\
             2026-11-22T20:00:00.000Z  shop/cart-0:40868               203.0.113.10:443                                          TCP             1200          80  Pod-to-External\n"
        );
    }

    #[test]
    fn csv_has_as_many_cells_in_every_line() {
        assert_eq!(
            printed(Format::Csv),
            "TIME,SOURCE,DESTINATION,SERVICE,PROTOCOL,SENT,RECEIVED,KIND\n\
             2026-11-22T20:00:00.000Z,shop/cart-0:40868,203.0.113.10:443,,TCP,1200,80,Pod-to-External\n"
        );
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
    }

    #[test]
    fn json_is_the_document() {
        assert!(
            printed(Format::Json).starts_with("{\"@timestamp\":\"2026-11-22T20:00:00.000Z\",\"ipfix\":{")
        );
    }
}
