//! `podflow-agent`: the command line, and the order in which things happen.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use podflow_agent::config::Config;
use podflow_agent::{Filter, RunOptions, connections, run};
use podflow_daemon::config::EXIT_BAD_CONFIG;
use podflow_daemon::{logging, shutdown};
use podflow_flow::protocol;
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
    /// Polls connection tracking once and prints the connections with names.
    Connections {
        /// The configuration, for zones and ranges; without one, the defaults.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Takes names from this file instead of the Kubernetes API.
        #[arg(long)]
        inventory: Option<PathBuf>,
        /// Name of this Node.
        #[arg(long, env = "NODE_NAME", default_value_t = host_name())]
        node_name: String,
        /// How to print them.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
        /// Only those of Pods of this namespace.
        #[arg(short, long)]
        namespace: Option<String>,
        /// Only those of Pods of this name.
        #[arg(long)]
        pod: Option<String>,
        /// Only those with this address at either end.
        #[arg(long)]
        address: Option<IpAddr>,
        /// Only those with this port at either end.
        #[arg(long)]
        port: Option<u16>,
        /// Only those of this protocol, by name or number.
        #[arg(long, value_parser = protocol_number)]
        protocol: Option<u8>,
    },
    /// Checks a configuration and says everything that is wrong with it.
    CheckConfig {
        /// The configuration file.
        file: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    Table,
    Json,
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
        Command::Connections {
            config,
            inventory,
            node_name,
            output,
            namespace,
            pod,
            address,
            port,
            protocol,
        } => {
            let config = match config.as_deref().map_or_else(|| Config::parse(NO_EXPORT), Config::load) {
                Ok(config) => config,
                Err(faults) => {
                    error!("the configuration cannot be used:\n{faults}");
                    return ExitCode::from(EXIT_BAD_CONFIG);
                }
            };
            let filter = Filter { namespace, pod, address, port, protocol };
            match print_connections(&config, &RunOptions { inventory, node_name }, &filter, output) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    error!("{error:#}");
                    ExitCode::FAILURE
                }
            }
        }
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

#[tokio::main(flavor = "current_thread")]
async fn print_connections(
    config: &Config,
    options: &RunOptions,
    filter: &Filter,
    output: Output,
) -> Result<()> {
    print!("{}", connections(config, options, filter, output == Output::Json).await?);
    Ok(())
}

fn protocol_number(text: &str) -> Result<u8, &'static str> {
    protocol::number(text).or_else(|| text.parse().ok()).ok_or("neither a protocol's name nor its number")
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

/// A configuration for looking only.
const NO_EXPORT: &str = "featureGates: {FlowExporter: false}";
