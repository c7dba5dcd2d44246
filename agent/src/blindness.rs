//! What cannot be seen in conntrack is said once, and shown in a metric and in the detail of `/readyz`.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use podflow_cluster::Directory;
use podflow_daemon::readiness::Readiness;
use tracing::warn;

use crate::conntrack::switches::Switches;
use crate::metrics::TrackerMetrics;
use crate::store::{Store, Tally};
use crate::tracker::SharedStore;

/// What was said already, and where it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Blindness {
    metrics: TrackerMetrics,
    readiness: Readiness,
    said: HashSet<&'static str>,
}

impl Blindness {
    pub(crate) fn new(metrics: TrackerMetrics, readiness: Readiness) -> Self {
        Self { metrics, readiness, said: HashSet::new() }
    }

    /// Looks at one poll: entries without counters, entries forwarded past the kernel's counters, and entries that
    /// went without an event.
    pub(crate) fn observe(&mut self, uncounted: u64, offloaded: u64, tally: &Tally) {
        self.see(
            "no_counters",
            uncounted,
            "connections have no counters: they began before the kernel's were on, or \
            their table keeps none; the kernel's are not exported",
        );
        self.see(
            "offloaded",
            offloaded,
            "connections are forwarded by a flowtable or by hardware; their counters may \
            stand still",
        );
        self.see(
            "no_end_event",
            tally.ended_unheard,
            "connections ended without an event, so that their last packets \
            may be missing; those that began before the agent are expected to",
        );
    }

    /// Looks at what the kernel was set to.
    pub(crate) fn look_at_switches(&mut self, switches: Switches) {
        self.see("events_off", u64::from(!switches.events), "net.netfilter.nf_conntrack_events is off and cannot be \
            switched on from here: connections between two polls are not seen, and the last packets of others are missing");
        self.see(
            "counters_off",
            u64::from(!switches.counters),
            "net.netfilter.nf_conntrack_acct is off and cannot be \
            switched on from here: nothing has counters",
        );
    }

    /// A bridge CNI whose packets are not shown to netfilter leaves no trace of same-Node traffic.
    pub(crate) fn look_at_bridges(&mut self, switch: &Path) {
        let hidden = fs::read_to_string(switch).is_ok_and(|text| text.trim() == "0");
        self.see(
            "bridge",
            u64::from(hidden),
            "net.bridge.bridge-nf-call-iptables is 0: where the CNI is a bridge, \
            traffic between Pods of this Node is not tracked; set it to 1 to see it",
        );
    }

    /// A datapath in eBPF forwards Pods' packets past connection tracking; its devices are known by their names.
    pub(crate) fn look_at_devices(&mut self, names: impl IntoIterator<Item = String>) {
        let found = names.into_iter().filter(|name| EBPF_DEVICES.contains(&name.as_str())).count();
        self.see(
            "ebpf",
            found as u64,
            "device(s) of an eBPF datapath are on this Node: what it forwards by itself \
            leaves no trace in connection tracking",
        );
    }

    /// Looks again and again whether this Node's Pods show in the table at all, until they do.
    pub(crate) async fn watch_for_pods(
        mut self,
        store: SharedStore,
        directory: Arc<Directory>,
        node_name: String,
        again: Duration,
    ) {
        loop {
            tokio::time::sleep(again).await;
            let own = directory.pods().into_iter().filter(|pod| *pod.node == *node_name);
            let addresses: HashSet<IpAddr> = own.flat_map(|pod| pod.ips.clone()).collect();
            let outside = addresses.iter().filter(|address| !directory.is_in_known_range(**address)).count();
            self.look_at_ranges(outside as u64);
            if !addresses.is_empty() && self.look_for_pods(&store.lock(), &addresses) {
                return;
            }
        }
    }

    /// This Node's Pods have addresses, but no connection of theirs was ever tracked.
    pub(crate) fn look_for_pods(&mut self, store: &Store, pods: &HashSet<IpAddr>) -> bool {
        let is_pods = |address: &IpAddr| pods.contains(address);
        let seen = pods.is_empty()
            || store
                .connections()
                .any(|one| is_pods(&one.key.original.source) || is_pods(&one.key.endpoint.address));
        self.see(
            "pods_unseen",
            u64::from(!seen),
            "no connection of this Node's Pods is in the connection tracking \
            table: their network bypasses it (eBPF, SR-IOV), or they are silent",
        );
        seen
    }

    /// This Node's Pods have addresses outside every network that is known to be of the cluster, as in some clouds: a
    /// remote Pod cannot be told from the outside then, and the destination's copy of its flows is exported, too.
    pub(crate) fn look_at_ranges(&mut self, outside: u64) {
        self.see(
            "unknown_ranges",
            outside,
            "Pods of this Node have addresses outside the Nodes' podCIDRs and clusterCIDRs: flows from other Nodes' \
             Pods are taken for external ones and exported here, too; the collector drops that copy. Set clusterCIDRs",
        );
    }

    /// Shows how much of a kind there is, and says it the first time there is any.
    fn see(&mut self, kind: &'static str, connections: u64, what: &str) {
        self.metrics.set_blind(kind, connections);
        let note =
            if connections == 0 { String::new() } else { format!("blind ({kind}, {connections}): {what}") };
        self.readiness.note(kind, note);
        if connections > 0 && self.said.insert(kind) {
            warn!(kind, connections, "{what}");
        }
    }
}

/// Where the kernel says whether bridged packets are shown to netfilter.
pub(crate) const BRIDGE_SWITCH: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Cilium's, and Calico's with its eBPF dataplane.
const EBPF_DEVICES: [&str; 4] = ["cilium_host", "cilium_net", "bpfin.cali", "bpfout.cali"];

