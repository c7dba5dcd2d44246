//! From what the file says to a [`Config`], with every fault on the way.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use podflow_daemon::config::{BadConfig, Faults};
use podflow_flow::{Profile, protocol};
use serde_json::{Map, Value};

use super::{Config, Resend, Tls, Tunnels, address, duration, keys};

type Table = Map<String, Value>;

/// One rule of `podflow.exclude`: a flow that meets all of its conditions is left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rule {
    /// The kind, such as `Pod-to-External`.
    pub kind: Option<String>,
    /// A network that either end lies in.
    pub network: Option<IpNet>,
    /// A port of either end.
    pub port: Option<u16>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// Namespace of either Pod.
    pub namespace: Option<String>,
}

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

    read.probes(&ours);
    let config = Config {
        enabled,
        service_names,
        collector,
        poll_interval,
        export_interval,
        idle_timeout,
        zones: read.zones(&ours),
        cluster_ranges: read.ranges(&ours),
        cluster_name: read.text(&ours, "podflow", "clusterName").unwrap_or_default(),
        template: read.profile(&ours),
        seconds_octets: read.seconds_octets(&ours),
        resend: read.word(&ours, "resend", &[("auto", Resend::Auto), ("never", Resend::Never)]),
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

/// Reads values out of tables and notes what is wrong with them.
struct Reader<'f> {
    faults: &'f mut Faults,
}

