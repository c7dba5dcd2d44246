//! The scripted server: it plays its acts in turn, then behaves.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::{Exporter, Running};

/// What the server does with the next bulk request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
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

/// A server; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Play>>);

#[derive(Default)]
struct Play {
    acts: Vec<Act>,
    down: bool,
    stored: BTreeMap<String, Value>,
    times_seen: HashMap<String, u32>,
    /// octetDeltaCount of what was stored, in that order.
    order: Vec<u64>,
    /// Requests that begin with a document up to this octetDeltaCount wait for one beyond, once so many are stored.
    gate: Option<(u64, usize)>,
    /// Indices that documents went to.
    used: HashSet<String>,
    /// Indices that are there, each with its mappings.
    indices: BTreeMap<String, Value>,
    /// What was put, by path.
    put: BTreeMap<String, Value>,
    /// What is answered to requests besides those that every server answers: by method and path.
    answers: BTreeMap<String, (u16, Value)>,
    headers: Vec<HeaderMap>,
    wanted_header: Option<(&'static str, String)>,
}

impl Script {
    /// Starts the server with these acts.
    pub(crate) async fn start(acts: &[Act]) -> (Self, SocketAddr) {
        let script = Self::default();
        script.play().acts = acts.to_vec();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (script, address)
    }

    /// Starts the server behind TLS.
    pub(crate) async fn start_tls(acceptor: TlsAcceptor) -> (Self, SocketAddr) {
        let script = Self::default();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(script.clone());
        let listener = TlsListener { tcp, acceptor };
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (script, address)
    }

    pub(crate) fn be_down(&self, down: bool) {
        self.play().down = down;
    }

    /// From now on a request without this header is refused with 401.
    pub(crate) fn want_header(&self, name: &'static str, value: &str) {
        self.play().wanted_header = Some((name, value.to_owned()));
    }

    /// Answers `METHOD /path` so.
    pub(crate) fn answer(&self, request: &str, status: u16, body: Value) {
        self.play().answers.insert(request.to_owned(), (status, body));
    }

    /// An index is there.
    pub(crate) fn has_index(&self, name: &str, mappings: Value) {
        self.play().indices.insert(name.to_owned(), mappings);
    }

    pub(crate) fn indices(&self) -> Vec<String> {
        self.play().indices.keys().cloned().collect()
    }

    /// Indices that documents went to.
    pub(crate) fn used(&self) -> HashSet<String> {
        self.play().used.clone()
    }

    /// What was put to a path.
    pub(crate) fn put(&self, path: &str) -> Option<Value> {
        self.play().put.get(path).cloned()
    }

    pub(crate) fn documents(&self) -> usize {
        self.play().stored.len()
    }

    /// octetDeltaCount of what was stored, in that order.
    pub(crate) fn order(&self) -> Vec<u64> {
        self.play().order.clone()
    }

    /// Once so many documents are stored, those up to an octetDeltaCount wait until one beyond it comes.
    pub(crate) fn hold(&self, up_to: u64, after: usize) {
        self.play().gate = Some((up_to, after));
    }

    fn is_held(&self, octets: u64) -> bool {
        let play = self.play();
        play.gate.is_some_and(|(up_to, after)| {
            octets <= up_to && play.order.len() >= after && play.order.iter().all(|stored| *stored <= up_to)
        })
    }

    pub(crate) fn has_played_all(&self) -> bool {
        self.play().acts.is_empty()
    }

    /// Whether every bulk request had this header.
    pub(crate) fn every_request_had(&self, name: &str, value: &str) -> bool {
        let play = self.play();
        !play.headers.is_empty()
            && play.headers.iter().all(|headers| headers.get(name).is_some_and(|given| given == value))
    }

    fn play(&self) -> MutexGuard<'_, Play> {
        self.0.lock().unwrap()
    }

