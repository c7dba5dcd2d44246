//! `podflow store`: looks at, checks, copies and prints an embedded store's data directory, also while a collector
//! writes to it.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use podflow_collector::store::admin::{self, Reader};

/// The embedded store's data directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The collector's data directory.
    #[arg(long, global = true, default_value = "podflow-data", value_name = "DIR")]
    data: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Documents, octets, files, slices and times, as JSON.
    Info,
    /// Reads everything and compares checksums; exit status 1 where a file is damaged.
    Verify,
    /// Copies the data as it is now; by hard links where both are on one file system. A store can be opened on the copy.
    Snapshot {
        /// Where to; must not exist.
        target: PathBuf,
    },
    /// Prints documents, one JSON a line, oldest hour first.
    Export {
        /// From this time on, such as 2026-11-22T20:00:00Z.
        #[arg(long, value_name = "TIME")]
        from: Option<jiff::Timestamp>,
        /// Before this time.
        #[arg(long, value_name = "TIME")]
        to: Option<jiff::Timestamp>,
    },
}

/// Does it.
///
/// # Errors
/// When the directory cannot be read, or the output cannot be written.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let open = |verify| {
        Reader::open(&options.data, verify)
            .with_context(|| format!("reading the store {} (--data names another)", options.data.display()))
    };
    match &options.action {
        Action::Info => {
            let reader = open(false)?;
            println!("{}", serde_json::to_string_pretty(&reader.info())?);
            Ok(damage(&reader))
        }
        Action::Verify => {
            let reader = open(true)?;
            let info = reader.info();
            println!("{} documents in {} files are whole", info.documents, info.segments);
            Ok(damage(&reader))
        }
        Action::Snapshot { target } => {
            let files = admin::snapshot(&options.data, target).with_context(|| {
                format!("copying the store {} to {}", options.data.display(), target.display())
            })?;
            println!("{files} files in {}", target.display());
            Ok(ExitCode::SUCCESS)
        }
        Action::Export { from, to } => {
            let reader = open(false)?;
            let from = from.map_or(i64::MIN, jiff::Timestamp::as_millisecond);
            let to = to.map_or(i64::MAX, jiff::Timestamp::as_millisecond);
            let mut output = BufWriter::new(std::io::stdout().lock());
            let count = reader.export(from..to, &mut output).context("printing documents")?;
            output.flush().context("printing documents")?;
            eprintln!("{count} documents");
            Ok(damage(&reader))
        }
    }
}

/// Names what is damaged, on standard error.
fn damage(reader: &Reader) -> ExitCode {
    for (path, error) in &reader.damaged {
        eprintln!("damaged: {}: {error}", path.display());
    }
    if reader.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
