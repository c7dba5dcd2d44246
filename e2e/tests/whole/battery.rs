//! One battery of questions to the embedded store and to real servers, through the official Python clients: some 570,
//! over the same 100,000 documents of one day, and again over several days. What differs is printed; what may differ is listed in the battery, with
//! reasons.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use podflow_collector::document::json;
use podflow_collector::es;
use podflow_collector::store::{Options, Store};
use podflow_e2e::servers;
use tokio::task::JoinHandle;

#[path = "../../../collector/tests/store/flows.rs"]
mod flows;

use flows::{FIRST, Flows};

/// The documents that a store holds, one a line, beside it.
const DOCUMENTS: &str = "documents.ndjson";
const ONE_DAY: Flows = Flows { count: 100_000, span: 86_400_000, holes: true };
/// Three whole days and some hours of a fourth: four indices, the last with fewer documents.
const SEVERAL_DAYS: Flows = Flows { count: 40_000, span: 3 * 86_400_000 + 20_000_000, holes: true };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_answers_as_real_servers_do() {
    compare(ONE_DAY).await;
    // Not beside the first: each loads its documents into the same servers.
    compare(SEVERAL_DAYS).await;
}

async fn compare(flows: Flows) {
    let (embedded, folder, serving) = serve(flows).await;
    let documents = folder.path().join(DOCUMENTS);
    let mut arguments = vec![embedded];
    arguments.push(format!("o={}", servers::opensearch().await.url));
    arguments.push(format!("7={}", servers::elasticsearch_7().await.url));
    if let Some(server) = servers::elasticsearch_9().await {
        arguments.push(format!("9={}", server.url));
    }
    let asked = tokio::task::spawn_blocking(move || {
        Command::new(python("requirements.txt"))
            .arg(battery().join("battery.py"))
            .args(arguments)
            .stdin(Stdio::from(std::fs::File::open(&documents).unwrap()))
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    serving.abort();
    let said = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{said}\n{}", String::from_utf8_lossy(&asked.stderr));
    let scanned = format!("helpers.scan gave all {} documents", flows.count);
    assert!(said.contains(&scanned), "{said}");
    println!("{said}");
}

/// What a program would do with the official clients of Elasticsearch 8 and 9, on the embedded store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn official_clients_work_with_the_embedded_store() {
    let flows = Flows { count: 5000, ..ONE_DAY };
    let (embedded, _folder, serving) = serve(flows).await;
    for version in ["8", "9"] {
        let url = embedded.clone();
        let asked = tokio::task::spawn_blocking(move || {
            Command::new(python(&format!("requirements-{version}.txt")))
                .arg(battery().join("clients.py"))
                .args([&url, &flows.count.to_string(), "flow-2026.11.22"])
                .output()
                .unwrap()
        });
        let asked = asked.await.unwrap();
        let said = String::from_utf8_lossy(&asked.stdout);
        assert!(asked.status.success(), "{said}\n{}", String::from_utf8_lossy(&asked.stderr));
        assert!(said.starts_with(&format!("elasticsearch {version}.")), "{said}");
    }
    serving.abort();
}

/// The flows in an embedded store that is served, and as documents in a file beside it.
async fn serve(flows: Flows) -> (String, tempfile::TempDir, JoinHandle<std::io::Result<()>>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options { keep: Duration::MAX, ..Options::default() }).unwrap();
    let mut lines = std::io::BufWriter::new(std::fs::File::create(folder.path().join(DOCUMENTS)).unwrap());
    for start in (0..flows.count).step_by(7001) {
        let mut batch = store.batch();
        for number in start..(start + 7001).min(flows.count) {
            let document = flows.document(number);
            let mut source = Vec::new();
            json::write(&document, &mut source);
            let (id, source) = (URL_SAFE_NO_PAD.encode(document.id.0), String::from_utf8(source).unwrap());
            let day = document.timestamp.div_euclid(86_400_000) - FIRST / 86_400_000 + 22;
            writeln!(lines, r#"{{"_index":"flow-2026.11.{day}","_id":"{id}","_source":{source}}}"#).unwrap();
            batch.add(&document);
        }
        store.commit(&mut batch).unwrap();
    }
    lines.into_inner().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let embedded = format!("http://{}/es", listener.local_addr().unwrap());
    let router = Router::new().nest_service("/es", es::router(Arc::new(store)));
    (embedded, folder, tokio::spawn(axum::serve(listener, router).into_future()))
}

/// A Python with the clients that a file of requirements names, made once in the cache.
fn python(requirements: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from);
    let wanted = std::fs::read(battery().join(requirements)).unwrap();
    let home = cache.join(format!("podflow/python-{:016x}", xxhash_rust::xxh3::xxh3_64(&wanted)));
    let python = home.join("bin/python");
    let ready = home.join("ready");
    if !ready.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        let requirements = battery().join(requirements);
        run(Command::new(&python).args(["-m", "pip", "-q", "install", "-r"]).arg(requirements));
        std::fs::write(&ready, "").unwrap();
    }
    python
}

fn run(command: &mut Command) {
    let status =
        command.status().unwrap_or_else(|error| panic!("{command:?}: {error}; `make deps` installs it"));
    assert!(status.success(), "{command:?}: {status}");
}

fn battery() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/battery"))
}
