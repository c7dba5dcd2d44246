//! Against a server that behaves as no real one can be made to: storms of 429, answers cut in half, stalls,
//! refusals of single documents. The account balances and nothing is stored twice.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use podflow_collector::config::Config;
use podflow_collector::redeliver;
use serde_json::{Value, json};
use support::{Exporter, Running, difference};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// What the server does with the next bulk request.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// 429 for the whole of it.
    Busy,
    /// 503 without a look at it.
    Unavailable,
    /// Stores everything and hangs up in the middle of the answer.
    CutAnswer,
    /// Stores everything and answers only after the client's patience.
    Stall,
    /// Every second document gets a 429 of its own.
    HalfBusy,
    /// 413 if it holds more than so many documents.
    TooLarge(usize),
    /// Refuses documents whose octetDeltaCount ends in 7.
    RefuseSevens,
    /// 401.
    WhoAreYou,
}

#[derive(Clone, Default)]
struct Script {
    acts: Arc<Mutex<Vec<Act>>>,
    stored: Arc<Mutex<BTreeMap<String, Value>>>,
    times_seen: Arc<Mutex<HashMap<String, u32>>>,
    template: Arc<Mutex<Option<Value>>>,
    down: Arc<Mutex<bool>>,
    /// Indices that are there, and whether their mapping says that they are ours.
    indices: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl Script {
    /// Starts the server; the acts are done in turn, and then it behaves.
    async fn start(acts: &[Act]) -> (Self, SocketAddr) {
        let script = Self { acts: Arc::new(Mutex::new(acts.to_vec())), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (script, address)
    }

    fn documents(&self) -> usize {
        self.stored.lock().unwrap().len()
    }

    fn bulk(&self, body: &str, act: Option<Act>) -> Value {
        let mut lines = body.lines();
        let mut items = Vec::new();
        while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
            let action: Value = serde_json::from_str(action).unwrap();
            let document: Value = serde_json::from_str(document).unwrap();
            let id = action["create"]["_id"].as_str().unwrap().to_owned();
            assert_eq!(action["create"]["_index"].as_str().unwrap().len(), "flow-2026.11.22".len());
            let seven = document["ipfix"]["octetDeltaCount"].as_u64().unwrap() % 10 == 7;
            let status = match act {
                Some(Act::HalfBusy) if items.len() % 2 == 1 => 429,
                Some(Act::RefuseSevens) if seven => 400,
                _ => self.store(id, document),
            };
            items.push(match status {
                201 => json!({"create": {"status": 201}}),
                409 => json!({"create": {"status": 409, "error": {"type": "version_conflict_engine_exception"}}}),
                429 => json!({"create": {"status": 429, "error": {"type": "es_rejected_execution_exception"}}}),
                _ => json!({"create": {"status": status, "error": {"type": "mapper_parsing_exception", "reason": "seven"}}}),
            });
        }
        json!({"errors": true, "items": items})
    }

    fn store(&self, id: String, document: Value) -> u16 {
        *self.times_seen.lock().unwrap().entry(id.clone()).or_default() += 1;
        let mut stored = self.stored.lock().unwrap();
        if stored.contains_key(&id) {
            return 409;
        }
        stored.insert(id, document);
        201
    }
}

async fn answer(State(script): State<Script>, method: Method, uri: Uri, body: Bytes) -> Response {
    if *script.down.lock().unwrap() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match (method, uri.path()) {
        (Method::GET, "/") => axum::Json(json!({"version": {"number": "8.99.0"}})).into_response(),
        (Method::PUT, "/_index_template/podflow") => {
            *script.template.lock().unwrap() = Some(serde_json::from_slice(&body).unwrap());
            axum::Json(json!({"acknowledged": true})).into_response()
        }
        (Method::POST, "/_bulk") => {
            let body = String::from_utf8(body.to_vec()).unwrap();
            let act = {
                let mut acts = script.acts.lock().unwrap();
                if acts.is_empty() { None } else { Some(acts.remove(0)) }
            };
            match act {
                Some(Act::Busy) => StatusCode::TOO_MANY_REQUESTS.into_response(),
                Some(Act::Unavailable) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                Some(Act::WhoAreYou) => StatusCode::UNAUTHORIZED.into_response(),
                Some(Act::TooLarge(most)) if body.lines().count() / 2 > most => {
                    // It goes on being too large until the parts are small enough.
                    script.acts.lock().unwrap().insert(0, Act::TooLarge(most));
                    StatusCode::PAYLOAD_TOO_LARGE.into_response()
                }
                Some(Act::CutAnswer) => {
                    let whole = serde_json::to_vec(&script.bulk(&body, None)).unwrap();
                    Body::from(whole[..whole.len() / 2].to_vec()).into_response()
                }
                Some(Act::Stall) => {
                    let whole = script.bulk(&body, None);
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    axum::Json(whole).into_response()
                }
                act => axum::Json(script.bulk(&body, act)).into_response(),
            }
        }
        (Method::GET, "/_cat/indices/flow-*") => {
            let names: Vec<Value> =
                script.indices.lock().unwrap().keys().map(|name| json!({"index": name})).collect();
            axum::Json(names).into_response()
        }
        (Method::GET, path) if path.ends_with("/_mapping") => {
            let name = path.trim_start_matches('/').trim_end_matches("/_mapping");
            let ours = script.indices.lock().unwrap()[name];
            let meta = if ours { json!({"podflow": "0.1.0"}) } else { Value::Null };
            axum::Json(json!({ name: {"mappings": {"_meta": meta}} })).into_response()
        }
        (Method::DELETE, path) => {
            script.indices.lock().unwrap().remove(path.trim_start_matches('/')).unwrap();
            axum::Json(json!({"acknowledged": true})).into_response()
        }
        (method, path) => panic!("nobody asked for {method} {path}"),
    }
}

fn config(server: SocketAddr, extra: &str) -> String {
    format!(
        "store: {{elasticsearch: {{hosts: ['http://{server}'], timeout: 1s}}}}\nbatch: {{age: 100ms, documents: 50}}\n{extra}"
    )
}

async fn send(collector: &Running, exporter: &mut Exporter, records: u32) {
    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    exporter.reconnect();
    for message in exporter.records(records) {
        stream.write_all(&message).await.unwrap();
    }
    stream.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trouble_ends_with_every_record_stored_once() {
    use Act::{Busy, CutAnswer, HalfBusy, Stall, TooLarge, Unavailable};
    let acts = [Busy, Busy, Unavailable, CutAnswer, HalfBusy, TooLarge(10), Stall, Busy, HalfBusy, CutAnswer];
    let (script, server) = Script::start(&acts).await;
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{path: '{}'}}", folder.path().display());
    let collector = Running::start(&config(server, &spool));
    let mut exporter = Exporter::stream(7);
    send(&collector, &mut exporter, 500).await;
    let status = collector.until("every record", |status| status["stored"] == 500).await;
    assert_eq!(difference(&status), 0);
    assert_eq!((&status["duplicates"], &status["rejected"]), (&0.into(), &0.into()));
    assert_eq!(script.documents(), 500);
    assert!(script.acts.lock().unwrap().is_empty(), "not every act was played");
    assert!(script.template.lock().unwrap().is_some());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_becomes_a_dead_letter() {
    let (script, server) = Script::start(&[Act::RefuseSevens, Act::RefuseSevens]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let extra = format!("spool: {{path: '{path}'}}\ndeadLetters: {{path: '{path}'}}");
    let collector = Running::start(&config(server, &extra));
    let mut exporter = Exporter::stream(7);
    send(&collector, &mut exporter, 100).await;
    let status =
        collector.until("both outcomes", |status| status["stored"] == 90 && status["rejected"] == 10).await;
    assert_eq!(difference(&status), 0);
    let letters = std::fs::read_to_string(folder.path().join("dead-letters.ndjson")).unwrap();
    // Two batches may be in flight, so their letters come in any order.
    let letters: Vec<Value> = letters.lines().map(|letter| serde_json::from_str(letter).unwrap()).collect();
    let reason = "mapper_parsing_exception: seven";
    assert!(letters.iter().all(|letter| letter["reason"] == reason), "{letters:?}");
    let mut octets: Vec<_> =
        letters.iter().filter_map(|letter| letter["document"]["ipfix"]["octetDeltaCount"].as_u64()).collect();
    octets.sort_unstable();
    assert_eq!(octets, [7, 17, 27, 37, 47, 57, 67, 77, 87, 97]);
    assert_eq!(script.documents(), 90);
    collector.stop().await;

    // The reason is gone by now.
    let config = Config::parse(&config(server, &extra)).unwrap();
    let outcome = redeliver::run(&config, &CancellationToken::new()).await.unwrap();
    assert_eq!((outcome.stored, outcome.refused, outcome.left, outcome.unreadable), (10, 0, 0, 0));
    assert_eq!(script.documents(), 100);
    let again = redeliver::run(&config, &CancellationToken::new()).await.unwrap();
    assert_eq!(again.stored, 0, "no letter is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_goes_to_the_spool_and_outlives_the_collector() {
    let (script, server) = Script::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{path: '{}', after: 1s}}\ndrainDeadline: 2s", folder.path().display());
    let collector = Running::start(&config(server, &spool));
    let mut exporter = Exporter::stream(7);
    send(&collector, &mut exporter, 60).await;
    collector.until("the first records", |status| status["stored"] == 60).await;

    *script.down.lock().unwrap() = true;
    send(&collector, &mut exporter, 200).await;
    let status = collector.until("the spool", |status| status["spool"]["documents"] == 200).await;
    assert_eq!(status["in_flight"], 200, "what is in the spool is still on its way");
    assert_eq!(difference(&status), 0);
    send(&collector, &mut exporter, 30).await;
    let folder_of_collector = collector.stop().await;

    let collector = Running::start_in(folder_of_collector, &config(server, &spool));
    let status = collector.until("the spool of the first run", |status| status["in_flight"] == 230).await;
    assert_eq!(difference(&status), 0);
    *script.down.lock().unwrap() = false;
    send(&collector, &mut exporter, 10).await;
    let status = collector.until("everything", |status| status["stored"] == 240).await;
    assert_eq!(difference(&status), 0);
    assert_eq!(status["spool"]["documents"], 0);
    assert_eq!(script.documents(), 300);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_said_and_nothing_is_lost() {
    let (script, server) = Script::start(&[Act::WhoAreYou, Act::WhoAreYou]).await;
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{path: '{}', after: 1s}}", folder.path().display());
    let collector = Running::start(&config(server, &spool));
    send(&collector, &mut Exporter::stream(7), 10).await;
    collector
        .until("it in the status", |status| {
            status["store"]["state"].as_str().unwrap().starts_with("forbidden")
        })
        .await;
    // A refused login is not tried again for fifteen seconds.
    let status = collector.until("the records", |status| status["stored"] == 10).await;
    assert_eq!(difference(&status), 0);
    assert_eq!(script.documents(), 10);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_server_does_not_keep_the_collector_from_starting_and_stopping() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{path: '{}', after: 1s}}\ndrainDeadline: 1s", folder.path().display());
    let collector = Running::start(&config(unused, &spool));
    assert_eq!(collector.text("readyz").await, "ready\n");
    send(&collector, &mut Exporter::stream(7), 10).await;
    collector.until("receipt", |status| status["received"]["records"] == 10).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_old_indices_of_ours_are_deleted() {
    let (script, server) = Script::start(&[]).await;
    *script.indices.lock().unwrap() = [
        ("flow-2020.01.01", true),
        ("flow-2020.01.02", false),
        ("flow-2020.01.01-kept", true),
        ("flow-9999.01.01", true),
    ]
    .map(|(name, ours)| (name.to_owned(), ours))
    .into();
    let folder = tempfile::tempdir().unwrap();
    let collector =
        Running::start(&config(server, &format!("spool: {{path: '{}'}}", folder.path().display())));
    let left = ["flow-2020.01.01-kept", "flow-2020.01.02", "flow-9999.01.01"];
    for _ in 0..600 {
        if script.indices.lock().unwrap().len() == left.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    collector.stop().await;
    assert_eq!(script.indices.lock().unwrap().keys().collect::<Vec<_>>(), left);
}