impl Reader<'_> {
    /// A table of known keys; empty where the file has none.
    fn table(&mut self, parent: &Table, prefix: &str, key: &str, known: &[&str]) -> Table {
        let path = at(prefix, key);
        match parent.get(key) {
            None | Some(Value::Null) => Table::new(),
            Some(Value::Object(table)) => {
                for stray in table.keys().filter(|stray| !known.contains(&stray.as_str())) {
                    self.faults.unknown(&path, stray, known.iter().copied());
                }
                table.clone()
            }
            Some(other) => {
                self.faults.value(&path, shown(other), "is not a table of keys");
                Table::new()
            }
        }
    }

    fn boolean(&mut self, table: &Table, prefix: &str, key: &str, default: bool) -> bool {
        match table.get(key) {
            None | Some(Value::Null) => default,
            Some(Value::Bool(value)) => *value,
            Some(other) => {
                self.faults.value(&at(prefix, key), shown(other), "is neither true nor false");
                default
            }
        }
    }

    fn text(&mut self, table: &Table, prefix: &str, key: &str) -> Option<String> {
        match table.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => {
                self.faults.value(&at(prefix, key), shown(other), "is not text");
                None
            }
        }
    }

    fn duration(&mut self, table: &Table, prefix: &str, key: &str, least: Duration) -> Option<Duration> {
        let text = self.text(table, prefix, key)?;
        let path = at(prefix, key);
        let duration = self.faults.take(&path, &text, duration::parse(&text))?;
        if duration < least {
            let least = humantime::format_duration(least);
            self.faults.value(&path, &text, format!("is too short: at least {least}"));
            return None;
        }
        Some(duration)
    }

    fn number(
        &mut self,
        table: &Table,
        prefix: &str,
        key: &str,
        allowed: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = table.get(key).filter(|value| !value.is_null())?;
        let number = value.as_u64().filter(|number| allowed.contains(number));
        if number.is_none() {
            let (least, most) = allowed.into_inner();
            self.faults.value(
                &at(prefix, key),
                shown(value),
                format!("is not a number from {least} to {most}"),
            );
        }
        number
    }

    fn size(&mut self, ours: &Table, key: &str, default: usize) -> usize {
        self.number(ours, "podflow", key, 1..=1 << 32)
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(default)
    }

    fn word<T: Copy + Default>(&mut self, ours: &Table, key: &str, words: &[(&str, T)]) -> T {
        let Some(text) = self.text(ours, "podflow", key) else { return T::default() };
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let allowed = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            self.faults.value(&at("podflow", key), &text, format!("is not one of {allowed}"));
        }
        found.map_or_else(T::default, |(_, value)| *value)
    }

    fn profile(&mut self, ours: &Table) -> Profile {
        let Some(text) = self.text(ours, "podflow", "template") else { return Profile::default() };
        let profile = Profile::parse(&text);
        if profile.is_none() {
            let allowed = Profile::WORDS.join(", ");
            self.faults.value("podflow.template", &text, format!("is not one of {allowed}"));
        }
        profile.unwrap_or_default()
    }

    /// Only one of the two words can be honoured.
    fn probes(&mut self, ours: &Table) {
        match self.text(ours, "podflow", "probes").as_deref() {
            None | Some("include") => {}
            Some("exclude") => self.faults.value(
                "podflow.probes",
                "exclude",
                "cannot be done: this agent does not know the Pods' probe ports. Leave probes out with a rule of \
                 podflow.exclude, such as {kind: Node-to-Pod, port: 8080}",
            ),
            Some(other) => self.faults.value("podflow.probes", other, "is not include"),
        }
    }

    fn seconds_octets(&mut self, ours: &Table) -> u16 {
        match self.number(ours, "podflow", "secondsOctets", 4..=8) {
            None | Some(4) => 4,
            Some(8) => 8,
            Some(other) => {
                self.faults.value("podflow.secondsOctets", other, "is neither 4 nor 8");
                4
            }
        }
    }

    fn list<'v>(&mut self, table: &'v Table, prefix: &str, key: &str) -> Option<&'v [Value]> {
        match table.get(key)? {
            Value::Null => None,
            Value::Array(list) => Some(list),
            other => {
                self.faults.value(&at(prefix, key), shown(other), "is not a list");
                None
            }
        }
    }

    /// A list of numbers, each within `allowed`.
    fn numbers<N: TryFrom<u64>>(
        &mut self,
        table: &Table,
        prefix: &str,
        key: &str,
        most: u64,
    ) -> Option<Vec<N>> {
        let list = self.list(table, prefix, key)?;
        let mut numbers = Vec::new();
        for value in list {
            match value.as_u64().and_then(|number| N::try_from(number).ok()) {
                Some(number) => numbers.push(number),
                None => {
                    let why = format!("is not a number from 0 to {most}");
                    self.faults.value(&at(prefix, key), shown(value), why);
                }
            }
        }
        Some(numbers)
    }

    fn zones(&mut self, ours: &Table) -> Vec<u16> {
        if ours.get("conntrackZones").and_then(Value::as_str) == Some("auto") {
            return ZONES.to_vec();
        }
        match self.numbers(ours, "podflow", "conntrackZones", u16::MAX.into()) {
            Some(zones) if zones.is_empty() => {
                self.faults.other("podflow.conntrackZones is empty: \"auto\", or at least one zone");
                ZONES.to_vec()
            }
            Some(zones) => zones,
            None => ZONES.to_vec(),
        }
    }

    fn ranges(&mut self, ours: &Table) -> Vec<IpNet> {
        let mut ranges = Vec::new();
        for value in self.list(ours, "podflow", "clusterCIDRs").unwrap_or_default() {
            match value.as_str().and_then(|text| text.parse().ok()) {
                Some(range) => ranges.push(range),
                None => self.faults.value(
                    "podflow.clusterCIDRs",
                    shown(value),
                    "is no network, such as 10.10.0.0/16",
                ),
            }
        }
        ranges
    }

    fn socket(&mut self, ours: &Table, key: &str) -> Option<SocketAddr> {
        let text = self.text(ours, "podflow", key)?;
        let parsed = text.parse().map_err(|_| "is no address with a port, such as 127.0.0.1:10360");
        self.faults.take(&at("podflow", key), &text, parsed)
    }

    fn tunnels(&mut self, table: &Table) -> Tunnels {
        let default = Tunnels::default();
        Tunnels {
            ports: self.numbers(table, "podflow.tunnels", "ports", u16::MAX.into()).unwrap_or(default.ports),
            protocols: self
                .numbers(table, "podflow.tunnels", "protocols", u8::MAX.into())
                .unwrap_or(default.protocols),
        }
    }

    fn tls(&mut self, table: &Table) -> Option<Tls> {
        if table.is_empty() {
            return None;
        }
        let mut path = |key| self.text(table, "podflow.tls", key);
        let (ca, certificate, key) = (path("ca"), path("certificate"), path("key"));
        let server_name = path("serverName");
        if ca.is_none() {
            self.faults.missing("podflow.tls.ca", "a PEM file with the authorities that are trusted");
        }
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => {
                self.faults
                    .other("podflow.tls.certificate and podflow.tls.key belong together: give both or none");
                None
            }
        };
        Some(Tls { ca: ca?.into(), server_name, identity })
    }

    fn rules(&mut self, ours: &Table) -> Vec<Rule> {
        let list = self.list(ours, "podflow", "exclude").unwrap_or_default();
        list.iter().filter_map(|value| self.rule(value)).collect()
    }

    fn rule(&mut self, value: &Value) -> Option<Rule> {
        let name = "podflow.exclude";
        let Some(table) = value.as_object().filter(|table| !table.is_empty()) else {
            self.faults.value(
                name,
                shown(value),
                "is no rule: a table with kind, network, port, protocol or namespace",
            );
            return None;
        };
        for stray in table.keys().filter(|stray| !keys::RULE.contains(&stray.as_str())) {
            self.faults.unknown(name, stray, keys::RULE);
        }
        let network = self.text(table, name, "network").and_then(|text| {
            let parsed = text.parse().map_err(|_| "is no network, such as 192.0.2.0/24");
            self.faults.take(&at(name, "network"), &text, parsed)
        });
        let protocol = self.text(table, name, "protocol").and_then(|text| {
            let parsed = protocol::number(&text).or_else(|| text.parse().ok()).ok_or("is no protocol");
            self.faults.take(&at(name, "protocol"), &text, parsed)
        });
        Some(Rule {
            kind: self.text(table, name, "kind"),
            network,
            port: self.number(table, name, "port", 1..=65_535).and_then(|port| u16::try_from(port).ok()),
            protocol,
            namespace: self.text(table, name, "namespace"),
        })
    }
}

