//! What the embedded store costs: `cargo bench -p podflow-collector --bench store -- [FLOWS]` writes that many flows
//! (10 million unless said) of one day, of either template, and prints ingest rate, octets a flow, and how long whole
//! dashboards take, cold and warm. `collector/benches/engines.py` has other engines beside it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]
#![allow(clippy::indexing_slicing, reason = "a measurement")]

#[path = "../tests/store/flows.rs"]
mod flows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use flows::{FIRST, Flows};
use podflow_collector::es;
use podflow_collector::store::{Options, Store};
use serde_json::Value;
use tower::ServiceExt as _;

const DAY: u64 = 86_400_000;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let count = arguments.first().map_or(10_000_000, |count| count.parse().unwrap());
    println!("-- {count} flows of the v0.9 template over 24 h");
    ingest(tempfile::tempdir().unwrap().path(), count, NOT_IN_V0_9);
    println!("-- {count} flows of the full template over 24 h");
    let folder = tempfile::tempdir().unwrap();
    ingest(folder.path(), count, &[]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(query(folder.path()));
}

/// Documents are made beforehand, a batch at a time, so that only the store is measured.
fn ingest(folder: &std::path::Path, count: u64, left_out: &[&str]) {
    let flows = Flows { count, span: DAY, holes: false };
    let store = Store::open(folder, options()).unwrap();
    let (mut spent, mut number) = (Duration::ZERO, 0);
    let mut committing = Duration::ZERO;
    while number < count {
        let end = (number + BATCH).min(count);
        let documents: Vec<_> = (number..end)
            .map(|number| {
                let mut document = flows.document(number);
                document.fields.retain(|(name, _)| !left_out.contains(&name.as_ref()));
                document
            })
            .collect();
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

/// Whole dashboards, every panel's request at once as a browser sends them: cold is a store that was just opened,
/// warm the same a minute later, so that what is kept are columns, not answers. Then each panel alone, cold.
async fn query(folder: &std::path::Path) {
    let begun = Instant::now();
    drop(Store::open(folder, options()).unwrap());
    println!("open        {:8.2} s, checksums and recent ids included", begun.elapsed().as_secs_f64());
    let end = u64::try_from(FIRST).unwrap() + DAY;
    for (name, span) in [("24 h", DAY), ("1 h", DAY / 24)] {
        let (now, later) = (asked(end - span - 60_000, end - 60_000), asked(end - span, end));
        for (dashboard, bodies) in &now {
            let router = opened(folder);
            let cold = together(&router, bodies).await;
            let warm = together(&router, &later[dashboard]).await;
            println!(
                "{name:5} {dashboard:24} {:2} requests: cold {:.2} s, warm {:.2} s",
                bodies.len(),
                cold.as_secs_f64(),
                warm.as_secs_f64()
            );
        }
        let mut slowest = (Duration::ZERO, String::new());
        for (panel, body) in now.values().flatten() {
            let alone = together(&opened(folder), &[(panel.clone(), body.clone())]).await;
            if alone > slowest.0 {
                slowest = (alone, panel.clone());
            }
        }
        println!("{name:5} the slowest panel alone, cold: {:.2} s ({})", slowest.0.as_secs_f64(), slowest.1);
    }
    println!("memory      {:8} MB at most", peak_memory());
}

fn opened(folder: &std::path::Path) -> Router {
    es::router(Arc::new(Store::open(folder, options()).unwrap()))
}

/// Each dashboard's panels with what they ask.
fn asked(from: u64, to: u64) -> BTreeMap<String, Vec<(String, Value)>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for request in podflow_dashboards::requests(from, to).unwrap() {
        found.entry(request.dashboard).or_default().push((request.panel, request.body));
    }
    found
}

async fn together(router: &Router, requests: &[(String, Value)]) -> Duration {
    let begun = Instant::now();
    let asking = requests.iter().map(|(_, body)| tokio::spawn(ask(router.clone(), body.clone())));
    for asked in asking.collect::<Vec<_>>() {
        asked.await.unwrap();
    }
    begun.elapsed()
}

async fn ask(router: Router, body: Value) {
    let request = Request::post("/flow-*/_search").body(Body::from(body.to_string())).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
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
/// What the v0.9 template does not say, and what follows from it.
const NOT_IN_V0_9: &[&str] = &[
    "flowEndReason",
    "flowStartMilliseconds",
    "flowEndMilliseconds",
    "tcpState",
    "flowType",
    "flowTypeStr",
    "throughput",
    "reverseThroughput",
];
