//! `podflow-collector`: `run` until a signal, or `check-config`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use tracing::{info, warn};

use podflow_collector::app;
use podflow_collector::config::Config;
use podflow_daemon::config::{BadConfig, EXIT_BAD_CONFIG};
use podflow_daemon::{logging, shutdown};

/// Receives IPFIX and NetFlow, names Pods and Services, writes one document per flow record.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Collects until SIGTERM or SIGINT. Without a configuration: IPFIX on 4739 udp and tcp, embedded store under
    /// ./podflow-data, web page on 127.0.0.1:8080.
    Run {
        /// The configuration, collector.yml. A file that is not there means defaults.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Sends the dead letters again: documents that the server refused, once the reason is gone.
    Redeliver {
        /// The configuration, collector.yml.
        #[arg(long)]
        config: PathBuf,
    },
    /// Checks a configuration and prints all its faults; exit status 0 or 64.
    CheckConfig {
        /// The configuration, collector.yml.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    logging::init("info");
    let outcome = match Arguments::parse().command {
        Command::CheckConfig { file } => {
            return match Config::load(Some(&file)) {
                Ok(_) => {
                    println!("{} is good", file.display());
                    ExitCode::SUCCESS
                }
                Err(faults) => bad_config(&faults),
            };
        }
        Command::Redeliver { config } => match Config::load(Some(&config)) {
            Ok(config) => redeliver(&config),
            Err(faults) => return bad_config(&faults),
        },
        Command::Run { config } => match load(config.as_deref()) {
            Ok(config) => run(config),
            Err(faults) => return bad_config(&faults),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("podflow-collector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The configuration; an old ConfigMap has none, and that means defaults.
fn load(path: Option<&Path>) -> Result<Config, BadConfig> {
    match path {
        Some(path) if !path.exists() => {
            warn!(config = %path.display(), "there is no such file: the defaults hold");
            Config::load(None)
        }
        path => Config::load(path),
    }
}

fn run(config: Config) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let shutdown = shutdown::token().context("installing signal handlers")?;
        let listeners = app::bind(&config)?;
        info!(version = env!("CARGO_PKG_VERSION"), "podflow-collector starts");
        app::run(config, listeners, shutdown).await
    })
}

fn redeliver(config: &Config) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let outcome = runtime.block_on(async {
        let shutdown = shutdown::token().context("installing signal handlers")?;
        podflow_collector::redeliver::run(config, &shutdown).await
    })?;
    println!(
        "{} stored, {} refused again, {} not sent, {} lines were no letters",
        outcome.stored, outcome.refused, outcome.left, outcome.unreadable
    );
    ensure!(outcome.refused == 0 && outcome.left == 0, "not every letter was stored");
    Ok(())
}

fn bad_config(faults: &BadConfig) -> ExitCode {
    eprintln!("{faults}");
    ExitCode::from(EXIT_BAD_CONFIG)
}
