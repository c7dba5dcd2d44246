//! Files as users have them, good and bad.

use std::time::Duration;

use podflow_flow::Profile;

use super::read::STATE_FILE;
use super::*;

const PLAIN: &str = "featureGates:\n  FlowExporter: true\nflowCollectorAddr: \"10.0.0.9:4739:tcp\"\n";

#[test]
fn the_smallest_file_means_the_documented_defaults() {
    let config = Config::parse("flowCollectorAddr: 10.0.0.9").unwrap();
    assert!(config.enabled && config.service_names);
    assert_eq!(config.poll_interval, Duration::from_secs(5));
    assert_eq!(config.export_interval, Duration::from_secs(60));
    assert_eq!((config.zones, config.source, config.probes), (None, TableSource::Kernel, Probes::Exclude));
    assert_eq!(config.template, Profile::Full);
    assert_eq!(config.idle_timeout, None);
    assert_eq!(config.status_addr.to_string(), "127.0.0.1:10360");
    assert_eq!(config.state_file.as_deref(), Some(Path::new(STATE_FILE)));
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
         pathMTU: 100\n  resend: always\n  tls: {certificate: a.pem}\n  exclude: [{port: 0, netwrk: x}]\n",
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
        "podflow.pathMTU: \"100\" is not a number from 512 to 65535",
        "podflow.resend: \"always\" is not one of auto, never",
        "podflow.tls.ca is required",
        "podflow.tls.certificate and podflow.tls.key belong together",
        "podflow.exclude.netwrk is not a known key; did you mean \"network\"?",
        "podflow.exclude.port: \"0\" is not a number from 1 to 65535",
    ] {
        assert!(text.contains(said), "missing: {said}\nin:\n{text}");
    }
    assert_eq!(fault.faults().len(), 15, "{text}");
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
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
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

#[test]
fn antreas_keys_of_the_userspace_datapath_choose_the_table() {
    for (keys, source) in [
        ("ovsDatapathType: netdev", Some("/var/run/openvswitch")),
        ("ovsDatapathType: netdev\novsRunDir: /run/ovs", Some("/run/ovs")),
        ("ovsDatapathType: system\novsRunDir: /run/ovs", None),
        ("ovsDatapathType: netdev\npodflow: {conntrackSource: kernel}", None),
        ("podflow: {conntrackSource: openvswitch}", Some("/var/run/openvswitch")),
        ("podflow: {conntrackSource: auto}", None),
    ] {
        let config = Config::parse(&format!("{PLAIN}{keys}\n")).unwrap();
        let expected = source.map_or(TableSource::Kernel, |folder| TableSource::OpenVSwitch(folder.into()));
        assert_eq!(config.source, expected, "{keys}");
    }
    assert_eq!(
        Config::parse(&format!("{PLAIN}podflow: {{conntrackZones: [7]}}")).unwrap().zones,
        Some(vec![7])
    );
}
