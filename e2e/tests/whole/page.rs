//! The page in a real browser: what is drawn is what was sent. The browser's side is `e2e/browser/*.mjs`.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use podflow_collector::app;
use podflow_collector::config::Config;
use podflow_e2e::known::{self, MIX, Sent};
use podflow_e2e::servers::{self, OwnServer};
use podflow_e2e::unavailable;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Sankey, throughput, table and queries on a collector with its own store, over a day of known flows.
#[test]
fn the_page_draws_what_was_sent() {
    if !ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    drawn_over(&format!("{{embedded: {{path: {:?}}}}}", folder.path().join("store")));
}

/// The same over Elasticsearch, whose answers `/es` passes on; the oldest and the newest that we support.
#[test]
fn the_page_over_elasticsearch_draws_what_was_sent() {
    if !ready() {
        return;
    }
    for name in [servers::ELASTICSEARCH_7, servers::ELASTICSEARCH_9] {
        if !servers::can_be_had(name) {
            continue;
        }
        // Its own server: the page asks for every index of flows.
        let server = runtime().block_on(OwnServer::start(name)).unwrap();
        drawn_over(&format!("{{elasticsearch: {{hosts: ['{}']}}}}", server.url));
    }
}

fn drawn_over(store: &str) {
    let text = format!(
        "{{exportInterval: 60s, cluster: {{kubernetes: 'off'}}, listen: {{udp: [], tcp: ['127.0.0.1:0']}}, \
         http: {{listen: '127.0.0.1:0'}}, store: {store}}}"
    );
    with_collector(&text, |ipfix, page| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let sent = known::send(MIX, ipfix, u64::try_from(now).unwrap(), DAY, 60).unwrap();
        wait_until_stored(&format!("http://{page}/es/flow-*/_search"), sent.records);
        browse("drawn.mjs", page, &expected(&sent));
    });
}

/// Flows are followed while they come, on a collector with its own store: all of them, and those that a query chooses.
#[test]
fn the_page_follows_flows_live() {
    if !ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{{cluster: {{kubernetes: 'off'}}, listen: {{udp: [], tcp: ['127.0.0.1:0']}}, \
         http: {{listen: '127.0.0.1:0'}}, store: {{embedded: {{path: {:?}}}}}}}",
        folder.path().join("store")
    );
    with_collector(&text, |ipfix, page| {
        let (running, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // Until the script is through, whatever became of it: then the other end is dropped.
                while ended.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
                    known::send(MIX, ipfix, u64::try_from(now).unwrap(), 60, 60).unwrap();
                }
            });
            let _running = running;
            let pairs: Vec<_> = MIX.iter().map(|flow| [flow.source.1, flow.destination.1]).collect();
            browse("live.mjs", page, &json!({"pairs": pairs}));
        });
    });
}

/// Runs `body` beside a collector of this configuration, with the addresses of its listeners.
pub(crate) fn with_collector(text: &str, body: impl FnOnce(SocketAddr, SocketAddr)) {
    let config = Config::parse(text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let listeners = app::bind(&config).unwrap();
    let address = |listener: &TcpListener| listener.local_addr().unwrap();
    let (ipfix, page) = (address(&listeners.tcp[0]), address(listeners.http.as_ref().unwrap()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stop = CancellationToken::new();
    let running = runtime.spawn(app::run(config, listeners, stop.clone()));
    body(ipfix, page);
    stop.cancel();
    runtime.block_on(running).unwrap().unwrap();
}

/// Waits until a search at this address finds that many records.
pub(crate) fn wait_until_stored(url: &str, records: u64) {
    runtime().block_on(async {
        let client = reqwest::Client::new();
        let query = json!({"size": 0, "track_total_hits": true});
        loop {
            // Elasticsearch has no index before the first record.
            let answer: Value =
                client.post(url).json(&query).send().await.unwrap().json().await.unwrap_or_default();
            if answer["hits"]["total"]["value"].as_u64() == Some(records) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}

pub(crate) fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap())
}

/// What the scene must hold, for the script.
fn expected(sent: &Sent) -> Value {
    let pairs = |of: &std::collections::BTreeMap<(String, String), u64>| -> Vec<Value> {
        of.iter().map(|((source, destination), octets)| json!([source, destination, octets])).collect()
    };
    json!({
        "records": sent.records,
        "sent": pairs(&sent.sent),
        "received": pairs(&sent.received),
        // Octets a record times 8 over the 60 seconds of its interval.
        "plateau": MIX.iter().map(|flow| flow.sent * 8 / 60).sum::<u64>(),
        "queries": queries(sent.records / MIX.len() as u64),
        "pictures": Path::new(ROOT).join("target/pictures"),
    })
}

/// Typed queries, and how many records each chooses when every flow of the mix has `each`.
fn queries(each: u64) -> Vec<(&'static str, u64)> {
    vec![
        ("sourcePodName: \"cart-7d9f\" and not protocolIdentifier: 17", 2 * each),
        ("sourcePodNamespace: (web or jobs)", 4 * each),
        ("sourcePodName: front-* and not destinationServicePortName: \"web/catalog:http\"", 2 * each),
        ("octetDeltaCount >= 1500000", 3 * each),
        ("reverseOctetDeltaCount > 1000000 or sourceIP: \"198.51.100.20\"", 4 * each),
        ("destinationIP: 203.0.113.0/24", each),
        ("destinationIP.keyword: 203.0.113.*", each),
        ("destinationPodName: * and not destinationPodName: \"\"", 6 * each),
        ("*PodName: ledger-0", each),
        ("\"ledger-0\"", each),
        ("sourcePodName: nobody or (sourceNodeName: \"node-b\" and destinationPodNamespace: shop)", each),
    ]
}

/// Runs a script of `e2e/browser` on the page; what it prints is the reason when it fails.
fn browse(script: &str, page: SocketAddr, expected: &Value) {
    let output = Command::new("node")
        .args([script, &format!("http://{page}/"), &expected.to_string()])
        .current_dir(Path::new(ROOT).join("e2e/browser"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}\n{complained}");
}

/// Whether a browser, Node.js, the built page and the scripts' packages are there (`make deps ui browser`).
fn ready() -> bool {
    let root = Path::new(ROOT);
    for (what, path) in [
        ("Chromium", Path::new("/usr/bin/chromium").to_owned()),
        ("the built page (make ui)", root.join("collector/ui/dist/index.html")),
        (
            "the browser scripts' packages (make browser)",
            root.join("e2e/browser/node_modules/playwright-core"),
        ),
    ] {
        if !path.exists() {
            unavailable(what, &format!("{} is not there", path.display()));
            return false;
        }
    }
    true
}

/// Seconds.
const DAY: u64 = 86_400;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
