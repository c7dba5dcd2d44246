//! The program as it is run on a Node: what it needs, what it says of its configuration, and what it measures.

use std::process::{Command, Output, Stdio};

use podflow_testbed::traffic::requests;
use podflow_testbed::{Shape, Testbed};

use super::overrun::Agent;
use super::restarts::{configured, metric, page, ready};
use crate::support::{self, Collector, NO_STATE};

/// Every capability but one is taken from it for good, and /proc/sys can only be read, as in a Pod without privileges.
const AS_IN_A_POD: &str = "mount -o bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && \
    exec setpriv --bounding-set=-all,+net_admin --inh-caps=-all -- \"$0\" \"$@\"";

#[test]
fn it_needs_one_capability_and_says_which_switches_it_could_not_set() {
    let bed = Testbed::start(Shape { nodes: 1, pods_per_node: 2, ..Shape::default() }).unwrap();
    let node = bed.node(0);
    // Somebody else has set the one without which nothing is counted, and switched events off.
    node.space.set("net/netfilter/nf_conntrack_acct", "1").unwrap();
    node.space.set("net/netfilter/nf_conntrack_timestamp", "1").unwrap();
    node.space.set("net/netfilter/nf_conntrack_events", "0").unwrap();
    let collector = Collector::start(&bed, "tcp");
    let arguments = configured(&bed, &support::configuration(&collector, NO_STATE));
    let start = || {
        Command::new("unshare")
            .args(["--mount", "sh", "-c", AS_IN_A_POD, env!("CARGO_BIN_EXE_podflow-agent"), "run"])
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    let agent = Agent(node.space.enter(start).unwrap().unwrap());
    ready(&node.space);
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.0.id())).unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap().to_owned();
    assert_eq!(u64::from_str_radix(&held, 16), Ok(1 << NET_ADMIN), "{status}");
    // It goes on with what there is, and says what is missing.
    assert!(page(&node.space, "/readyz").unwrap().contains("blind (events_off, 1)"));
    assert_eq!(metric(&node.space, "podflow_agent_blind{reason=\"events_off\"}"), Some(1));
    let sent = requests(&bed.pod(0, 0).space, bed.pod(0, 1).address(), 1, 100).unwrap().remove(0);
    let port = sent.source.port().to_string();
    support::wait_for("a record", || {
        collector.records().iter().any(|record| record.get("sourceTransportPort") == Some(&port))
    });
    agent.end();
}

#[test]
fn it_checks_a_configuration_and_does_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str| -> Output {
        let file = folder.path().join("antrea-agent.conf");
        std::fs::write(&file, text).unwrap();
        let program = env!("CARGO_BIN_EXE_podflow-agent");
        Command::new(program).arg("check-config").arg(&file).output().unwrap()
    };
    let good = check("flowCollectorAddr: \"10.0.0.9:4739:tcp\"\n");
    assert_eq!(good.status.code(), Some(0));
    let bad = check("flowCollectorAddr: \"10.0.0.9:4739:sctp\"\nflowPollIntervall: 5s\n");
    assert_eq!((bad.status.code(), bad.stdout.len()), (Some(64), 0));
    let said = String::from_utf8(bad.stderr).unwrap();
    assert!(said.contains("sctp") && said.contains("flowPollInterval"), "all faults at once: {said}");
}

#[test]
fn what_it_measures_has_the_names_that_are_known() {
    let bed = Testbed::start(Shape { nodes: 1, pods_per_node: 1, ..Shape::default() }).unwrap();
    let collector = Collector::start(&bed, "tcp");
    let agent = support::Agent::start(&bed, bed.node(0), &collector, NO_STATE);
    let space = &bed.node(0).space;
    ready(space);
    for name in [
        "antrea_agent_conntrack_total_connection_count",
        "antrea_agent_conntrack_antrea_connection_count",
        "antrea_agent_conntrack_max_connection_count",
        "podflow_agent_poll_duration_seconds_count",
        "podflow_agent_events_total",
        "podflow_agent_event_overruns_total",
        "podflow_agent_records_exported_total",
        "podflow_agent_flows_not_exported_total{reason=\"transit\"}",
        "podflow_agent_reconnections_total",
        "podflow_agent_resend_octets",
        "podflow_agent_ended_flows_waiting",
        "podflow_agent_connections_held",
        "podflow_agent_names_missed_total",
    ] {
        assert!(metric(space, name).is_some(), "{name}: {}", page(space, "/metrics").unwrap());
    }
    agent.stop();
}

/// CAP_NET_ADMIN.
const NET_ADMIN: u32 = 12;
