//! `podflow`, the user's command: reads the command line and hands over to the module of that name.

mod decode;

mod demo;

mod query;

mod flows;

mod top;

mod dashboards;

mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Network flow visibility for Kubernetes.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A small cluster on this machine: real traffic, an agent on every Node, a collector, and the web page.
    Demo(demo::Options),
    Decode(decode::Arguments),
    /// Flow records of a collector or of Elasticsearch.
    Flows(flows::Options),
    /// Who moves most bytes now.
    Top(top::Options),
    Dashboards(dashboards::Arguments),
    /// The embedded store's data directory: info, verify, snapshot, export.
    Store(store::Options),
}

fn main() -> ExitCode {
    // No runtime here: the demo has to move into a user namespace while the process has one thread.
    let done = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Flows(options) => flows::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Top(options) => top::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Dashboards(arguments) => dashboards::run(&arguments),
        Command::Store(options) => store::run(&options),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("podflow: {error:#}");
            ExitCode::FAILURE
        }
    }
}
