//! What real agents exported of real traffic, once for all tests that only read it: the TCP streams octet by octet, and
//! a capture of the UDP export of the same traffic.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};
use podflow_cli::local::Agent;
use podflow_testbed::traffic::{conversation, datagrams, requests, transfer};
use podflow_testbed::{Shape, Testbed, bed::OUTSIDE_PORT, plan};

use crate::recorder::{Datagrams, Streams};

/// The export of one run of the testbed.
#[derive(Debug)]
pub struct Recording {
    /// What each Node's agent sent over TCP, a whole session each.
    pub streams: Vec<Vec<u8>>,
    /// A capture file of what each Node's other agent sent over UDP.
    pub capture: Vec<u8>,
    /// To which port that went.
    pub udp_port: u16,
    /// How many datagrams were received.
    pub datagrams: usize,
    /// The inventory that names everything in it.
    pub inventory: String,
}

/// The recording, made when it is first asked for.
///
/// # Panics
/// When it cannot be made: tests cannot go on without it.
pub fn recording() -> &'static Recording {
    static RECORDING: OnceLock<Recording> = OnceLock::new();
    RECORDING
        .get_or_init(|| record().unwrap_or_else(|error| panic!("recording the agents' export: {error:#}")))
}

fn record() -> Result<Recording> {
    let bed = Testbed::start(Shape { ipv6: true, ..Shape::default() })?;
    let capture = bed.folder().join("export.pcapng");
    let datagrams = Datagrams::listen(bed.collector_namespace(), &capture)?;
    let streams = Streams::listen(bed.collector_namespace(), bed.nodes().len())?;
    let mut agents = start_agents(&bed, datagrams.port(), "udp")?;
    agents.extend(start_agents(&bed, streams.port(), "tcp")?);
    streams.wait_connected()?;

    make_traffic(&bed)?;
    agents.iter().for_each(Agent::stop);
    agents.into_iter().try_for_each(Agent::join)?;
    Ok(Recording {
        streams: streams.finish()?,
        udp_port: datagrams.port(),
        datagrams: datagrams.finish()?,
        capture: std::fs::read(&capture).context("reading the capture")?,
        inventory: std::fs::read_to_string(bed.inventory_path()).context("reading the inventory")?,
    })
}

fn start_agents(bed: &Testbed, port: u16, transport: &str) -> Result<Vec<Agent>> {
    let collector = plan::collector().v4;
    let configuration = format!(
        "flowCollectorAddr: \"{collector}:{port}:{transport}\"\nflowPollInterval: 1s\nflowExportFrequency: 1\n\
         podflow: {{stateFile: \"\"}}\n"
    );
    bed.nodes().iter().map(|node| Agent::start(bed, node, &configuration)).collect()
}

/// How many connections [`Recording`] is about.
pub const CONNECTIONS: usize = 6 + REQUESTS;
const REQUESTS: usize = 40;

/// Some of every shape: within a Node, between Nodes, through a Service, to the outside, both address families, and one
/// connection that outlives several exports.
fn make_traffic(bed: &Testbed) -> Result<()> {
    let (here, there) = (bed.pod(0, 0), bed.pod(1, 1));
    let over_ipv6 = |pod: &podflow_testbed::Pod| (pod.ips[1], pod.port).into();
    transfer(&here.space, there.address(), 5_000_000)?;
    transfer(&here.space, bed.pod(0, 1).address(), 70_000)?;
    transfer(&there.space, over_ipv6(here), 300_000)?;
    transfer(&there.space, (plan::outside()[0].v4, OUTSIDE_PORT).into(), 80_000)?;
    requests(&here.space, bed.service("cart").address(), REQUESTS, 1000)?;
    datagrams(&here.space, bed.pod(1, 2).address(), 200, 512)?;
    let pieces: Vec<_> = (1..=10).map(|piece| (piece * 10_000, piece * 1000)).collect();
    conversation(&there.space, here.address(), &pieces, Duration::from_millis(400))?;
    Ok(())
}
