//! From what the file says to a [`Config`], with every fault on the way.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use podflow_daemon::config::{BadConfig, Faults};

use super::reader::{Reader, Table, at};
use super::{Config, Probes, Resend, address, keys};

pub(super) fn config(text: &str) -> Result<Config, BadConfig> {
    let root = match serde_saphyr::from_str::<Option<Table>>(text) {
        Ok(root) => root.unwrap_or_default(),
        Err(error) => return Err(BadConfig::one(format!("the file is not a YAML mapping: {error}"))),
    };
    let mut faults = Faults::default();
    let mut ignored = Vec::new();
    for key in root.keys().map(String::as_str) {
        if keys::ANTREA.contains(&key) {
            ignored.push(key.to_owned());
        } else if !keys::OURS.contains(&key) {
            faults.unknown("", key, keys::OURS.into_iter().chain(keys::ANTREA));
        }
    }
    let mut read = Reader { faults: &mut faults };
    let gates = read.table(&root, "", "featureGates", &keys::GATES);
    let nested = read.table(&root, "", "flowExporter", &keys::FLOW_EXPORTER);
    let ours = read.table(&root, "", "podflow", &keys::PODFLOW);
    let tls = read.table(&ours, "podflow", "tls", &keys::TLS);
    let tunnels = read.table(&ours, "podflow", "tunnels", &keys::TUNNELS);

    let enabled = read.boolean(&gates, "featureGates", "FlowExporter", true)
        & read.boolean(&nested, "flowExporter", "enable", true);
    let service_names = read.boolean(&gates, "featureGates", "AntreaProxy", true);

    // The nested form is the newer one and wins where a file has both.
    let in_nested = |key: &str| nested.contains_key(key);
    let (table, name) = if in_nested("flowCollectorAddr") { (&nested, "flowExporter") } else { (&root, "") };
    let collector = read.text(table, name, "flowCollectorAddr");
    if enabled && collector.as_deref().is_none_or(str::is_empty) {
        read.faults.missing("flowCollectorAddr", "<host>:<port>[:<protocol>] of the collector");
    }
    let collector = collector
        .filter(|text| !text.is_empty())
        .and_then(|text| read.faults.take(&at(name, "flowCollectorAddr"), &text, address::parse(&text)));

    let (table, name) = if in_nested("flowPollInterval") { (&nested, "flowExporter") } else { (&root, "") };
    let second = Duration::from_secs(1);
    let poll_interval = read.duration(table, name, "flowPollInterval", second).unwrap_or(POLL_INTERVAL);
    let frequency = read.number(&root, "", "flowExportFrequency", 1..=86_400).unwrap_or(EXPORT_FREQUENCY);
    let active = read.duration(&nested, "flowExporter", "activeFlowExportTimeout", second);
    let polls = u32::try_from(frequency).unwrap_or(u32::MAX);
    let export_interval = active.unwrap_or_else(|| poll_interval.saturating_mul(polls));
    let idle_timeout = read
        .duration(&nested, "flowExporter", "idleFlowExportTimeout", second)
        .or_else(|| read.duration(&ours, "podflow", "idleTimeout", second));

    let config = Config {
        enabled,
        service_names,
        collector,
        poll_interval,
        export_interval,
        idle_timeout,
        source: read.source(&ours, &root),
        zones: read.zones(&ours),
        cluster_ranges: read.ranges(&ours),
        cluster_name: read.text(&ours, "podflow", "clusterName").unwrap_or_default(),
        template: read.profile(&ours),
        seconds_octets: read.seconds_octets(&ours),
        // Below 512 no template would fit; above 65,535 there is no packet.
        path_mtu: read
            .number(&ours, "podflow", "pathMTU", 512..=65_535)
            .and_then(|octets| octets.try_into().ok()),
        resend: read.word(&ours, "resend", &[("auto", Resend::Auto), ("never", Resend::Never)]),
        probes: read.word(&ours, "probes", &[("exclude", Probes::Exclude), ("include", Probes::Include)]),
        exclude: read.rules(&ours),
        tunnels: read.tunnels(&tunnels),
        status_addr: read.socket(&ours, "statusAddr").unwrap_or(STATUS_ADDR),
        metrics_addr: read.socket(&ours, "metricsAddr"),
        tls: read.tls(&tls),
        max_connections: read.size(&ours, "maxConnections", MAX_CONNECTIONS),
        max_ended_flows: read.size(&ours, "maxEndedFlows", MAX_ENDED_FLOWS),
        state_file: match read.text(&ours, "podflow", "stateFile") {
            None => Some(PathBuf::from(STATE_FILE)),
            Some(path) => (!path.is_empty()).then(|| PathBuf::from(path)),
        },
        resend_octets: read.size(&ours, "resendOctets", RESEND_OCTETS),
        ignored,
    };
    if config.export_interval < config.poll_interval {
        faults.value(
            "flowExporter.activeFlowExportTimeout",
            humantime::format_duration(config.export_interval),
            "is shorter than flowPollInterval: nothing new is known more often than it is polled",
        );
    }
    faults.or(Some(config))
}

const POLL_INTERVAL: Duration = Duration::from_secs(5);
const EXPORT_FREQUENCY: u64 = 12;

/// Beside Antrea's own ports on the Node's network.
const STATUS_ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 10_360);

/// The kernel's own default limit on large machines.
const MAX_CONNECTIONS: usize = 262_144;

/// A minute of 1,000 ends a second, at 300 octets each: 20 MB.
const MAX_ENDED_FLOWS: usize = 65_536;

/// A minute of some 5,000 records a second.
const RESEND_OCTETS: usize = 64 * 1024 * 1024;

/// On a tmpfs: it matters only until the machine boots again.
pub(super) const STATE_FILE: &str = "/run/podflow/agent.state";
