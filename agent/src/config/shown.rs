//! The configuration in force, as JSON for whoever asks the running agent; what is secret is only named.

use serde_json::{Value, json};

use super::{Config, Probes, Resend, TableSource};

impl Config {
    /// Everything that holds, by the names of the file; paths of keys are hidden.
    #[must_use]
    pub fn shown(&self) -> Value {
        let (source, folder) = match &self.source {
            TableSource::Kernel => ("kernel", None),
            TableSource::OpenVSwitch(folder) => ("openvswitch", Some(folder.display().to_string())),
        };
        let seconds = |duration: std::time::Duration| humantime::format_duration(duration).to_string();
        let rules: Vec<_> = self
            .exclude
            .iter()
            .map(|rule| {
                json!({
                    "kind": rule.kind, "network": rule.network, "port": rule.port, "protocol": rule.protocol,
                    "namespace": rule.namespace,
                })
            })
            .collect();
        json!({
            "featureGates": {"FlowExporter": self.enabled, "AntreaProxy": self.service_names},
            "flowCollectorAddr": self.collector.as_ref().map(ToString::to_string),
            "flowPollInterval": seconds(self.poll_interval),
            "exportInterval": seconds(self.export_interval),
            "ovsRunDir": folder,
            "podflow": {
                "conntrackSource": source,
                "conntrackZones": self.zones.as_ref().map_or_else(|| json!("auto"), |zones| json!(zones)),
                "clusterCIDRs": self.cluster_ranges,
                "clusterName": self.cluster_name,
                "probes": if self.probes == Probes::Exclude { "exclude" } else { "include" },
                "exclude": rules,
                "tunnels": {"ports": self.tunnels.ports, "protocols": self.tunnels.protocols},
                "template": podflow_flow::Profile::WORDS.iter().find(|word| {
                    podflow_flow::Profile::parse(word) == Some(self.template)
                }),
                "secondsOctets": self.seconds_octets,
                "resend": if self.resend == Resend::Auto { "auto" } else { "never" },
                "pathMTU": self.path_mtu,
                "resendOctets": self.resend_octets,
                "statusAddr": self.status_addr,
                "metricsAddr": self.metrics_addr,
                "tls": self.tls.as_ref().map(|tls| json!({
                    "ca": tls.ca, "serverName": tls.server_name,
                    "certificate": tls.identity.as_ref().map(|(certificate, _)| certificate),
                    "key": tls.identity.as_ref().map(|_| HIDDEN),
                })),
                "maxConnections": self.max_connections,
                "maxEndedFlows": self.max_ended_flows,
                "stateFile": self.state_file,
                "idleTimeout": self.idle_timeout.map(seconds),
            },
            "ignored": self.ignored,
        })
    }
}

const HIDDEN: &str = "(hidden)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_is_shown_without_secrets() {
        let text = "flowCollectorAddr: h:1:tls\novsBridge: b\npodflow: {conntrackZones: [7], probes: include, \
            exclude: [{port: 9}], tls: {ca: /a, certificate: /c, key: /very-secret}}";
        let shown = Config::parse(text).unwrap().shown();
        assert_eq!(shown["flowCollectorAddr"], "h:1:tls");
        assert_eq!(shown["flowPollInterval"], "5s");
        assert_eq!(shown["podflow"]["conntrackZones"], json!([7]));
        assert_eq!(shown["podflow"]["exclude"][0]["port"], 9);
        assert_eq!(shown["podflow"]["tls"]["key"], HIDDEN);
        assert_eq!(shown["ignored"], json!(["ovsBridge"]));
        assert!(!shown.to_string().contains("very-secret"));
        // Every key of ours is there.
        for key in super::super::keys::PODFLOW {
            assert!(shown["podflow"].get(key).is_some(), "{key}");
        }
        assert_eq!(
            Config::parse("flowCollectorAddr: h").unwrap().shown()["podflow"]["conntrackZones"],
            "auto"
        );
    }
}