#[cfg(test)]
mod tests {
    use podflow_cluster::Inventory;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::store::tests::{at, entry, limits};
    use crate::store::{Memory, Now};

    fn blindness() -> (Blindness, Readiness, Registry) {
        let (mut registry, readiness) = (Registry::default(), Readiness::default());
        let metrics = TrackerMetrics::register(&mut registry);
        (Blindness::new(metrics, readiness.clone()), readiness, registry)
    }

    fn shown(registry: &Registry, kind: &str) -> Option<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        let line = text.lines().find(|line| line.contains(&format!("reason=\"{kind}\"")))?;
        line.rsplit(' ').next().map(str::to_owned)
    }

    #[test]
    fn each_kind_is_noted_while_it_lasts_and_measured() {
        let (mut blindness, readiness, registry) = blindness();
        blindness.observe(3, 0, &Tally { ended_unheard: 2, ..Tally::default() });
        let notes = readiness.notes().join("\n");
        assert!(
            notes.contains("blind (no_counters, 3)") && notes.contains("blind (no_end_event, 2)"),
            "{notes}"
        );
        assert!(!notes.contains("offloaded"));
        assert_eq!(
            (shown(&registry, "no_counters"), shown(&registry, "offloaded")),
            (Some("3".into()), Some("0".into()))
        );
        blindness.observe(0, 7, &Tally::default());
        assert!(readiness.notes().join("\n").starts_with("blind (offloaded, 7)"));
        assert!(readiness.awaited().is_empty(), "it does not make the agent unready");
    }

    #[test]
    fn switches_bridges_and_devices() {
        let (mut blindness, readiness, registry) = blindness();
        let all = Switches { counters: true, timestamps: true, events: true, earlier_events: true };
        let switch = tempfile::NamedTempFile::new().unwrap();
        fs::write(switch.path(), "1\n").unwrap();
        blindness.look_at_switches(all);
        blindness.look_at_bridges(switch.path());
        blindness.look_at_bridges(Path::new("/nonexistent"));
        blindness.look_at_devices(["eth0".to_owned(), "cali123".to_owned()]);
        assert_eq!(readiness.notes(), Vec::<String>::new());

        fs::write(switch.path(), "0\n").unwrap();
        blindness.look_at_bridges(switch.path());
        blindness.look_at_switches(Switches { events: false, counters: false, ..all });
        blindness.look_at_devices(["cilium_host".to_owned(), "cilium_net".to_owned()]);
        blindness.look_at_ranges(4);
        for (kind, value) in [
            ("bridge", "1"),
            ("events_off", "1"),
            ("counters_off", "1"),
            ("ebpf", "2"),
            ("unknown_ranges", "4"),
        ] {
            assert_eq!(shown(&registry, kind).as_deref(), Some(value), "{kind}");
            assert!(
                readiness.notes().iter().any(|note| note.starts_with(&format!("blind ({kind}"))),
                "{kind}"
            );
        }
    }

    /// The store's test connections go from 10.0.0.1, and 10.0.0.2 answers.
    const INVENTORY: &str = "
nodes: [{name: node-a, addresses: [172.18.0.2], podCIDRs: [10.0.0.0/24]}, {name: node-b, addresses: [172.18.0.3]}]
pods:
  - {namespace: shop, name: cart, node: node-a, ips: [10.0.0.2]}
  - {namespace: shop, name: other, node: node-b, ips: [10.0.0.1]}
";

    #[tokio::test]
    async fn pods_without_any_connection_are_said_until_one_shows() {
        let (blindness, readiness, registry) = blindness();
        let directory = Arc::new(Directory::default());
        directory.replace(Inventory::parse(INVENTORY).unwrap(), 0);
        let store = SharedStore::new(Store::new(limits(), Memory::default(), 0));
        // Only a remote Pod's, whose address stands where the local one's would.
        let elsewhere = Inventory::parse(&INVENTORY.replace("10.0.0.2]", "10.0.0.9]")).unwrap();
        directory.replace(elsewhere, 0);
        let sees = |now: Now| {
            let mut store = store.lock();
            store.begin_dump();
            store.seen(&entry(1, 100, 5, 3), now);
            store.finish_dump(true, now);
        };
        sees(at(101));
        let watching = tokio::spawn(blindness.watch_for_pods(
            store.clone(),
            Arc::clone(&directory),
            "node-a".to_owned(),
            Duration::from_millis(1),
        ));
        while shown(&registry, "pods_unseen").as_deref() != Some("1") {
            tokio::task::yield_now().await;
        }
        let notes = readiness.notes().join("\n");
        assert!(notes.contains("blind (pods_unseen, 1)") && readiness.awaited().is_empty(), "{notes}");
        // The Pod that answers is known by now.
        directory.replace(Inventory::parse(INVENTORY).unwrap(), 0);
        watching.await.unwrap();
        assert_eq!(shown(&registry, "pods_unseen").as_deref(), Some("0"));
        assert_eq!(readiness.notes(), Vec::<String>::new());
    }

    #[test]
    fn a_node_without_pods_is_not_blind_and_either_end_shows_a_pod() {
        let (mut blindness, _, _) = blindness();
        let mut store = Store::new(limits(), Memory::default(), 0);
        let pods = |address: &str| HashSet::from([address.parse().unwrap()]);
        assert!(blindness.look_for_pods(&store, &HashSet::new()));
        assert!(!blindness.look_for_pods(&store, &pods("10.0.0.1")));
        store.begin_dump();
        store.seen(&entry(1, 100, 5, 3), at(101));
        for (address, seen) in [("10.0.0.1", true), ("10.0.0.2", true), ("10.0.0.3", false)] {
            assert_eq!(blindness.look_for_pods(&store, &pods(address)), seen, "{address}");
        }
    }
}
