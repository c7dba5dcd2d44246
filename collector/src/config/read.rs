//! From the text of `collector.yml` to a [`Config`]: every key with its default, its bounds and the reason of both.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use podflow_daemon::config::{BadConfig, Faults};
use podflow_daemon::tls::Identity;

use super::limits::limits;
use super::section::Section;
use super::{
    Auth, BatchLimits, Cluster, Config, DeadLetters, Documents, Elasticsearch, Embedded, Full, Kibana,
    Kubernetes, Listen, Secret, Spool, SpoolLimits, Store,
};

impl Config {
    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// Every fault of the text.
    pub fn parse(text: &str) -> Result<Self, BadConfig> {
        let value = if text.trim().is_empty() {
            Value::Null
        } else {
            serde_saphyr::from_str(text).map_err(|error| BadConfig::one(format_args!("not YAML: {error}")))?
        };
        let mut faults = Faults::default();
        let mut file = Section::new("", value, &mut faults);
        let mut config = Self {
            listen: file.table("listen", listen),
            limits: file.table("limits", limits),
            definitions: file.list("definitions", |path| Ok(PathBuf::from(path))).unwrap_or_default(),
            cluster: file.table("cluster", cluster),
            documents: file.table("documents", documents),
            // An agent polls at least every second; more than an hour between exports is no view of traffic.
            export_interval: file.duration("exportInterval", seconds(60), seconds(1)..=seconds(3600)),
            store: file.table("store", store),
            batch: file.table("batch", batch),
            spool: file.table("spool", spool),
            dead_letters: file.table("deadLetters", dead_letters),
            kibana: file.table("kibana", kibana),
            http: file.table("http", http),
            drain_deadline: file.duration("drainDeadline", seconds(25), seconds(1)..=seconds(600)),
        };
        file.finish();
        config.listen.templates = match config.listen.templates.take() {
            Some(path) if path.as_os_str() == "off" => None,
            Some(path) => Some(path),
            None => Some(config.state_folder().to_owned()),
        };
        faults.or(Some(config))
    }
}

fn listen(table: &mut Section<'_>) -> Listen {
    let address = |port: u16| move |text: &str| parse_address(text, port);
    let everywhere = vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, IPFIX_PORT))];
    let listen = Listen {
        udp: table.list("udp", address(IPFIX_PORT)).unwrap_or_else(|| everywhere.clone()),
        tcp: table.list("tcp", address(IPFIX_PORT)).unwrap_or(everywhere),
        tls: table.list("tls", address(IPFIX_TLS_PORT)).unwrap_or_default(),
        identity: identity(table),
        client_ca: table.optional_path("tlsClientCa"),
        // A socket takes some 300,000 datagrams a second; more sockets spread them over processors.
        udp_sockets: count(table.number("udpSockets", 2, 1..=64)),
        templates: table.optional_path("templates"),
        // One agent a Node opens one connection; 10,000 covers twice the largest supported cluster.
        connections: count(table.number("connections", 10_000, 1..=1_000_000)),
        // Our agents send at least every 15 s, Antrea's every 60 s.
        idle_timeout: table.duration("idleTimeout", seconds(600), seconds(1)..=seconds(86_400)),
        // A few templates each: 20,000 sessions are some 100 MB at the most.
        sessions: count(table.number("sessions", 20_000, 1..=1_000_000)),
        // Half a second of 1 Gbit/s; the kernel may grant less, and the log says so.
        receive_buffer: count(table.size("receiveBuffer", 64 << 20, 4096..=1 << 30)),
    };
    if !listen.tls.is_empty() && listen.identity.is_none() {
        table.fault("tls", "", "needs tlsCertificate and tlsKey");
    }
    if listen.udp.is_empty() && listen.tcp.is_empty() && listen.tls.is_empty() {
        table.fault("udp", "[]", "leaves no listener at all");
    }
    listen
}

