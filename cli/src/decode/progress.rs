//! A bar on stderr while files are read (how much of them, records printed, rate, time left), where stdout is a terminal too; nothing otherwise.

use std::fs;
use std::io::{self, IsTerminal as _, Read};
use std::path::PathBuf;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::output::Lines;

/// How much of the files has been read.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
}

/// A reader that tells how much it read, and has the lines written before it may have to wait.
pub(super) struct Counted<'p> {
    bar: &'p ProgressBar,
    lines: Lines<'p>,
    inner: Box<dyn Read>,
}

impl Progress {
    /// A bar as long as the files together; of unknown length where one is not a regular file.
    pub(super) fn new(files: &[PathBuf]) -> Self {
        let terminal = io::stderr().is_terminal() && io::stdout().is_terminal();
        let length: Option<u64> = files
            .iter()
            .map(|path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| file.len()))
            .sum();
        let bar = match length {
            _ if !terminal => ProgressBar::hidden(),
            Some(length) => ProgressBar::new(length),
            None => ProgressBar::no_length(),
        };
        let style = match length {
            Some(_) => {
                "{wide_bar} {decimal_bytes}/{decimal_total_bytes}, {msg}, {decimal_bytes_per_sec}, {eta} left"
            }
            None => "{spinner} {decimal_bytes}, {msg}, {decimal_bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self { bar }
    }

    pub(super) fn counted<'p>(&'p self, lines: Lines<'p>, inner: Box<dyn Read>) -> Counted<'p> {
        Counted { bar: &self.bar, lines, inner }
    }

    /// So many records have been printed.
    pub(super) fn printed(&self, records: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{} records", HumanCount(records)));
        }
    }

    /// Writes to the terminal beside the bar.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Whoever captures into a pipe wants to see what came, not what would fill a buffer.
        self.lines.write();
        let octets = self.inner.read(buffer)?;
        self.bar.inc(octets as u64);
        Ok(octets)
    }
}
