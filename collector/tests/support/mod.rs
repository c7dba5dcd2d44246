//! A collector on free ports with the embedded store in a folder of its own, and exporters to send to it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "each test file uses its part; a test may fail here"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use podflow_collector::app::{self, Listeners};
use podflow_collector::config::Config;
use podflow_daemon::tls::Identity;
use podflow_ipfix::ElementKey;
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running collector.
pub struct Running {
    pub udp: SocketAddr,
    pub tcp: SocketAddr,
    pub tls: Option<SocketAddr>,
    pub http: SocketAddr,
    pub folder: TempDir,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// A collector with free ports on loopback; `extra` is YAML added to its configuration.
    pub fn start(extra: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), extra)
    }

    /// The same over the store that `folder` holds.
    pub fn start_in(folder: TempDir, extra: &str) -> Self {
        Self::listening(folder, "", extra)
    }

    /// The same with more keys under `listen`, each with a comma before it.
    pub fn listening(folder: TempDir, listen: &str, extra: &str) -> Self {
        podflow_daemon::logging::init("warn");
        let path = folder.path().display();
        let store = if extra.contains("store:") {
            String::new()
        } else {
            format!("store: {{embedded: {{path: '{path}/data'}}}}\n")
        };
        let text = format!(
            "listen: {{udp: ['127.0.0.1:0'], tcp: ['127.0.0.1:0']{listen}}}\n\
             http: {{listen: '127.0.0.1:0'}}\n{store}{extra}"
        );
        let config = Config::parse(&text).unwrap_or_else(|faults| panic!("{text}\n{faults}"));
        let listeners = app::bind(&config).unwrap();
        Self::run(config, listeners, folder)
    }

    fn run(config: Config, listeners: Listeners, folder: TempDir) -> Self {
        let shutdown = CancellationToken::new();
        let udp = listeners.udp[0].local_addr().unwrap();
        let tcp = listeners.tcp[0].local_addr().unwrap();
        let tls = listeners.tls.first().map(|listener| listener.local_addr().unwrap());
        let http = listeners.http.as_ref().unwrap().local_addr().unwrap();
        let task = tokio::spawn(app::run(config, listeners, shutdown.clone()));
        Self { udp, tcp, tls, http, folder, shutdown, task }
    }

    /// `/status`, whose books balance.
    pub async fn status(&self) -> Json {
        let status = self.get("status").await;
        assert_eq!(difference(&status), 0, "{status:#}");
        status
    }

    /// A page as JSON.
    pub async fn get(&self, path: &str) -> Json {
        let url = format!("http://{}/{path}", self.http);
        reqwest::get(&url).await.unwrap().json().await.unwrap()
    }

    /// A page as text.
    pub async fn text(&self, path: &str) -> String {
        let url = format!("http://{}/{path}", self.http);
        reqwest::get(&url).await.unwrap().text().await.unwrap()
    }

    /// A counter on the metrics page, 0 where it is not there.
    pub async fn counter(&self, name: &str) -> u64 {
        let metrics = self.text("metrics").await;
        let start = format!("podflow_collector_{name} ");
        metrics.lines().find_map(|line| line.strip_prefix(&start)).map_or(0, |count| count.parse().unwrap())
    }

    /// How much input of a kind could not be used.
    pub async fn bad_input(&self, kind: &str) -> u64 {
        self.counter(&format!("bad_input_total{{kind=\"{kind}\"}}")).await
    }

    /// Waits until so much input of a kind was refused; more is a failure too.
    pub async fn until_bad_input(&self, kind: &str, count: u64) {
        self.until("anything", |_| true).await;
        for _ in 0..QUESTIONS {
            if self.bad_input(kind).await >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(self.bad_input(kind).await, count, "{kind}");
    }

    /// Waits until the status satisfies `wanted`, or fails with the last one.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Json) -> bool) -> Json {
        let mut status = Json::Null;
        for _ in 0..QUESTIONS {
            status = self.status().await;
            if wanted(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited in vain for {what}: {status:#}");
    }

    /// The documents stored, once there are so many to be found.
    pub async fn found(&self, wanted: usize) -> Vec<Json> {
        let url = format!("http://{}/es/flow-*/_search?size=1000", self.http);
        for _ in 0..QUESTIONS {
            let answer: Json = reqwest::get(&url).await.unwrap().json().await.unwrap();
            let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
            if hits.len() >= wanted {
                return hits.into_iter().map(|mut hit| hit["_source"].take()).collect();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited in vain for {wanted} documents");
    }

    /// Asks it to stop and waits until it has; gives back the folder.
    pub async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        self.folder
    }
}

/// The books of a status page: received less everything that became of it.
pub fn difference(status: &Json) -> i64 {
    let number = |value: &Json| value.as_i64().unwrap();
    let dropped: i64 = status["dropped"].as_object().unwrap().values().map(number).sum();
    number(&status["received"]["records"])
        - number(&status["stored"])
        - number(&status["duplicates"])
        - number(&status["rejected"])
        - number(&status["in_flight"])
        - dropped
}

/// An exporter of one small template: source, destination, octets.
pub struct Exporter {
    session: ExportingSession,
    next: u32,
}

impl Exporter {
    /// An exporter over a stream.
    pub fn stream(domain: u32) -> Self {
        Self::with(ExportSettings::stream(domain))
    }

    /// An exporter over UDP.
    pub fn udp(domain: u32) -> Self {
        Self::with(ExportSettings::udp(domain, 1400))
    }

    fn with(settings: ExportSettings) -> Self {
        let fields =
            [(8, 4), (12, 4), (1, 8)].map(|(id, length)| FieldSpecifier::new(ElementKey::iana(id), length));
        let template = Template::new(TEMPLATE, fields.to_vec()).unwrap();
        let session = ExportingSession::new(settings, vec![template], &Registry::standard()).unwrap();
        Self { session, next: 0 }
    }

    /// A new connection: templates go first again.
    pub fn reconnect(&mut self) {
        self.session.restart();
    }

    /// Messages with `count` records that were never sent before.
    pub fn records(&mut self, count: u32) -> Vec<Vec<u8>> {
        let now = now_ms();
        for _ in 0..count {
            let source = Value::Ipv4(self.next.into());
            let destination = Value::Ipv4([192, 0, 2, 1].into());
            self.next += 1;
            self.session
                .add(now, TEMPLATE, [source, destination, Value::Unsigned(self.next.into())])
                .unwrap();
        }
        self.session.flush(now);
        std::iter::from_fn(|| self.session.next_message()).map(|message| message.octets).collect()
    }
}

/// 50 ms apart: far longer than anything takes on a machine that works, however busy it is.
const QUESTIONS: u32 = 6000;

/// The template of [`Exporter`].
pub const TEMPLATE: TemplateId = TemplateId::constant(256);

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// An authority, and a certificate of it for localhost with its key, as PEM files in a folder.
pub fn certificates(folder: &Path) -> Identity {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), leaf.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    Identity { certificate: folder.join("cert.pem"), key: folder.join("key.pem") }
}