fn identity(table: &mut Section<'_>) -> Option<Identity> {
    let certificate = table.optional_path("tlsCertificate");
    let key = table.optional_path("tlsKey");
    if certificate.is_some() != key.is_some() {
        table.fault("tlsCertificate", "", "and tlsKey go together: one of them is missing");
    }
    certificate.zip(key).map(|(certificate, key)| Identity { certificate, key })
}

fn cluster(table: &mut Section<'_>) -> Cluster {
    Cluster {
        name: table.text("name", ""),
        inventory: table.optional_path("inventory"),
        kubernetes: table.word(
            "kubernetes",
            Kubernetes::Auto,
            &[("auto", Kubernetes::Auto), ("on", Kubernetes::On), ("off", Kubernetes::Off)],
        ),
        exporters: table
            .list("exporters", |text| {
                text.parse().map_err(|_| "is not a network such as \"10.0.0.0/8\"".to_owned())
            })
            .unwrap_or_default(),
        // A Pod's address reaches the watch half a second after its first packet; 5 s covers a slow API server.
        name_wait: table.duration("nameWait", seconds(5), seconds(0)..=seconds(60)),
        // 5 s at 10,000 records a second; an owned record is some 2 kB.
        name_wait_records: count(table.number("nameWaitRecords", 50_000, 0..=10_000_000)),
    }
}

fn documents(table: &mut Section<'_>) -> Documents {
    Documents {
        // Longer than any exporter buffers, shorter than the default retention of 7 days.
        export_time_past: table.duration("exportTimePast", seconds(86_400), seconds(1)..=seconds(31_536_000)),
        // Clocks of one cluster agree to seconds.
        export_time_future: table.duration(
            "exportTimeFuture",
            seconds(600),
            seconds(1)..=seconds(31_536_000),
        ),
        options: table.word("options", false, &[("ignore", false), ("index", true)]),
    }
}

fn store(table: &mut Section<'_>) -> Store {
    let embedded = table.table("embedded", |table| Embedded {
        path: table.optional_path("path").unwrap_or_else(|| PathBuf::from(DATA)),
        retention: table.duration("retention", RETENTION, seconds(3600)..=seconds(10 * 31_536_000)),
        max_size: Some(table.size("maxSize", 0, 0..=u64::MAX)).filter(|size| *size > 0),
    });
    let elasticsearch = table.table("elasticsearch", elasticsearch);
    // Naming hosts is enough to mean Elasticsearch.
    let default = !elasticsearch.hosts.is_empty();
    let is_elasticsearch = table.word("kind", default, &[("embedded", false), ("elasticsearch", true)]);
    if !is_elasticsearch {
        return Store::Embedded(embedded);
    }
    if elasticsearch.hosts.is_empty() {
        table.fault(
            "elasticsearch.hosts",
            "[]",
            "must name at least one server such as http://elasticsearch:9200",
        );
    }
    Store::Elasticsearch(Box::new(elasticsearch))
}

fn elasticsearch(table: &mut Section<'_>) -> Elasticsearch {
    let certificate = table.optional_path("clientCertificate");
    let key = table.optional_path("clientKey");
    if certificate.is_some() != key.is_some() {
        table.fault("clientCertificate", "", "and clientKey go together: one of them is missing");
    }
    Elasticsearch {
        hosts: table.list("hosts", parse_url).unwrap_or_default(),
        auth: auth(table),
        ca_file: table.optional_path("caFile"),
        client_certificate: certificate.zip(key),
        index_prefix: index_prefix(table),
        template: table.text("template", "podflow"),
        // Above Elasticsearch's own templates (up to 150) and those that people write without thinking of it (0 to 100).
        template_priority: table.number("templatePriority", 200, 0..=1_000_000_000),
        shards: table.number("shards", 1, 1..=1024),
        replicas: match table.number("replicas", AUTO, 0..=AUTO) {
            AUTO => None,
            replicas => Some(replicas),
        },
        refresh_interval: table.text("refreshInterval", "5s"),
        settings: table.free_table("settings"),
        retention: Some(table.duration("retention", RETENTION, seconds(0)..=seconds(10 * 31_536_000)))
            .filter(|retention| !retention.is_zero()),
        // Measured: compressing costs more than decoding; worth it only on a thin line.
        gzip: table.boolean("gzip", false),
        in_flight: count(table.number("inFlight", 8, 1..=256)),
        timeout: table.duration("timeout", seconds(30), seconds(1)..=seconds(600)),
    }
}

