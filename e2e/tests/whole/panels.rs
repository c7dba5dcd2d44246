//! Every data request of every panel, its markers filled as Kibana fills them, asked of real servers and of the
//! embedded store over the same flows: equal answers, and not empty ones.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use podflow_e2e::http;
use podflow_e2e::known::{self, MIX};
use podflow_e2e::servers::{self, Server};
use serde_json::{Value, json};

use crate::page::{runtime, wait_until_stored, with_collector};

#[test]
fn panels_ask_opensearch_as_the_embedded_store() {
    assert_same(runtime().block_on(servers::opensearch()));
}

#[test]
fn panels_ask_elasticsearch_7_as_the_embedded_store() {
    assert_same(runtime().block_on(servers::elasticsearch_7()));
}

#[test]
fn panels_ask_elasticsearch_9_as_the_embedded_store() {
    if let Some(server) = runtime().block_on(servers::elasticsearch_9()) {
        assert_same(server);
    }
}

fn assert_same(server: &Server) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = u64::try_from(now).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let embedded = format!("{{embedded: {{path: {:?}}}}}", folder.path());
    let elasticsearch = format!(
        "{{elasticsearch: {{hosts: ['{}'], index: 'panels-%{{+YYYY.MM.dd}}', template: panels}}}}",
        server.url
    );
    let ours = answers(&embedded, now, |page| format!("http://{page}/es/flow-*/_search"));
    let theirs = answers(&elasticsearch, now, |_| format!("{}/panels-*/_search", server.url));
    assert!(ours.len() > 40, "{} requests", ours.len());
    for ((panel, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{panel} of the embedded store (left) and of {}", server.name);
        // Policies are not in these flows: only their panels may be empty.
        assert!(panel.contains("policy") || has_number(ours), "{panel} is empty");
    }
}

/// The answer to every panel's request, by panel, of a collector that stores here.
fn answers(store: &str, now: u64, url: impl Fn(SocketAddr) -> String) -> Vec<(String, Value)> {
    let configuration = format!(
        "{{cluster: {{kubernetes: 'off'}}, listen: {{udp: [], tcp: ['127.0.0.1:0']}}, \
         http: {{listen: '127.0.0.1:0'}}, store: {store}}}"
    );
    let mut found = Vec::new();
    with_collector(&configuration, |ipfix, page| {
        let sent = known::send(MIX, ipfix, now, 3600, 60).unwrap();
        let url = url(page);
        wait_until_stored(&url, sent.records);
        for (panel, body) in requests(now) {
            let answer = runtime().block_on(http::post(&url, &body)).unwrap();
            assert!(answer.get("error").is_none(), "{panel}: {answer}");
            found.push((panel, plain(&answer["aggregations"])));
        }
    });
    found
}

/// Each panel's request, filled for the last hour before `now`; the table of records asks for no numbers.
fn requests(now: u64) -> Vec<(String, Value)> {
    let asked = podflow_dashboards::requests(now - HOUR, now).unwrap();
    let numbers = asked.into_iter().filter(|request| request.body["aggs"].is_object());
    let mut found: Vec<_> = numbers.map(|request| (request.panel, request.body)).collect();
    // The filter panels are on every dashboard.
    found.sort_by(|(one, _), (two, _)| one.cmp(two));
    found.dedup_by(|(one, _), (two, _)| one == two);
    found
}

/// An answer without what two servers may say differently: the error bound of approximate terms, times as text.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| {
                !["doc_count_error_upper_bound", "key_as_string", "value_as_string", "meta"]
                    .contains(&name.as_str())
            })
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        Value::Array(items) => items.iter().map(plain).collect(),
        // 1 and 1.0 are one number.
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

/// Whether there is any number above 0 but for times.
fn has_number(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, value)| name != "newest" && name != "key" && has_number(value))
        }
        Value::Array(items) => items.iter().any(has_number),
        Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
        _ => false,
    }
}

/// Milliseconds.
const HOUR: u64 = 3_600_000;
