//! `podflow demo`: Nodes and Pods as network namespaces with real traffic, one agent on each Node, and a
//! collector with its own store and page, all in this one process.
//!
//! The page is bound first, where the user is; everything else lives in namespaces that only this process
//! holds. So a name that cannot be had is said before anything is built, and nothing outlives the process.

mod greeting;

mod signals;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use futures::future::select_all;
use podflow_cli::local::{Agent, Collector, collector_address, embedded_store};
use podflow_testbed::traffic::mix;
use podflow_testbed::{Folder, Shape, Testbed, user_namespace};

/// What the user may choose.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Address the web page listens on; 0.0.0.0 lets other machines in, without a password.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,

    /// Port of the web page; 0 takes a free one.
    #[arg(long, default_value_t = 30007)]
    port: u16,

    /// How many Nodes.
    #[arg(long, default_value_t = 3)]
    nodes: usize,

    /// How many Pods on each Node.
    #[arg(long, default_value_t = 6)]
    pods: usize,

    /// Gives everything an IPv6 address too.
    #[arg(long)]
    ipv6: bool,
}

/// Runs until a signal comes.
pub(crate) fn run(options: &Options) -> Result<()> {
    podflow_daemon::logging::init("warn");
    let page = bind_page(SocketAddr::new(options.listen, options.port))?;
    let address = page.local_addr().context("asking for the page's address")?;
    user_namespace::ensure_root()?;

    let folder = Arc::new(Folder::new()?);
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let stop = signals::listen(&runtime, Arc::clone(&folder))?;

    let shape =
        Shape { nodes: options.nodes, pods_per_node: options.pods, ipv6: options.ipv6, ..Shape::default() };
    let mut bed = Testbed::start_in(shape, folder)?;
    let settings = format!(
        "exportInterval: \"{SECONDS_BETWEEN_EXPORTS}s\"\n{}",
        embedded_store(&bed.folder().join("store"))
    );
    let mut collector = Collector::start(&runtime, &bed, page, &settings)?;
    let agents = start_agents(&bed)?;
    mix(&mut bed)?;
    greeting::print(&bed, address);

    let failed = runtime.block_on(async {
        let any_agent = select_all(agents.iter().map(|agent| Box::pin(agent.ended().cancelled())));
        tokio::select! {
            () = stop.cancelled() => None,
            // Which one, and why, is told when they are joined.
            _ = any_agent => None,
            failure = collector.failed() => Some(failure),
        }
    });
    // All at once, then the collector, which stores what they said last; the Nodes go when nobody needs them.
    agents.iter().for_each(Agent::stop);
    let ended = agents.into_iter().map(Agent::join).fold(Ok(()), Result::and);
    let ended = match failed {
        Some(failure) => Err(failure),
        None => {
            let drained = runtime.block_on(collector.stop());
            ended.and(drained)
        }
    };
    drop(bed);
    ended
}

fn start_agents(bed: &Testbed) -> Result<Vec<Agent>> {
    let collector = collector_address();
    // The shortest times the agent takes: somebody is looking at the page now. What it remembers would outlive it.
    let configuration = format!(
        "flowCollectorAddr: \"{collector}:tcp\"\n\
         flowPollInterval: \"1s\"\n\
         flowExportFrequency: {SECONDS_BETWEEN_EXPORTS}\n\
         podflow: {{stateFile: \"\"}}\n"
    );
    bed.nodes().iter().map(|node| Agent::start(bed, node, &configuration)).collect()
}

/// Polls, a second apart, between two records of a flow.
const SECONDS_BETWEEN_EXPORTS: u32 = 5;

/// Binds the page's address before anything else is done.
fn bind_page(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => {
                "another program listens there; choose another port with --port, or 0 for any"
            }
            ErrorKind::AddrNotAvailable => "this machine has no such address; see `ip address`",
            ErrorKind::PermissionDenied => "ports below 1024 are for root; choose another with --port",
            _ => "choose another with --listen and --port",
        };
        anyhow!(error).context(format!("the web page cannot listen on {address}: {advice}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occupied_port_is_named_with_what_to_do() {
        let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = occupied.local_addr().unwrap();
        let error = format!("{:#}", bind_page(address).unwrap_err());
        assert!(error.contains(&format!("cannot listen on {address}: another program")), "{error}");
        assert!(error.contains("--port"), "{error}");
    }
}
