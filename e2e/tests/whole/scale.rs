//! More than a thousand exporters at once, with real sockets against the collector's own process: each record is read
//! with its own exporter's template, and memory stays bounded.
//!
//! All exporters have the same observation domain and template ids, and no two neighbours the same layouts.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use podflow_e2e::{account, http};
use podflow_ipfix::ElementKey;
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value as Element;
use serde_json::{Value, json};
use tempfile::TempDir;

const EXPORTERS: u16 = 1_100;
const TEMPLATES: u16 = 10;
const DOMAIN: u32 = 7;
/// What a collector may hold more for them than before: a tenth of what a container of it is given.
const MOST_GROWN_KB: u64 = 200 * 1_024;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_udp_exporters_keep_their_templates_apart() {
    let collector = Collector::start();
    let before = collector.most_kb();
    let sockets: Vec<UdpSocket> =
        (0..EXPORTERS).map(|exporter| UdpSocket::bind((source(exporter), 0)).unwrap()).collect();
    let to = collector.udp;
    export(&collector, |exporter, message| {
        assert_eq!(sockets[usize::from(exporter)].send_to(message, to).unwrap(), message.len());
    })
    .await;
    let grown = collector.most_kb() - before;
    collector.check().await;
    println!(
        "{EXPORTERS} UDP exporters with {TEMPLATES} templates each: {grown} kB more than the {before} kB before"
    );
    assert!(grown < MOST_GROWN_KB, "{grown} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tcp_connections_keep_their_templates_apart() {
    let collector = Collector::start();
    let before = collector.most_kb();
    let mut connections: Vec<TcpStream> =
        (0..EXPORTERS).map(|_| TcpStream::connect(collector.tcp).unwrap()).collect();
    export(&collector, |exporter, message| {
        connections[usize::from(exporter)].write_all(message).unwrap();
    })
    .await;
    let grown = collector.most_kb() - before;
    collector.check().await;
    println!(
        "{EXPORTERS} TCP connections with {TEMPLATES} templates each: {grown} kB more than the {before} kB before"
    );
    assert!(grown < MOST_GROWN_KB, "{grown} kB");
}

/// Half of the exporters have an address of their own, the others one address together.
fn source(exporter: u16) -> Ipv4Addr {
    let [high, low] = exporter.to_be_bytes();
    if exporter.is_multiple_of(2) { Ipv4Addr::new(127, 7, high, low) } else { Ipv4Addr::new(127, 8, 0, 1) }
}

/// Elements of four octets that take turns in holding the exporter's number.
const NUMBERS: [(u16, &str); 7] = [
    (1, "octetDeltaCount"),
    (2, "packetDeltaCount"),
    (10, "ingressInterface"),
    (14, "egressInterface"),
    (85, "octetTotalCount"),
    (86, "packetTotalCount"),
    (16, "bgpSourceAsNumber"),
];

fn number(exporter: u16, place: u16) -> (u16, &'static str) {
    NUMBERS[usize::from(exporter * 3 + place) % NUMBERS.len()]
}

/// How many elements of one octet follow: records of two exporters rarely have the same length.
fn followers(exporter: u16, place: u16) -> u16 {
    8 + (exporter + place) % 11
}

fn template(exporter: u16, place: u16) -> Template {
    let mut fields = vec![
        FieldSpecifier::new(ElementKey::iana(number(exporter, place).0), 4),
        FieldSpecifier::new(ElementKey::iana(7), 2),
    ];
    let follower = |id| FieldSpecifier::new(ElementKey::iana(id), 1);
    fields.extend((0..followers(exporter, place)).map(|id| follower(300 + id)));
    Template::new(id(place), fields).unwrap()
}

fn id(place: u16) -> TemplateId {
    TemplateId::try_from(256 + place).unwrap()
}

/// Sends all templates of all exporters, and then one record of each template, of one exporter after the other.
async fn export(collector: &Collector, mut send: impl FnMut(u16, &[u8])) {
    let session = |exporter| {
        let templates = (0..TEMPLATES).map(|place| template(exporter, place)).collect();
        ExportingSession::new(ExportSettings::udp(DOMAIN, 1_400), templates, &Registry::standard()).unwrap()
    };
    let mut sessions: Vec<ExportingSession> = (0..EXPORTERS).map(session).collect();
    let mut sent = 0;
    for place in 0..TEMPLATES {
        for (exporter, session) in (0..EXPORTERS).zip(&mut sessions) {
            let mut record = vec![Element::Unsigned(exporter.into()), Element::Unsigned(place.into())];
            record.extend((0..followers(exporter, place)).map(|_| Element::Unsigned(1)));
            let now_ms =
                u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
            session.add(now_ms, id(place), record).unwrap();
            session.flush(now_ms);
            while let Some(message) = session.next_message() {
                send(exporter, &message.octets);
                sent += 1;
                // The kernel drops datagrams of a sender that is quicker than the collector.
                if sent % 100 == 0 {
                    collector
                        .until("messages are received", |status| status["received"]["messages"] == sent)
                        .await;
                }
            }
        }
    }
    let all = u64::from(EXPORTERS) * u64::from(TEMPLATES);
    collector.until("records are stored", |status| status["stored"] == all).await;
}

/// The collector's program on free ports of this machine, with its store in a folder of its own.
struct Collector {
    process: Child,
    udp: SocketAddr,
    tcp: SocketAddr,
    page: SocketAddr,
    _folder: TempDir,
}

impl Collector {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("collector.yml");
        let data = folder.path().join("data");
        let text = format!(
            "listen: {{udp: ['127.0.0.1:0'], udpSockets: 1, tcp: ['127.0.0.1:0']}}\nhttp: {{listen: '127.0.0.1:0'}}\n\
             cluster: {{kubernetes: 'off'}}\nstore: {{embedded: {{path: '{}'}}}}\n",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut process = Command::new(program())
            .args(["run", "--config"])
            .arg(&config)
            .env("PODFLOW_LOG_FORMAT", "json")
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut addresses = HashMap::new();
        let listening = ["listening for IPFIX over udp", "listening for IPFIX over tcp", "web page,"];
        while addresses.len() < listening.len() {
            let line = lines.next().expect("it ended at once").unwrap();
            let said: Value = serde_json::from_str(&line).unwrap();
            let message = said["message"].as_str().unwrap_or_default();
            if let Some(what) = listening.iter().find(|what| message.starts_with(*what)) {
                addresses.insert(*what, said["address"].as_str().unwrap().parse().unwrap());
            }
        }
        // The rest is read, or the collector would have nobody to speak to.
        std::thread::spawn(move || lines.count());
        let [udp, tcp, page] = listening.map(|what| addresses[what]);
        Self { process, udp, tcp, page, _folder: folder }
    }

    /// The most memory that it has held, kB.
    fn most_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    async fn until(&self, what: &str, done: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let status = account::status(&format!("http://{}", self.page)).await.unwrap();
            if done(&status) {
                return;
            }
            let account =
                json!([status["received"], status["stored"], status["dropped"], status["in_flight"]]);
            assert!(begun.elapsed() < Duration::from_secs(300), "waited in vain until {what}: {account}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every document has the number of its exporter under the name of its exporter's template.
    async fn check(&self) {
        let url = format!("http://{}/es/flow-*/_search", self.page);
        for place in 0..TEMPLATES {
            let query = json!({"size": 10_000, "query": {"term": {"ipfix.sourceTransportPort": place}}});
            let answer = http::post(&url, &query).await.unwrap();
            let mut seen = vec![0; EXPORTERS.into()];
            for hit in answer["hits"]["hits"].as_array().unwrap() {
                let (document, flow) = (&hit["_source"], &hit["_source"]["ipfix"]);
                assert_eq!(flow["flowset_id"], 256 + place);
                let numbers: Vec<u16> =
                    (0..EXPORTERS).filter(|exporter| flow[number(*exporter, place).1] == *exporter).collect();
                let [exporter] = numbers[..] else { panic!("of one exporter: {document}") };
                let names = flow.as_object().unwrap().keys();
                let known =
                    NUMBERS.iter().filter(|(_, name)| names.clone().any(|other| other == name)).count();
                assert_eq!(known, 1, "{document}");
                let host = &document["host"];
                assert!(*host == source(exporter).to_string() || *host == "127.0.0.1", "{document}");
                seen[usize::from(exporter)] += 1;
            }
            assert!(seen.iter().all(|times| *times == 1), "template {place}: {seen:?}");
        }
        let status = account::status(&format!("http://{}", self.page)).await.unwrap();
        for dropped in [&status["received"]["dropped_messages"], &status["dropped"]] {
            assert!(dropped.as_object().unwrap().values().all(|count| *count == 0), "{dropped}");
        }
        let all = u64::from(EXPORTERS) * u64::from(TEMPLATES);
        assert_eq!((&status["received"]["records"], &status["duplicates"]), (&json!(all), &json!(0)));
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}

/// The program of this build, which `cargo test --workspace` puts one folder above the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("podflow-collector");
    assert!(
        program.exists(),
        "{} is not built: cargo build --workspace --bin podflow-collector",
        program.display()
    );
    program
}
