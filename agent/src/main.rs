//! `podflow-agent`: the command line, and the order in which things happen.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use podflow_agent::config::Config;
use podflow_agent::{RunOptions, run};
use podflow_daemon::config::EXIT_BAD_CONFIG;
use podflow_daemon::{logging, shutdown};
use tracing::{error, info};

/// Exports the flows of a Node as IPFIX.
#[derive(Parser)]
#[command(version, name = "podflow-agent")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reads connection tracking and exports flow records until told to stop.
    Run {
        /// The configuration: an antrea-agent.conf, with our own keys under `podflow`.
        #[arg(long)]
        config: PathBuf,
        /// Takes names from this file instead of the Kubernetes API.
        #[arg(long)]
        inventory: Option<PathBuf>,
        /// Name of this Node.
        #[arg(long, env = "NODE_NAME", default_value_t = host_name())]
        node_name: String,
    },
    /// Checks a configuration and says everything that is wrong with it.
    CheckConfig {
        /// The configuration file.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::init("info");
    match arguments.command {
        Command::CheckConfig { file } => match Config::load(&file) {
            Ok(_) => {
                println!("{}: good", file.display());
                ExitCode::SUCCESS
            }
            Err(faults) => {
                eprintln!("{}:\n{faults}", file.display());
                ExitCode::from(EXIT_BAD_CONFIG)
            }
        },
        Command::Run { config, inventory, node_name } => match Config::load(&config) {
            Err(faults) => {
                error!("{} cannot be used:\n{faults}", config.display());
                ExitCode::from(EXIT_BAD_CONFIG)
            }
            Ok(config) => match serve(config, RunOptions { inventory, node_name }) {
                Ok(()) => {
                    info!("stopped");
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    error!("{error:#}");
                    ExitCode::FAILURE
                }
            },
        },
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(config: Config, options: RunOptions) -> Result<()> {
    let shutdown = shutdown::token()?;
    run(config, options, shutdown).await
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