fn kibana(table: &mut Section<'_>) -> Option<Kibana> {
    let url = table.optional_text("url").filter(|url| !url.is_empty());
    let url = url.and_then(|url| match parse_url(&url) {
        Ok(url) => Some(url),
        Err(why) => {
            table.fault("url", &url, &why);
            None
        }
    });
    let kibana = Kibana {
        url: url.clone().unwrap_or_default(),
        space: table.optional_text("space").filter(|space| !space.is_empty()),
        // What a user has changed there stays.
        overwrite: table.boolean("overwrite", false),
        auth: auth(table),
        ca_file: table.optional_path("caFile"),
    };
    url.map(|_| kibana)
}

fn auth(table: &mut Section<'_>) -> Auth {
    let username = table.optional_text("username");
    let password = secret(table, "passwordFile", "passwordEnv");
    let api_key = secret(table, "apiKeyFile", "apiKeyEnv");
    let bearer = secret(table, "bearerTokenFile", "bearerTokenEnv");
    match (username, password, api_key, bearer) {
        (None, None, None, None) => Auth::None,
        (Some(user), Some(password), None, None) => Auth::Basic(user, password),
        (None, None, Some(key), None) => Auth::ApiKey(key),
        (None, None, None, Some(token)) => Auth::Bearer(token),
        _ => {
            table.fault(
                "username",
                "",
                "needs a password, and only one of username, apiKey and bearerToken can be given",
            );
            Auth::None
        }
    }
}

/// A secret from the file or the environment variable that the two keys name.
fn secret(table: &mut Section<'_>, file: &'static str, variable: &'static str) -> Option<Secret> {
    if let Some(path) = table.optional_path(file) {
        return match std::fs::read_to_string(&path) {
            Ok(text) => Some(Secret::new(&text)),
            Err(error) => {
                table.fault(file, &path.display().to_string(), &format!("cannot be read: {error}"));
                None
            }
        };
    }
    let name = table.optional_text(variable)?;
    match std::env::var(&name) {
        Ok(text) => Some(Secret::new(&text)),
        Err(error) => {
            table.fault(variable, &name, &format!("cannot be read: {error}"));
            None
        }
    }
}

/// `flow-` of `flow-` or of Logstash's `flow-%{+YYYY.MM.dd}`.
fn index_prefix(table: &mut Section<'_>) -> String {
    let name = table.text("index", "flow-%{+YYYY.MM.dd}");
    let prefix = name.strip_suffix("%{+YYYY.MM.dd}").unwrap_or(&name);
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let starts_well = prefix.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !starts_well || !prefix.chars().all(allowed) || prefix.len() > 200 {
        table.fault(
            "index",
            &name,
            "must be lower-case letters, digits, \"-\", \"_\" and \".\", with or without \"%{+YYYY.MM.dd}\" at its end",
        );
    }
    prefix.to_owned()
}

fn batch(table: &mut Section<'_>) -> BatchLimits {
    BatchLimits {
        // Elasticsearch refuses bodies over 100 MB; below 100 kB the request costs more than what is in it.
        octets: count(table.size("bytes", 5_000_000, 100_000..=50_000_000)),
        documents: count(table.number("documents", 10_000, 1..=100_000)),
        age: table.duration("age", seconds(1), Duration::from_millis(10)..=seconds(60)),
        // 16 batches of 5 MB: 80 MB of memory at the most.
        queue: count(table.number("queue", 16, 1..=1024)),
    }
}

