//! `podflow-agent connections`: one poll with names, the first thing to look at on a Node.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use podflow_cluster::kubernetes::{self, Scope};
use podflow_cluster::{Directory, Inventory};
use podflow_daemon::readiness::Readiness;
use podflow_flow::protocol;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::RunOptions;
use crate::clock::Clock;
use crate::config::Config;
use crate::conntrack::source::Source;
use crate::conntrack::zones::ZonePlan;
use crate::conntrack::{Entry, Layer4};
use crate::enrich::{Names, Verdict};
use crate::store::moment::Schedule;
use crate::store::{Connection, Limits, Memory, Store};

/// Which connections are wanted; those that meet all that is given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Either end's Pod is in this namespace.
    pub namespace: Option<String>,
    /// Either end's Pod has this name.
    pub pod: Option<String>,
    /// Either end has this address, before or after translation.
    pub address: Option<IpAddr>,
    /// Either end has this port, before or after translation.
    pub port: Option<u16>,
    /// IP protocol number.
    pub protocol: Option<u8>,
}

/// One connection, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    protocol: String,
    source: String,
    source_name: String,
    destination: String,
    destination_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dialled: String,
    service: String,
    state: String,
    zone: u16,
    packets: u64,
    octets: u64,
    reverse_packets: u64,
    reverse_octets: u64,
    age_seconds: u64,
    /// `yes`, or why not.
    exported: &'static str,
}

/// Polls conntrack once in this thread's network namespace and gives the connections as a table, or as JSON, one
/// object a line. Nothing of the kernel's is switched on for it.
///
/// # Errors
/// When conntrack cannot be read, or names cannot be had.
pub async fn connections(
    config: &Config,
    options: &RunOptions,
    filter: &Filter,
    json: bool,
) -> Result<String> {
    let directory = names_once(config, options).await?;
    let names = Names::of(config, &options.node_name, directory);
    let clock = Clock::start();
    let limits = Limits {
        connections: usize::MAX,
        ended: 0,
        schedule: Schedule::new(config.export_interval, config.poll_interval, None),
        uncounted: true,
    };
    let mut store = Store::new(limits, Memory::default(), 0);
    let mut source = Source::open(&config.source, usize::MAX).context("reading conntrack")?;
    let mut zones = ZonePlan::new(config.zones.clone());
    if zones.is_open() {
        source.dump(None, &mut |entry| zones.found(entry.zones)).context("reading conntrack")?;
    }
    store.begin_dump();
    let now = clock.now();
    for zone in zones.dumps() {
        let mut on_entry = |entry: &Entry| {
            if zones.wants(entry.zones) {
                store.seen(entry, now);
            }
        };
        source.dump(zone, &mut on_entry).context("reading conntrack")?;
    }
    let now_ms = clock.now().wall_ms;
    let shown: Vec<Shown> =
        store.connections().filter_map(|connection| shown(connection, &names, filter, now_ms)).collect();
    if !json {
        return Ok(table(&shown));
    }
    let lines: Result<Vec<String>, _> = shown.iter().map(serde_json::to_string).collect();
    Ok(lines?.into_iter().map(|line| line + "\n").collect())
}

/// Who is behind the addresses, as of now.
async fn names_once(config: &Config, options: &RunOptions) -> Result<Arc<Directory>> {
    let directory = Arc::new(Directory::default());
    directory.set_cluster_ranges(config.cluster_ranges.clone());
    if let Some(path) = &options.inventory {
        directory.replace(Inventory::read(path)?, 0);
        return Ok(directory);
    }
    let client = kubernetes::client().await?;
    let readiness = Readiness::default();
    let scope = Scope::Node { name: options.node_name.as_str().into(), services: config.service_names };
    let (watching, stop) = (Arc::clone(&directory), CancellationToken::new());
    let follow = kubernetes::follow(client, scope, watching, &readiness, stop.clone());
    let ready = async {
        // The first look is taken after the watches have begun to be waited for.
        loop {
            tokio::time::sleep(LOOK).await;
            if readiness.awaited().is_empty() {
                return;
            }
        }
    };
    tokio::select! {
        ended = follow => ended?,
        () = ready => {}
        () = tokio::time::sleep(PATIENCE) => {
            tracing::warn!(awaited = readiness.awaited().join(", "), "names are not complete");
        }
    }
    stop.cancel();
    Ok(directory)
}

fn shown(connection: &Connection, names: &Names, filter: &Filter, now_ms: u64) -> Option<Shown> {
    let named = names.judge(connection);
    let (original, endpoint) = (connection.key.original, connection.key.endpoint);
    let (source_pod, destination_pod) = (named.source.pod(), named.destination.pod());
    let pods = [source_pod, destination_pod];
    let has_pod = |wanted: &Option<String>, of: fn(&podflow_cluster::object::Pod) -> &str| {
        wanted.as_deref().is_none_or(|wanted| pods.iter().flatten().any(|pod| of(pod) == wanted))
    };
    let addresses = [original.source, original.destination, endpoint.address];
    let ports = [original.source_port(), original.destination_port(), endpoint.port];
    let wanted = has_pod(&filter.namespace, |pod| &pod.namespace)
        && has_pod(&filter.pod, |pod| &pod.name)
        && filter.address.is_none_or(|address| addresses.contains(&address))
        && filter.port.is_none_or(|port| ports.contains(&port))
        && filter.protocol.is_none_or(|protocol| protocol == original.protocol);
    if !wanted {
        return None;
    }
    let has_ports = matches!(original.layer4, Layer4::Ports { .. });
    let at = |address: IpAddr, port: u16| match address {
        _ if !has_ports => address.to_string(),
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    };
    let dialled = (original.destination, original.destination_port());
    let translated = dialled != (endpoint.address, endpoint.port) && has_ports;
    let counters = connection.counters;
    Some(Shown {
        protocol: protocol::name(original.protocol)
            .map_or_else(|| original.protocol.to_string(), str::to_owned),
        source: at(original.source, original.source_port()),
        source_name: named.source.name(&names.node),
        destination: at(endpoint.address, endpoint.port),
        destination_name: named.destination.name(&names.node),
        dialled: if translated { at(dialled.0, dialled.1) } else { String::new() },
        service: named.service.as_ref().map(|service| service.name.to_string()).unwrap_or_default(),
        state: crate::enrich::tcp_state(connection.state).to_owned(),
        zone: connection.key.zones.original,
        packets: counters.packets,
        octets: counters.octets,
        reverse_packets: counters.reverse_packets,
        reverse_octets: counters.reverse_octets,
        age_seconds: now_ms.saturating_sub(connection.start_ms) / 1_000,
        exported: match named.verdict {
            Verdict::Export(_) => "yes",
            Verdict::Leave(left) => left.label(),
        },
    })
}

/// Columns as wide as their widest cell.
fn table(connections: &[Shown]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(connections.iter().map(|one| {
        [
            one.protocol.clone(),
            one.source.clone(),
            one.source_name.clone(),
            one.destination.clone(),
            one.destination_name.clone(),
            one.service.clone(),
            one.state.clone(),
            one.octets.to_string(),
            one.reverse_octets.to_string(),
            format!("{}s", one.age_seconds),
            one.exported.to_owned(),
        ]
    }));
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

const HEADINGS: [&str; 11] = [
    "PROTOCOL",
    "SOURCE",
    "NAME",
    "DESTINATION",
    "NAME",
    "SERVICE",
    "STATE",
    "OCTETS",
    "REVERSE",
    "AGE",
    "EXPORTED",
];

/// How often it is looked whether all names are there.
const LOOK: Duration = Duration::from_millis(100);

/// How long names are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
