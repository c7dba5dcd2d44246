//! `podflow decode`: recorded IPFIX and NetFlow to the documents that the collector would store.
//!
//! The way of the data: [`input`] tells the file formats apart, [`decoder`] finds the messages and decodes them,
//! [`output`] writes each record. What could not be decoded is counted by [`tally`] and told on stderr. Memory does
//! not grow with the file.

mod input;

mod decoder;

mod output;

mod tally;

mod progress;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use decoder::Decoder;
use input::Input;
use output::Output;
use progress::Progress;

/// Decode recorded IPFIX, NetFlow v9 and NetFlow v5 into documents, one JSON a line.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Files to read: IPFIX files (RFC 5655), pcap, pcapng; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What to print for each record
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Ndjson)]
    output: Format,
    /// Only what was sent to these ports; without it, whatever looks like IPFIX or NetFlow
    #[arg(long, value_name = "PORT")]
    port: Vec<u16>,
    /// Elements beyond the known ones, in the format of the Logstash netflow codec
    #[arg(long, value_name = "FILE")]
    definitions: Vec<PathBuf>,
    /// Nodes, Pods and Services by address, to name both ends of a flow
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// Name of the cluster that the exporters belong to, as in the collector's configuration
    #[arg(long, value_name = "NAME", default_value = "")]
    cluster_name: String,
    /// The exporter's address for files that do not carry one (RFC 5655)
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    exporter: IpAddr,
    /// Print what was read, for each exporter, on stderr
    #[arg(long)]
    stats: bool,
}

/// What to print for each record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// The documents that the collector would store
    Ndjson,
    /// Columns for reading
    Table,
    /// The elements as decoded, options records too
    Raw,
}

/// Decodes all files; 0 when everything was decoded, 1 when anything was lost.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let progress = Progress::new(&arguments.files);
    let mut output = Output::new(arguments, &progress)?;
    let registry = podflow_collector::definitions::registry(&arguments.definitions)?;
    let mut decoder = Decoder::new(&arguments.port, arguments.exporter, registry);
    for path in &arguments.files {
        let read = Input::open(path, &progress, output.lines())
            .and_then(|input| input.read(&mut decoder, &mut output))
            .with_context(|| path.display().to_string());
        match read {
            Ok(()) => {}
            // The reader of our output has gone: nothing is lost that anybody wants.
            Err(error) if is_broken_pipe(&error) => return Ok(ExitCode::SUCCESS),
            // One bad file does not keep the others from being read.
            Err(error) => decoder.tally.file_failed(&error),
        }
    }
    output.finish()?;
    progress.finish();
    decoder.tally.print(arguments.stats, &output)?;
    Ok(if decoder.tally.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How it is used, behind the options.
const AFTER_HELP: &str = "\
Examples:
  podflow decode --inventory cluster.yml -o table capture.pcap
  tcpdump -i any -U -w - port 4739 | podflow decode --stats - > flows.ndjson

What could not be decoded is counted on stderr, by reason, with the first of each. The exit status is 0 when everything
was decoded, 1 when anything was lost.";

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(broken)
}
