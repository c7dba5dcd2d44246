//! The page in a real browser: what is drawn is what was sent. The browser's side is `e2e/browser/*.mjs`.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use podflow_collector::app;
use podflow_collector::config::Config;
use podflow_e2e::known::{self, MIX, Sent};
use podflow_e2e::{account, unavailable};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Sankey, throughput and table on a collector with its own store, over an hour of known flows.
#[test]
fn the_page_draws_what_was_sent() {
    if !ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let text = format!(
        "{{exportInterval: 60s, cluster: {{kubernetes: 'off'}}, listen: {{udp: [], tcp: ['127.0.0.1:0']}}, \
         http: {{listen: '127.0.0.1:0'}}, store: {{embedded: {{path: {store:?}}}}}}}"
    );
    with_collector(&text, |ipfix, page| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let sent = known::send(MIX, ipfix, u64::try_from(now).unwrap(), 3600, 60).unwrap();
        wait_until_stored(page, sent.records);
        browse("drawn.mjs", page, &expected(&sent));
    });
}

/// Runs `body` beside a collector of this configuration, with the addresses of its listeners.
fn with_collector(text: &str, body: impl FnOnce(SocketAddr, SocketAddr)) {
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

fn wait_until_stored(page: SocketAddr, records: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::new();
        let query = json!({"size": 0, "track_total_hits": true});
        loop {
            let asked = client.post(format!("http://{page}/es/flow-*/_search")).json(&query).send().await;
            let answer: Value = asked.unwrap().json().await.unwrap();
            let status = account::status(&format!("http://{page}")).await.unwrap();
            if answer["hits"]["total"]["value"].as_u64() == Some(records) && status["stored"] == records {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
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
        "pictures": Path::new(ROOT).join("target/pictures"),
    })
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

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
