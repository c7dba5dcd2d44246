//! What is kept of an answer is never wrong for another question: every panel of every dashboard, asked again for a range
//! that has moved on, says what a store says that was never asked before.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use podflow_collector::es;
use podflow_collector::store::{Options, Store};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::flows::{FIRST, Flows};

const HOUR: u64 = 3_600_000;
/// Each hour's file is big enough that what it answers is kept.
const FLOWS: Flows = Flows { count: 30_000, span: 3 * HOUR, holes: true };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dashboard_that_moves_on_with_the_clock_says_what_it_would_say_at_first_sight() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options { keep: Duration::MAX, ..Options::default() }).unwrap();
    let mut batch = store.batch();
    for number in 0..FLOWS.count {
        batch.add(&FLOWS.document(number));
    }
    store.commit(&mut batch).unwrap();
    let store = Arc::new(store);
    let (asked_before, new) = (es::router(Arc::clone(&store)), es::router(store));
    let begin = u64::try_from(FIRST).unwrap() + HOUR / 4;
    let later = HOUR / 6;
    let (mut asked, mut changed) = (0, 0);
    for (earlier, now) in
        std::iter::zip(bodies(begin, begin + 2 * HOUR), bodies(begin + later, begin + 2 * HOUR + later))
    {
        let before = answer(&asked_before, &earlier).await;
        let (kept, fresh) = (answer(&asked_before, &now).await, answer(&new, &now).await);
        assert_eq!(kept, fresh, "{now}");
        asked += 1;
        changed += usize::from(before != fresh);
    }
    // Other ranges hold other flows, or the comparison would say nothing.
    assert!(changed > asked / 2, "{changed} of {asked}");
}

/// What the panels ask, and aggregations that they do not use.
fn bodies(from: u64, to: u64) -> Vec<Value> {
    let range = json!({"range": {"@timestamp": {"gte": from, "lt": to, "format": "epoch_millis"}}});
    let with = |aggs: Value| json!({"size": 0, "track_total_hits": true, "query": range, "aggs": aggs});
    let mut bodies: Vec<Value> =
        podflow_dashboards::requests(from, to).unwrap().into_iter().map(|request| request.body).collect();
    bodies.extend([
        with(json!({"h": {"date_histogram": {"field": "@timestamp", "fixed_interval": "10m",
            "hard_bounds": {"min": from + HOUR, "max": to}}, "aggs": {"s": {"stats": {"field": "ipfix.jitter"}}}}})),
        with(json!({"f": {"filters": {"other_bucket_key": "o", "filters": {"late": {"range": {"@timestamp": {"gte": to - HOUR}}}}}}})),
        with(json!({"r": {"date_range": {"field": "@timestamp", "ranges": [{"from": from + HOUR}, {"to": to - HOUR}]}}})),
        with(json!({"n": {"date_range": {"field": "@timestamp", "ranges": [{"to": "now/y+1y"}]}}})),
        with(json!({"t": {"top_hits": {"size": 2, "sort": [{"ipfix.flowId": "asc"}, {"@timestamp": "desc"}]}}})),
        with(json!({"g": {"global": {}, "aggs": {"m": {"missing": {"field": "ipfix.throughput"}}}}})),
    ]);
    bodies
}

async fn answer(router: &Router, body: &Value) -> Value {
    let request = Request::post("/flow-*/_search").body(Body::from(body.to_string())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "{body}");
    let octets = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let mut answer: Value = serde_json::from_slice(&octets).unwrap();
    answer["took"].take();
    answer
}
