//! The export over real sockets, with names that change their meaning.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use podflow_cluster::{Directory, Inventory};
use podflow_testbed::Namespace;
use podflow_testbed::tools::{IP, NFT, run};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::{Exporter, ExporterSettings};
use crate::clock::Clock;
use crate::config::Config;
use crate::enrich::Names;
use crate::metrics::ExportMetrics;
use crate::store::tests::{entry, limits};
use crate::store::{Memory, Store};
use crate::tracker::SharedStore;

/// Both ends of the store's test connections.
const INVENTORY: &str = "
nodes: [{name: node-a, addresses: [172.18.0.2], podCIDRs: [10.0.0.0/24]}]
pods:
  - {namespace: shop, name: cart-7d9, node: node-a, ips: [10.0.0.1]}
  - {namespace: shop, name: names-1, node: node-a, ips: [10.0.0.2]}
";

/// What a connection to a collector has brought, and whether it ended.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<(Vec<u8>, bool)>>);

impl Heard {
    /// Hears one connection.
    fn listen(space: &Namespace, address: Ipv4Addr, port: u16) -> (Self, u16) {
        let listener = space.enter(|| TcpListener::bind((address, port))).unwrap().unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Self::default();
        let here = heard.clone();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4_096];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                here.0.lock().unwrap().0.extend(&buffer[..length]);
            }
            here.0.lock().unwrap().1 = true;
        });
        (heard, port)
    }

    fn octets(&self) -> usize {
        self.0.lock().unwrap().0.len()
    }

    fn flows(&self) -> usize {
        self.0.lock().unwrap().0.windows(8).filter(|octets| octets == b"cart-7d9").count()
    }

    fn ended(&self) -> bool {
        self.0.lock().unwrap().1
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(180), "waited three minutes for {what}");
        #[expect(clippy::disallowed_methods, reason = "a test that waits for threads of its own")]
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Exports on a thread that has a file of host names of its own, and looks the collector up at every tick.
fn export(space: &Namespace, hosts: &Path, port: u16, store: SharedStore) -> impl FnOnce() + use<> {
    let config = Config::parse(&format!("flowCollectorAddr: \"flows.test:{port}:tcp\"")).unwrap();
    let directory = Directory::default();
    directory.replace(Inventory::parse(INVENTORY).unwrap(), 0);
    let exporter = Exporter {
        settings: ExporterSettings {
            collector: config.collector.clone().unwrap(),
            tls: None,
            profile: config.template,
            domain: 1,
            seconds_octets: config.seconds_octets,
            path_mtu: None,
            resend_octets: config.resend_octets,
            resolve_again: Duration::ZERO,
            drain: Duration::from_millis(100),
        },
        store,
        names: Arc::new(Names::of(&config, "node-a", Arc::new(directory))),
        clock: Clock::start(),
        metrics: ExportMetrics::register(&mut Registry::default()),
    };
    let stop = CancellationToken::new();
    let (stopped, hosts) = (stop.clone(), hosts.to_owned());
    let work = move || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
        mount(Some(&hosts), "/etc/hosts", nothing, MsFlags::MS_BIND, nothing).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(exporter.run(stopped));
    };
    let thread = space.spawn("exporter", work).unwrap();
    move || {
        stop.cancel();
        thread.join().unwrap();
    }
}

#[test]
fn a_name_that_comes_to_mean_another_host_is_followed_while_the_connection_stands() {
    let space = Namespace::new("names").unwrap();
    run(&space, IP, &["link", "set", "lo", "up"], "").unwrap();
    let (first, port) = Heard::listen(&space, Ipv4Addr::LOCALHOST, 0);
    let (second, _) = Heard::listen(&space, Ipv4Addr::new(127, 0, 0, 2), port);
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    let means = |line: &str| std::fs::write(&hosts, line).unwrap();
    let store = SharedStore::new(Store::new(limits(), Memory::default(), 0));
    let clock = Clock::start();
    let end_of = |number: u8| store.lock().destroyed(&entry(number, 100, 5, 7), 0, clock.now());

    means("127.0.0.1 flows.test\n");
    let stop = export(&space, &hosts, port, store.clone());
    end_of(1);
    wait_for("a flow at the first address", || first.flows() == 1);
    // A name that cannot be found out costs nothing: a look lies between the two flows.
    means("");
    for flows in [2, 3] {
        end_of(flows);
        wait_for("a flow while no name is known", || first.flows() == usize::from(flows));
    }
    assert_eq!(second.octets(), 0);

    means("127.0.0.2 flows.test\n");
    wait_for("the end of the first connection", || first.ended());
    end_of(4);
    wait_for("a flow at the second address", || second.flows() > 0);
    stop();
    assert_eq!(first.flows(), 3);
    wait_for("the end of the second connection", || second.ended());
}

#[test]
fn the_last_export_has_a_deadline_and_gives_back_what_it_did_not_send() {
    let space = Namespace::new("silent").unwrap();
    run(&space, IP, &["link", "set", "lo", "up"], "").unwrap();
    // Whoever connects there hears nothing, not even that nobody is there.
    let silent = "table ip silent {
  chain arriving { type filter hook input priority 0
    ip daddr 127.0.0.9 drop
  }
}
";
    run(&space, NFT, &["-f", "-"], silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.9 flows.test\n").unwrap();
    let store = SharedStore::new(Store::new(limits(), Memory::default(), 0));
    store.lock().destroyed(&entry(1, 100, 5, 7), 0, Clock::start().now());
    let stop = export(&space, &hosts, 4_739, store.clone());
    let began = Instant::now();
    stop();
    // TCP alone would try for two minutes, and a connect of ours for ten seconds.
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!(store.lock().waiting(), 1, "it is still there");
}
