//! Each record onto stdout: as the collector's document, as columns, or as its elements.

mod document;

mod raw;

mod table;

use std::io::{self, StdoutLock, Write as _};
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use podflow_ipfix::collect::DataRecord;

use super::progress::Progress;
use super::{Arguments, Format};
use document::Documents;

/// Writes records onto stdout.
pub(super) struct Output<'p> {
    format: Format,
    documents: Documents,
    progress: &'p Progress,
    stdout: StdoutLock<'static>,
    line: Vec<u8>,
    /// Whole lines that were not written yet.
    lines: Vec<u8>,
    written: u64,
    failed: Option<io::Error>,
}

impl<'p> Output<'p> {
    /// Reads the inventory, where one is given.
    pub(super) fn new(arguments: &Arguments, progress: &'p Progress) -> Result<Self> {
        let mut output = Self {
            format: arguments.output,
            documents: Documents::new(arguments.inventory.as_deref(), &arguments.cluster_name)?,
            progress,
            stdout: io::stdout().lock(),
            line: Vec::new(),
            lines: Vec::with_capacity(WRITE_AT_ONCE),
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
        self.write_lines();
        self.check().and_then(|()| self.stdout.flush()).context("writing to standard output")
    }

    fn write_line(&mut self) {
        self.lines.append(&mut self.line);
        self.lines.push(b'\n');
        if self.lines.len() >= WRITE_AT_ONCE {
            self.write_lines();
        }
    }

    /// Writes whole lines, so that the bar never stands within one.
    fn write_lines(&mut self) {
        let Self { progress, stdout, lines, failed, .. } = self;
        if failed.is_none() {
            *failed = progress.beside(|| stdout.write_all(lines)).err();
        }
        lines.clear();
    }
}

/// Octets that are written at once.
const WRITE_AT_ONCE: usize = 64 * 1_024;