fn spool(table: &mut Section<'_>) -> Option<Spool> {
    let path = table.optional_text("path");
    let words = [("dropOldest", Full::DropOldest), ("dropNewest", Full::DropNewest)];
    let limits = SpoolLimits {
        // Some ten million records: a night's outage of a small cluster.
        octets: table.size("maxSize", 10_000_000_000, 1_000_000..=u64::MAX),
        full: table.word("full", Full::DropOldest, &words),
    };
    // Shorter than an operator's patience with missing data, longer than a server's garbage collection.
    let after = table.duration("after", seconds(10), seconds(1)..=seconds(600));
    if path.as_deref() == Some("off") {
        return None;
    }
    let wanted = path.is_some();
    let path = PathBuf::from(path.as_deref().unwrap_or(DATA));
    Some(Spool { path, wanted, limits, after })
}

fn dead_letters(table: &mut Section<'_>) -> DeadLetters {
    DeadLetters {
        path: table.optional_path("path").unwrap_or_else(|| PathBuf::from(DATA)),
        octets: table.size("maxSize", 100_000_000, 0..=u64::MAX),
    }
}

fn http(table: &mut Section<'_>) -> Option<SocketAddr> {
    let text = table.text("listen", "127.0.0.1:8080");
    if text.is_empty() || text == "off" {
        return None;
    }
    match parse_address(&text, HTTP_PORT) {
        Ok(address) => Some(address),
        Err(why) => {
            table.fault("listen", &text, &why);
            None
        }
    }
}

/// `10.0.0.9:4739`, `[::1]:4739`, `10.0.0.9`, `::`, `:4739`.
fn parse_address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse() {
        return Ok(SocketAddr::new(ip, default_port));
    }
    text.parse().map_err(|_| format!("is not an address such as \"0.0.0.0:{default_port}\""))
}

fn parse_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(host) if !host.is_empty() && !host.contains('@') => Ok(text.trim_end_matches('/').to_owned()),
        Some(host) if host.contains('@') => {
            Err("carries a password: use username and passwordFile or passwordEnv".to_owned())
        }
        _ => Err("is not an address such as \"http://elasticsearch:9200\"".to_owned()),
    }
}

/// A checked number as a count; the ranges above keep it small.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Default retention: a week.
const RETENTION: Duration = seconds(7 * 86_400);

/// Where everything is kept that is not told to be elsewhere.
const DATA: &str = "./podflow-data";

/// IANA's port for IPFIX.
const IPFIX_PORT: u16 = 4739;

/// IANA's port for IPFIX over TLS.
const IPFIX_TLS_PORT: u16 = 4740;

/// Page, query API, health, metrics.
const HTTP_PORT: u16 = 8080;

