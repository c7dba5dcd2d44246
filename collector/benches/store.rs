//! What the embedded store costs: `cargo bench -p podflow-collector --bench store -- [FLOWS]` writes that many flows
//! (10 million unless said) of one day, and prints ingest rate, octets a flow, and the time of dashboard panels
//! cold and warm. `-- print N` prints N documents as NDJSON, for other programs to hold the same flows;
//! `-- serve PORT N` serves `/es` over N of them.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]
#![allow(clippy::indexing_slicing, reason = "a measurement")]

#[path = "../tests/store/flows.rs"]
mod flows;

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flows::{FIRST, Flows};
use podflow_collector::es;
use podflow_collector::store::{Options, Store};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const DAY: u64 = 86_400_000;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if arguments.first().is_some_and(|first| first == "print") {
        return print(arguments[1].parse().unwrap(), arguments.get(2).is_some());
    }
    if arguments.first().is_some_and(|first| first == "serve") {
        return serve(arguments[1].parse().unwrap(), arguments[2].parse().unwrap());
    }
    let count = arguments.first().map_or(10_000_000, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    ingest(folder.path(), count);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(query(folder.path()));
}

fn print(count: u64, holes: bool) {
    let flows = Flows { count, span: DAY, holes };
    let mut output = std::io::stdout().lock();
    for number in 0..count {
        let document = flows.document(number);
        let id = URL_SAFE_NO_PAD.encode(document.id.0);
        let mut source = Vec::new();
        podflow_collector::document::json::write(&document, &mut source);
        let day =
            jiff::Timestamp::from_millisecond(document.timestamp).unwrap().strftime("%Y.%m.%d").to_string();
        let source = String::from_utf8(source).unwrap();
        writeln!(output, "{{\"_index\":\"flow-{day}\",\"_id\":\"{id}\",\"_source\":{source}}}").unwrap();
    }
}

/// The battery's documents on a port, for trying queries by hand.
fn serve(port: u16, count: u64) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), options()).unwrap());
    let flows = Flows { count, span: DAY, holes: true };
    let mut numbers = 0..count;
    while !numbers.is_empty() {
        let mut batch = store.batch();
        for number in numbers.by_ref().take(7001) {
            batch.add(&flows.document(number));
        }
        store.commit(&mut batch).unwrap();
    }
    println!("{}", json!(store.info()));
    let router = Router::new().nest_service("/es", es::router(store));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
}

/// Documents are made beforehand, a batch at a time, so that only the store is measured.
fn ingest(folder: &std::path::Path, count: u64) {
    let flows = Flows { count, span: DAY, holes: false };
    let store = Store::open(folder, options()).unwrap();
    let (mut spent, mut number) = (Duration::ZERO, 0);
    let mut committing = Duration::ZERO;
    while number < count {
        let end = (number + BATCH).min(count);
        let documents: Vec<_> = (number..end).map(|number| flows.document(number)).collect();
        let begun = Instant::now();
        let mut batch = store.batch();
        for document in &documents {
            batch.add(document);
        }
        let adding = begun.elapsed();
        store.commit(&mut batch).unwrap();
        spent += begun.elapsed();
        committing += begun.elapsed() - adding;
        number = end;
    }
    println!(
        "ingest      {:8.0} documents/s ({:.0} % of it in commits)",
        rate(count, spent),
        100.0 * committing.as_secs_f64() / spent.as_secs_f64()
    );
    let begun = Instant::now();
    while store.merge_now() {}
    println!("merging     {:8.1} s after the last commit", begun.elapsed().as_secs_f64());
    let info = store.info();
    println!(
        "size        {:8.1} octets a flow, {} segments, {} slices",
        info.octets as f64 / info.documents as f64,
        info.segments,
        info.slices
    );
    for (column, octets) in store.column_sizes().unwrap().into_iter().take(60) {
        println!("    {:7.2}  {column}", octets as f64 / info.documents as f64);
    }
    println!("memory      {:8} MB at most", peak_memory());
}

async fn query(folder: &std::path::Path) {
    let begun = Instant::now();
    let store = Arc::new(Store::open(folder, options()).unwrap());
    println!("open        {:8.2} s, checksums and recent ids included", begun.elapsed().as_secs_f64());
    let router = es::router(Arc::clone(&store));
    let hour = (FIRST + 20 * 3_600_000, FIRST + 21 * 3_600_000);
    let day = (FIRST, FIRST + 86_400_000);
    for (name, (from, to)) in [("24 h", day), ("1 h", hour)] {
        let mut all = [Duration::ZERO; 2];
        for (pass, total) in all.iter_mut().enumerate() {
            for (panel, body) in panels(from, to) {
                let begun = Instant::now();
                ask(&router, &body).await;
                *total += begun.elapsed();
                println!(
                    "{name:5} {} {panel:24} {:7.1} ms",
                    ["cold", "warm"][pass],
                    begun.elapsed().as_secs_f64() * 1e3
                );
            }
        }
        println!(
            "{name:5} all panels: cold {:.2} s, warm {:.2} s",
            all[0].as_secs_f64(),
            all[1].as_secs_f64()
        );
    }
    println!("memory      {:8} MB at most", peak_memory());
}

async fn ask(router: &Router, body: &Value) {
    let request = Request::post("/flow-*/_search").body(Body::from(body.to_string())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
}

/// What the shipped dashboards ask.
fn panels(from: i64, to: i64) -> Vec<(&'static str, Value)> {
    let query = json!({"bool": {"filter": [{"range": {"@timestamp": {"gte": from, "lt": to, "format": "epoch_millis"}}}]}});
    let sum = |field: &str| json!({"sum": {"field": field}});
    let interval = format!("{}ms", (to - from) / 180);
    let over_time = |field: &str| {
        json!({"t": {"terms": {"field": field, "size": 10, "order": {"b": "desc"}}, "aggs": {
        "b": sum("ipfix.octetDeltaCount"),
        "h": {"date_histogram": {"field": "@timestamp", "fixed_interval": interval}, "aggs": {"b": sum("ipfix.octetDeltaCount")}}}}})
    };
    let top = |field: &str, of: &str| json!({"t": {"terms": {"field": field, "size": 50, "order": {"b": "desc"}}, "aggs": {"b": sum(of)}}, "all": sum(of)});
    let body = |aggs: Value| json!({"size": 0, "query": query, "aggs": aggs});
    vec![
        ("Sankey sent", body(top("ipfix.podPair.keyword", "ipfix.octetDeltaCount"))),
        ("Sankey received", body(top("ipfix.podPair.keyword", "ipfix.reverseOctetDeltaCount"))),
        ("by source over time", body(over_time("ipfix.sourceName.keyword"))),
        ("by destination over time", body(over_time("ipfix.destinationName.keyword"))),
        ("Service Sankey", body(top("ipfix.servicePair.keyword", "ipfix.octetDeltaCount"))),
        ("Node pairs", body(top("ipfix.nodePair.keyword", "ipfix.bytes"))),
        (
            "flows over time",
            body(json!({"h": {"date_histogram": {"field": "@timestamp", "fixed_interval": interval}}})),
        ),
        ("distinct flows", body(json!({"n": {"cardinality": {"field": "ipfix.flowId"}}}))),
        ("newest 500", json!({"size": 500, "query": query, "sort": [{"@timestamp": "desc"}]})),
    ]
}

fn options() -> Options {
    Options { keep: Duration::MAX, ..Options::default() }
}

fn rate(count: u64, spent: Duration) -> f64 {
    count as f64 / spent.as_secs_f64()
}

/// The process's largest resident set so far, mapped files included.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

const BATCH: u64 = 50_000;
