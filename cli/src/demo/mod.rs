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
    mix(&mut bed)?;
    greeting::print(&bed, address);

    runtime.block_on(stop.cancelled());
    drop(bed);
    Ok(())
}

/// The shortest the agents take.
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
