//! Each record onto stdout: as the collector's document, as columns, or as its elements.

mod document;

mod raw;

mod table;

use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use podflow_ipfix::collect::DataRecord;

use super::{Arguments, Format};
use document::Documents;

/// Writes records onto stdout.
pub(super) struct Output {
    format: Format,
    documents: Documents,
    stdout: BufWriter<StdoutLock<'static>>,
    line: Vec<u8>,
    written: u64,
    failed: Option<io::Error>,
}

impl Output {
    /// Reads the inventory, where one is given.
    pub(super) fn new(arguments: &Arguments) -> Result<Self> {
        let mut output = Self {
            format: arguments.output,
            documents: Documents::new(arguments.inventory.as_deref(), &arguments.cluster_name)?,
            stdout: BufWriter::with_capacity(WRITE_AT_ONCE, io::stdout().lock()),
            line: Vec::new(),
            written: 0,
            failed: None,
        };
        if output.format == Format::Table {
            table::heading(&mut output.line);
            output.write_line();
        }
        Ok(output)
    }

    /// Writes a record. `received_ms` is none where only the exporter knows the time.
    pub(super) fn record(&mut self, record: &DataRecord<'_>, exporter: IpAddr, received_ms: Option<u64>) {
        if self.failed.is_some() || (record.is_options() && self.format != Format::Raw) {
            return;
        }
        self.line.clear();
        if self.format == Format::Raw {
            raw::write(record, exporter, &mut self.line);
        } else {
            let Some(document) = self.documents.make(record, exporter, received_ms) else { return };
            match self.format {
                Format::Table => table::write(&document, &mut self.line),
                _ => podflow_collector::document::json::write(&document, &mut self.line),
            }
        }
        self.written += 1;
        self.write_line();
    }

    /// Whether stdout still takes what is written.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn check(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Records written.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Writes what is still in memory.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.check().and_then(|()| self.stdout.flush()).context("writing to standard output")
    }

    fn write_line(&mut self) {
        self.line.push(b'\n');
        if let Err(error) = self.stdout.write_all(&self.line) {
            self.failed = Some(error);
        }
    }
}

/// Octets that are written at once.
const WRITE_AT_ONCE: usize = 64 * 1_024;