fn at(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// A value as a person wrote it: text without quotes.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

const POLL_INTERVAL: Duration = Duration::from_secs(5);
const EXPORT_FREQUENCY: u64 = 12;

/// `conntrackZones: auto`: Antrea's for IPv4 and IPv6, and the one that everything else uses.
const ZONES: [u16; 3] = [65_520, 65_510, 0];

/// Beside Antrea's own ports on the Node's network.
const STATUS_ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 10_360);

/// The kernel's own default limit on large machines.
const MAX_CONNECTIONS: usize = 262_144;

/// A minute of 1,000 ends a second, at 300 octets each: 20 MB.
const MAX_ENDED_FLOWS: usize = 65_536;

/// A minute of some 5,000 records a second.
const RESEND_OCTETS: usize = 64 * 1024 * 1024;

/// On a tmpfs: it matters only until the machine boots again.
const STATE_FILE: &str = "/run/podflow/agent.state";

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "featureGates:\n  FlowExporter: true\nflowCollectorAddr: \"10.0.0.9:4739:tcp\"\n";

    #[test]
    fn the_smallest_file_means_the_documented_defaults() {
        let config = Config::parse("flowCollectorAddr: 10.0.0.9").unwrap();
        assert!(config.enabled && config.service_names);
        assert_eq!(config.poll_interval, Duration::from_secs(5));
        assert_eq!(config.export_interval, Duration::from_secs(60));
        assert_eq!(config.zones, [65_520, 65_510, 0]);
        assert_eq!(config.template, Profile::Full);
        assert_eq!(config.idle_timeout, None);
        assert_eq!(config.status_addr.to_string(), "127.0.0.1:10360");
        assert_eq!(config.state_file.as_deref(), Some(std::path::Path::new(STATE_FILE)));
    }

    #[test]
    fn the_nested_form_wins_over_poll_times_frequency() {
        let config = Config::parse(
            "flowExportFrequency: 3\nflowExporter:\n  enable: true\n  flowCollectorAddr: elk/logstash:4739:udp\n  \
             flowPollInterval: 2s\n  activeFlowExportTimeout: 1m30s\n  idleFlowExportTimeout: 15s\n",
        )
        .unwrap();
        assert_eq!(config.collector.map(|addr| addr.to_string()).as_deref(), Some("elk/logstash:4739:udp"));
        assert_eq!(config.poll_interval, Duration::from_secs(2));
        assert_eq!(config.export_interval, Duration::from_secs(90));
        assert_eq!(config.idle_timeout, Some(Duration::from_secs(15)));
    }

    #[test]
    fn an_agent_that_is_switched_off_needs_no_collector() {
        for text in ["featureGates: {FlowExporter: false}", "flowExporter: {enable: false}"] {
            let config = Config::parse(text).unwrap();
            assert!(!config.enabled && config.collector.is_none(), "{text}");
        }
    }

    #[test]
    fn keys_of_antrea_are_accepted_and_named() {
        let text = format!("{PLAIN}ovsBridge: br-int\nantreaProxy: {{proxyAll: true}}\ntunnelType: geneve\n");
        assert_eq!(Config::parse(&text).unwrap().ignored, ["ovsBridge", "antreaProxy", "tunnelType"]);
    }

    #[test]
    fn all_faults_are_told_at_once_with_the_nearest_key() {
        let fault = Config::parse(
            "flowColectorAddr: h:1\nflowPollInterval: 500ms\nflowExportFrequency: 0\n\
             featureGates: {FlowExportr: true, AntreaProxy: 7}\n\
             podflow:\n  template: v9\n  conntrackZones: [65520, 70000]\n  clusterCIDRs: [nonsense]\n  \
             resend: always\n  tls: {certificate: a.pem}\n  exclude: [{port: 0, netwrk: x}]\n",
        )
        .unwrap_err();
        let text = fault.to_string();
        for said in [
            "flowColectorAddr is not a known key; did you mean \"flowCollectorAddr\"?",
            "flowCollectorAddr is required",
            "flowPollInterval: \"500ms\" is too short: at least 1s",
            "flowExportFrequency: \"0\" is not a number from 1 to 86400",
            "featureGates.FlowExportr is not a known key; did you mean \"FlowExporter\"?",
            "featureGates.AntreaProxy: \"7\" is neither true nor false",
            "podflow.template: \"v9\" is not one of full, v0.9, antrea",
            "podflow.conntrackZones: \"70000\" is not a number from 0 to 65535",
            "podflow.clusterCIDRs: \"nonsense\" is no network",
            "podflow.resend: \"always\" is not one of auto, never",
            "podflow.tls.ca is required",
            "podflow.tls.certificate and podflow.tls.key belong together",
            "podflow.exclude.netwrk is not a known key; did you mean \"network\"?",
            "podflow.exclude.port: \"0\" is not a number from 1 to 65535",
        ] {
            assert!(text.contains(said), "missing: {said}\nin:\n{text}");
        }
        assert_eq!(fault.faults().len(), 14, "{text}");
    }

    #[test]
    fn a_stray_key_in_any_table_is_refused_by_name() {
        for (table, text) in [
            ("featureGates", "featureGates: {strayKey: true}"),
            ("flowExporter", "flowExporter: {strayKey: true}"),
            ("podflow", "podflow: {strayKey: true}"),
            ("podflow.tls", "podflow: {tls: {ca: x, strayKey: true}}"),
            ("podflow.tunnels", "podflow: {tunnels: {strayKey: true}}"),
        ] {
            let fault = Config::parse(&format!("flowCollectorAddr: h\n{text}\n")).unwrap_err().to_string();
            assert!(fault.starts_with(&format!("{table}.strayKey is not a known key")), "{fault}");
        }
    }

    #[test]
    fn every_shipped_example_is_good() {
        let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
        let mut examples = 0;
        for folder in std::fs::read_dir(deploy).unwrap() {
            let path = folder.unwrap().path().join("antrea-agent.conf");
            if path.exists() {
                let config = Config::load(&path);
                assert!(config.is_ok_and(|config| config.collector.is_some()), "{}", path.display());
                examples += 1;
            }
        }
        assert!(examples > 0, "there are shipped examples");
    }

    #[test]
    fn what_is_no_mapping_is_refused_in_one_sentence() {
        for text in ["- a\n- b\n", "nonsense", "a: [1,"] {
            let fault = Config::parse(text).unwrap_err();
            assert_eq!(fault.faults().len(), 1, "{text}");
        }
    }
}
