//! What was read and what was lost, told on stderr.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::IpAddr;

use podflow_capture::Losses;
use podflow_ipfix::DecodeError;
use podflow_ipfix::collect::{MessageSummary, Sequence};

use super::output::Output;

/// What was read and what was lost.
#[derive(Debug, Default)]
pub(super) struct Tally {
    exporters: BTreeMap<IpAddr, Exporter>,
    /// By reason, with the first one's words.
    lost: BTreeMap<&'static str, (u64, String)>,
    /// What became of files that could not be read to their end, one sentence each.
    files: Vec<String>,
}

/// What one exporter sent.
#[derive(Debug, Default)]
struct Exporter {
    messages: u64,
    octets: u64,
    records: u64,
    options_records: u64,
    templates: u64,
    missing: u64,
    duplicates: u64,
    malformed: u64,
}

impl Tally {
    /// Counts a message.
    pub(super) fn message(
        &mut self,
        exporter: IpAddr,
        octets: usize,
        read: Result<MessageSummary, DecodeError>,
    ) {
        // Forged addresses in a capture must not fill memory: beyond the bound they are counted as one.
        let known = self.exporters.len() < MOST_EXPORTERS || self.exporters.contains_key(&exporter);
        let exporter =
            self.exporters.entry(if known { exporter } else { super::decoder::NO_ADDRESS }).or_default();
        exporter.messages += 1;
        exporter.octets += octets as u64;
        let summary = match read {
            Ok(summary) => summary,
            Err(error) => {
                exporter.malformed += 1;
                self.lost(error.reason(), &error);
                return;
            }
        };
        exporter.records += u64::from(summary.records);
        exporter.options_records += u64::from(summary.options_records);
        exporter.templates += u64::from(summary.templates);
        match summary.sequence {
            Sequence::Gap(missing) => exporter.missing += u64::from(missing),
            Sequence::Late(found) => exporter.missing = exporter.missing.saturating_sub(found.into()),
            Sequence::Duplicate => exporter.duplicates += 1,
            _ => {}
        }
        self.without_template(summary.sets_lost as usize);
    }

    /// Counts data sets whose template did not come.
    pub(super) fn without_template(&mut self, sets: usize) {
        let what = "a data set whose template is not in the file, or came too late";
        self.lost_some("no_template", sets as u64, what);
    }

    /// Counts what could not be read of a capture.
    pub(super) fn capture_lost(&mut self, losses: Losses) {
        let Losses { link_type, fragments, cut } = losses;
        let what = "a packet whose other fragments are not in the file, or contradict each other";
        self.lost_some("fragments", fragments, what);
        self.lost_some("link_type", link_type, "a frame of a link type that is not read");
        self.lost_some(
            "frame_cut",
            cut,
            "a frame of which the capture holds too little to tell what is in it",
        );
    }

    /// Notes a file that could not be read to its end.
    pub(super) fn file_failed(&mut self, error: &anyhow::Error) {
        self.files.push(format!("{error:#}"));
    }

    fn lost_some(&mut self, reason: &'static str, count: u64, what: &str) {
        if count > 0 {
            self.lost.entry(reason).or_insert_with(|| (0, what.to_owned())).0 += count;
        }
    }

    /// Counts one loss, and keeps the words of the first of its reason.
    pub(super) fn lost(&mut self, reason: &'static str, what: impl Display) {
        self.lost.entry(reason).or_insert_with(|| (0, what.to_string())).0 += 1;
    }

    /// Whether everything was decoded.
    pub(super) fn is_complete(&self) -> bool {
        self.lost.is_empty() && self.files.is_empty()
    }

    /// Tells what was lost, and with `stats` what was read.
    pub(super) fn print(&self, stats: bool, output: &Output<'_>) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        if stats {
            self.print_exporters(&mut stderr)?;
            writeln!(stderr, "{} written", output.written())?;
            if output.left_out() > 0 {
                let why = "copies of flows that the source's agent exports, as the collector leaves them out";
                writeln!(stderr, "{} left out: {why}", output.left_out())?;
            }
        }
        for file in &self.files {
            writeln!(stderr, "podflow: {file}")?;
        }
        for (reason, (count, first)) in &self.lost {
            writeln!(stderr, "lost: {count} × {reason}; the first: {first}")?;
        }
        Ok(())
    }

    fn print_exporters(&self, stderr: &mut impl io::Write) -> io::Result<()> {
        // An IPv6 address may be as long as 39 characters.
        let width =
            self.exporters.keys().map(|address| address.to_string().len() + 1).max().unwrap_or(0).max(16);
        write!(stderr, "{:<width$}", "exporter")?;
        for head in ["messages", "octets", "records", "options", "templates", "missing", "repeated"] {
            write!(stderr, "{head:<14}")?;
        }
        writeln!(stderr, "malformed")?;
        for (address, exporter) in &self.exporters {
            write!(stderr, "{:<width$}", address.to_string())?;
            let Exporter { messages, octets, records, options_records, templates, .. } = exporter;
            for count in [messages, octets, records, options_records, templates] {
                write!(stderr, "{count:<14}")?;
            }
            writeln!(stderr, "{:<14}{:<14}{}", exporter.missing, exporter.duplicates, exporter.malformed)?;
        }
        Ok(())
    }
}

/// Exporters that are told apart.
const MOST_EXPORTERS: usize = 10_000;
