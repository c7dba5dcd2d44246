//! Each record onto stdout: as the collector's document, as columns, or as its elements.

mod document;

mod raw;

mod table;

mod lines;

use std::io;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use podflow_ipfix::collect::DataRecord;

use super::progress::Progress;
use super::{Arguments, Format};
use document::Documents;
pub(super) use lines::Lines;

/// Writes records onto stdout.
pub(super) struct Output<'p> {
    format: Format,
    documents: Documents,
    line: Vec<u8>,
    lines: Lines<'p>,
    written: u64,
    left_out: u64,
}

impl<'p> Output<'p> {
    /// Reads the inventory, where one is given.
    pub(super) fn new(arguments: &Arguments, progress: &'p Progress) -> Result<Self> {
        let mut output = Self {
            format: arguments.output,
            documents: Documents::new(arguments.inventory.as_deref(), &arguments.cluster_name)?,
            line: Vec::new(),
            lines: Lines::new(progress),
            written: 0,
            left_out: 0,
        };
        if output.format == Format::Table {
            table::heading(&mut output.line);
            output.lines.take_heading(&mut output.line);
        }
        Ok(output)
    }

    /// Writes a record. `received_ms` is none where only the exporter knows the time.
    pub(super) fn record(&mut self, record: &DataRecord<'_>, exporter: IpAddr, received_ms: Option<u64>) {
        if self.lines.has_failed() || (record.is_options() && self.format != Format::Raw) {
            return;
        }
        self.line.clear();
        if self.format == Format::Raw {
            raw::write(record, exporter, &mut self.line);
        } else {
            let Some(document) = self.documents.make(record, exporter, received_ms) else {
                self.left_out += 1;
                return;
            };
            match self.format {
                Format::Table => table::write(&document, &mut self.line),
                _ => podflow_collector::document::json::write(&document, &mut self.line),
            }
        }
        self.written += 1;
        self.lines.take(&mut self.line);
    }

    /// Whether stdout still takes what is written.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn check(&mut self) -> io::Result<()> {
        self.lines.failure().map_or(Ok(()), Err)
    }

    /// Records written.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Records that the collector would drop: copies of flows that the other side's agent exports.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The lines that are not written yet.
    pub(super) fn lines(&self) -> Lines<'p> {
        self.lines.clone()
    }

    /// Writes what is still in memory.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.lines.write();
        self.check().context("writing to standard output")
    }
}