    fn bulk(&self, body: &str, act: Option<Act>) -> Value {
        let mut lines = body.lines();
        let mut items = Vec::new();
        while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
            let action: Value = serde_json::from_str(action).unwrap();
            let document: Value = serde_json::from_str(document).unwrap();
            let id = action["create"]["_id"].as_str().unwrap().to_owned();
            let index = action["create"]["_index"].as_str().unwrap();
            assert!(index.starts_with("flow-20") && index.len() >= "flow-2026.11.22".len(), "{index}");
            self.play().used.insert(index.to_owned());
            let seven = document["ipfix"]["octetDeltaCount"].as_u64().unwrap() % 10 == 7;
            let status = match act {
                Some(Act::HalfBusy) if items.len() % 2 == 1 => 429,
                Some(Act::RefuseSevens) if seven => 400,
                _ => self.store(id, document),
            };
            let error = |kind: &str| json!({"type": kind, "reason": "seven"});
            items.push(match status {
                201 => json!({"create": {"status": 201}}),
                409 => {
                    json!({"create": {"status": 409, "error": error("version_conflict_engine_exception")}})
                }
                429 => json!({"create": {"status": 429, "error": error("es_rejected_execution_exception")}}),
                _ => json!({"create": {"status": status, "error": error("mapper_parsing_exception")}}),
            });
        }
        json!({"errors": true, "items": items})
    }

    fn store(&self, id: String, document: Value) -> u16 {
        let mut play = self.play();
        *play.times_seen.entry(id.clone()).or_default() += 1;
        if play.stored.contains_key(&id) {
            return 409;
        }
        play.order.push(document["ipfix"]["octetDeltaCount"].as_u64().unwrap());
        play.stored.insert(id, document);
        201
    }

    async fn bulk_answer(&self, headers: HeaderMap, body: Bytes) -> Response {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let act = {
            let mut play = self.play();
            play.headers.push(headers);
            if play.acts.is_empty() { None } else { Some(play.acts.remove(0)) }
        };
        let first: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        let first = first["ipfix"]["octetDeltaCount"].as_u64().unwrap();
        while self.is_held(first) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        match act {
            Some(Act::Busy) => StatusCode::TOO_MANY_REQUESTS.into_response(),
            Some(Act::Unavailable) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Some(Act::WhoAreYou) => StatusCode::UNAUTHORIZED.into_response(),
            Some(Act::TooLarge(most)) if text.lines().count() / 2 > most => {
                // It goes on being too large until the parts are small enough.
                self.play().acts.insert(0, Act::TooLarge(most));
                StatusCode::PAYLOAD_TOO_LARGE.into_response()
            }
            Some(Act::CutAnswer) => {
                let whole = serde_json::to_vec(&self.bulk(&text, None)).unwrap();
                Body::from(whole[..whole.len() / 2].to_vec()).into_response()
            }
            Some(Act::Stall) => {
                let whole = self.bulk(&text, None);
                tokio::time::sleep(Duration::from_secs(3)).await;
                axum::Json(whole).into_response()
            }
            act => axum::Json(self.bulk(&text, act)).into_response(),
        }
    }

    /// What every server answers, for paths that nothing else was said for.
    fn usual_answer(&self, method: &Method, path: &str, body: &Bytes) -> Response {
        let name = |end: &str| path.trim_start_matches('/').strip_suffix(end).map(str::to_owned);
        if *method == Method::PUT {
            self.play().put.insert(path.to_owned(), serde_json::from_slice(body).unwrap());
            return axum::Json(json!({"acknowledged": true})).into_response();
        }
        if *method == Method::DELETE {
            self.play().indices.remove(path.trim_start_matches('/')).unwrap();
            return axum::Json(json!({"acknowledged": true})).into_response();
        }
        match path {
            "/" => axum::Json(json!({"version": {"number": "8.16.0"}})).into_response(),
            "/_cat/indices/flow-*" => {
                let names: Vec<Value> =
                    self.play().indices.keys().map(|name| json!({"index": name})).collect();
                axum::Json(names).into_response()
            }
            path if path.starts_with("/_index_template/_simulate_index/") || path == "/_ilm/status" => {
                StatusCode::BAD_REQUEST.into_response()
            }
            _ => match name("/_mapping") {
                Some(name) => match self.play().indices.get(&name) {
                    Some(mappings) => axum::Json(json!({ name: {"mappings": mappings} })).into_response(),
                    None => StatusCode::NOT_FOUND.into_response(),
                },
                None => panic!("nobody asked for {method} {path}"),
            },
        }
    }
}

async fn answer(
    State(script): State<Script>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (down, wanted) = {
        let play = script.play();
        (play.down, play.wanted_header.clone())
    };
    if down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if wanted.is_some_and(|(name, value)| headers.get(name).is_none_or(|given| *given != value)) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let body = match headers.get("content-encoding") {
        Some(gzip) if gzip == "gzip" => {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut unpacked).unwrap();
            unpacked.into()
        }
        _ => body,
    };
    let known = script.play().answers.get(&format!("{method} {}", uri.path())).cloned();
    if let Some((status, answer)) = known {
        if method == Method::PUT && status == 200 {
            script.play().put.insert(uri.path().to_owned(), serde_json::from_slice(&body).unwrap());
        }
        return (StatusCode::from_u16(status).unwrap(), axum::Json(answer)).into_response();
    }
    match uri.path() {
        "/_bulk" => script.bulk_answer(headers, body).await,
        path => script.usual_answer(&method, path, &body),
    }
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, address) = self.tcp.accept().await.unwrap();
            // A client that does not get through the handshake is no client.
            if let Ok(tls) = self.acceptor.accept(tcp).await {
                return (tls, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A configuration for the collector, with more of it in `extra`.
pub(crate) fn config(server: SocketAddr, extra: &str) -> String {
    format!(
        "store: {{elasticsearch: {{hosts: ['http://{server}'], timeout: 1s}}}}\nbatch: {{age: 100ms, documents: 50}}\n{extra}"
    )
}

/// Sends so many new records over a connection of their own.
pub(crate) async fn send(collector: &Running, exporter: &mut Exporter, records: u32) {
    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    exporter.reconnect();
    for message in exporter.records(records) {
        stream.write_all(&message).await.unwrap();
    }
    stream.shutdown().await.unwrap();
}
