//! A collector in a process of its own, to be killed by tests: its IPFIX sockets are in the network namespace whose
//! path is the second argument, its page is where it was started. The first argument is its configuration.

use std::path::PathBuf;

use anyhow::{Context, Result};
use podflow_collector::app;
use podflow_collector::config::Config;
use podflow_testbed::Namespace;
use tokio_util::sync::CancellationToken;

fn main() -> Result<()> {
    // Nobody is left to stop it when the test has been killed.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [config, space] = arguments.as_slice() else { anyhow::bail!("usage: CONFIGURATION NAMESPACE") };
    let config = Config::load(Some(config))?;
    let mut listeners = Namespace::open("collector", space)?.enter(|| app::bind_ipfix(&config))??;
    let page = app::bind_http(&config)?.context("no page is configured")?;
    println!("{}", page.local_addr()?);
    listeners.http = Some(page);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(app::run(config, listeners, CancellationToken::new()))
}
