//! What is under `podflow`: the keys that are ours.

use ipnet::IpNet;
use podflow_flow::{Profile, protocol};
use serde_json::Value;

use super::reader::{Reader, Table, at, shown};
use super::{Tls, Tunnels, keys};
use crate::conntrack::source::TableSource;

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

impl Reader<'_> {
    pub(super) fn profile(&mut self, ours: &Table) -> Profile {
        let Some(text) = self.text(ours, "podflow", "template") else { return Profile::default() };
        let profile = Profile::parse(&text);
        if profile.is_none() {
            let allowed = Profile::WORDS.join(", ");
            self.faults.value("podflow.template", &text, format!("is not one of {allowed}"));
        }
        profile.unwrap_or_default()
    }

    pub(super) fn source(&mut self, ours: &Table, root: &Table) -> TableSource {
        let of_datapath = self.text(root, "", "ovsDatapathType");
        let folder = self.text(root, "", "ovsRunDir").filter(|folder| !folder.is_empty());
        let words = [("auto", None), ("kernel", Some(false)), ("openvswitch", Some(true))];
        let is_ovs = self.word(ours, "conntrackSource", &words);
        if is_ovs.unwrap_or_else(|| of_datapath.as_deref() == Some("netdev")) {
            return TableSource::OpenVSwitch(folder.unwrap_or_else(|| OVS_RUN_DIR.to_owned()).into());
        }
        TableSource::Kernel
    }

    pub(super) fn seconds_octets(&mut self, ours: &Table) -> u16 {
        match self.number(ours, "podflow", "secondsOctets", 4..=8) {
            None | Some(4) => 4,
            Some(8) => 8,
            Some(other) => {
                self.faults.value("podflow.secondsOctets", other, "is neither 4 nor 8");
                4
            }
        }
    }

    /// `None`: found out from the table.
    pub(super) fn zones(&mut self, ours: &Table) -> Option<Vec<u16>> {
        if ours.get("conntrackZones").and_then(Value::as_str) == Some("auto") {
            return None;
        }
        let zones = self.numbers(ours, "podflow", "conntrackZones", u16::MAX.into())?;
        if zones.is_empty() {
            self.faults.other("podflow.conntrackZones is empty: \"auto\", or at least one zone");
        }
        Some(zones)
    }

    pub(super) fn ranges(&mut self, ours: &Table) -> Vec<IpNet> {
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

    pub(super) fn tunnels(&mut self, table: &Table) -> Tunnels {
        let default = Tunnels::default();
        Tunnels {
            ports: self.numbers(table, "podflow.tunnels", "ports", u16::MAX.into()).unwrap_or(default.ports),
            protocols: self
                .numbers(table, "podflow.tunnels", "protocols", u8::MAX.into())
                .unwrap_or(default.protocols),
        }
    }

    pub(super) fn tls(&mut self, table: &Table) -> Option<Tls> {
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

    pub(super) fn rules(&mut self, ours: &Table) -> Vec<Rule> {
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

/// Where Open vSwitch keeps its sockets, unless it was told otherwise.
const OVS_RUN_DIR: &str = "/var/run/openvswitch";