/// More replicas than any cluster has: stands for "not given".
const AUTO: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_the_defaults_hold() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.listen.udp, ["[::]:4739".parse().unwrap()]);
        assert_eq!(config.listen.tcp, ["[::]:4739".parse().unwrap()]);
        assert_eq!(config.http, Some("127.0.0.1:8080".parse().unwrap()));
        let Store::Embedded(embedded) = config.store else { panic!("the store is not embedded") };
        assert_eq!(embedded.path, PathBuf::from("./podflow-data"));
    }

    #[test]
    fn a_full_file_is_read() {
        let config = Config::parse(
            "listen: {udp: [\"10.0.0.9:4739\", \"::1\"], tcp: [], connections: 5}\n\
             definitions: ipfix.yml\n\
             cluster: {name: blue, inventory: inventory.yml, exporters: [10.0.0.0/8]}\n\
             store: {elasticsearch: {hosts: [\"http://a:9200/\", \"https://b:9200\"], index: flow-x-, replicas: 0}}\n\
             batch: {bytes: 1MB, age: 500ms}\n\
             http: {listen: \":30007\"}\n",
        )
        .unwrap();
        assert_eq!(config.listen.udp[1], "[::1]:4739".parse().unwrap());
        assert_eq!(config.definitions, [PathBuf::from("ipfix.yml")]);
        assert_eq!(config.batch.octets, 1_000_000);
        assert_eq!(config.http.unwrap().port(), 30_007);
        let Store::Elasticsearch(store) = config.store else { panic!("hosts mean Elasticsearch") };
        assert_eq!(store.hosts, ["http://a:9200", "https://b:9200"]);
        assert_eq!((store.index_prefix.as_str(), store.replicas), ("flow-x-", Some(0)));
    }

    #[test]
    fn all_faults_are_told_at_once_with_the_nearest_key() {
        let error = Config::parse(
            "listen: {upd: [\"0.0.0.0:1\"]}\n\
             batch: {bytes: 1kB}\n\
             store: {kind: elasticsearch, elasticsearch: {index: Flow, username: elastic}}\n\
             htpp: {}\n",
        )
        .unwrap_err();
        assert_eq!(
            error.faults(),
            [
                "listen.upd is not a known key; did you mean \"udp\"?",
                "store.elasticsearch.username: \"\" needs a password, and only one of username, apiKey and \
                 bearerToken can be given",
                "store.elasticsearch.index: \"Flow\" must be lower-case letters, digits, \"-\", \"_\" and \".\", with \
                 or without \"%{+YYYY.MM.dd}\" at its end",
                "store.elasticsearch.hosts: \"[]\" must name at least one server such as http://elasticsearch:9200",
                "batch.bytes: \"1kB\" must be from 100000 to 50000000 octets",
                "htpp is not a known key; did you mean \"http\"?",
            ]
        );
    }

    #[test]
    fn a_stray_key_in_any_table_is_named() {
        for table in [
            "listen",
            "limits",
            "cluster",
            "documents",
            "store",
            "store.embedded",
            "store.elasticsearch",
            "batch",
            "http",
        ] {
            let mut text = "stray: 1".to_owned();
            for name in table.rsplit('.') {
                text = format!("{name}: {{{text}}}");
            }
            let error = Config::parse(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("{table}.stray is not a known key")), "{error}");
        }
    }

    #[test]
    fn secrets_stay_out_of_the_file() {
        let error = Config::parse("store: {elasticsearch: {hosts: [\"http://me:pw@a:9200\"]}}").unwrap_err();
        assert!(error.to_string().contains("carries a password"), "{error}");
        let error =
            Config::parse("store: {elasticsearch: {hosts: [\"http://a\"], apiKeyEnv: PODFLOW_NO_SUCH}}");
        assert!(error.unwrap_err().to_string().contains("PODFLOW_NO_SUCH"));
    }

    #[test]
    fn every_shipped_example_is_read() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in
            ["build/yamls/elk-flow-collector/logstash/collector.yml", "deploy/flow-visibility/collector.yml"]
        {
            if let Err(faults) = Config::load(Some(&root.join(file))) {
                panic!("{file}:\n{faults}");
            }
        }
    }

    #[test]
    fn words_that_yaml_takes_for_booleans_are_words() {
        for (text, expected) in [
            ("off", Kubernetes::Off),
            ("'off'", Kubernetes::Off),
            ("false", Kubernetes::Off),
            ("on", Kubernetes::On),
            ("true", Kubernetes::On),
            ("auto", Kubernetes::Auto),
        ] {
            let config = Config::parse(&format!("cluster: {{kubernetes: {text}}}")).unwrap();
            assert_eq!(config.cluster.kubernetes, expected, "{text}");
        }
        let error = Config::parse("store: {kind: off}").unwrap_err().to_string();
        assert!(error.contains("store.kind") && error.contains("embedded, elasticsearch"), "{error}");
    }

    #[test]
    fn no_yaml_is_told_as_such() {
        let error = Config::parse("listen: [").unwrap_err().to_string();
        assert!(error.starts_with("not YAML: "), "{error}");
        let error = Config::parse("- 1").unwrap_err().to_string();
        assert!(error.contains("is not a table of keys"), "{error}");
    }
}
