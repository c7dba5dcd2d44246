//! The API as a client sees it, over a small store: each test a table of bodies and what comes back.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::document::model::{Document, DocumentId, Value as Field};
use crate::store::Options;

const NOON: i64 = 1_795_348_800_000;

struct Server {
    engine: Arc<Engine>,
    router: Router,
    _folder: tempfile::TempDir,
}

/// 100 documents: Pods `pod-0` to `pod-4`, one a minute from noon, bytes = number; every tenth without a Pod name.
fn server() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { keep: Duration::MAX, ..Options::default() };
    let store = Arc::new(Store::open(folder.path(), options).unwrap());
    for chunk in [0..40_u32, 40..100] {
        let mut batch = store.batch();
        for number in chunk {
            let mut id = [0; 15];
            id[..4].copy_from_slice(&number.to_be_bytes());
            id[11..].copy_from_slice(&number.to_be_bytes());
            let mut fields = vec![
                (Cow::Borrowed("bytes"), Field::Unsigned(u64::from(number))),
                (Cow::Borrowed("sourceIP"), Field::Address(IpAddr::from([10, 0, 0, (number % 3) as u8 + 9]))),
                (Cow::Borrowed("load"), Field::Float(f64::from(number) / 4.0)),
                (Cow::Borrowed("ended"), Field::Boolean(number % 2 == 0)),
            ];
            if number % 10 != 0 {
                fields.push((
                    Cow::Borrowed("sourcePodName"),
                    Field::String(format!("pod-{}", number % 5).into()),
                ));
            }
            batch.add(&Document {
                id: DocumentId(id),
                timestamp: NOON + i64::from(number) * 60_000,
                host: IpAddr::from([10, 0, 0, 5]),
                fields,
            });
        }
        store.commit(&mut batch).unwrap();
    }
    let engine = Arc::new(Engine { store, contexts: Contexts::default(), results: Results::default() });
    let router = Router::new().nest_service("/es", serving(Arc::clone(&engine)));
    Server { engine, router, _folder: folder }
}

impl Server {
    async fn call(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let request =
            Request::builder().method(method).uri(format!("/es{path}")).body(Body::from(body.to_owned()));
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(response.headers()["x-elastic-product"], "Elasticsearch");
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into()))
    }

    async fn search(&self, body: Value) -> Value {
        let (status, shown) = self.call(Method::POST, "/flow-*/_search", &body.to_string()).await;
        assert_eq!(status, 200, "{body} {shown}");
        shown
    }

    async fn total(&self, query: Value) -> u64 {
        self.search(json!({"query": query, "size": 0})).await["hits"]["total"]["value"].as_u64().unwrap()
    }
}

#[tokio::test]
async fn queries_find_what_they_should() {
    let server = server();
    let table = [
        (json!({"match_all": {}}), 100),
        (json!({"match_none": {}}), 0),
        (json!({"term": {"ipfix.sourcePodName": "pod-1"}}), 20),
        (json!({"term": {"ipfix.sourcePodName.keyword": {"value": "pod-1"}}}), 20),
        (json!({"terms": {"ipfix.sourcePodName": ["pod-1", "pod-2", "x"]}}), 40),
        (json!({"term": {"ipfix.sourceIP": "10.0.0.9"}}), 34),
        (json!({"term": {"ipfix.sourceIP": "10.0.0.8/31"}}), 34),
        (json!({"range": {"ipfix.sourceIP": {"gte": "10.0.0.10"}}}), 66),
        (json!({"range": {"ipfix.bytes": {"gte": 10, "lt": 20}}}), 10),
        (json!({"range": {"ipfix.bytes": {"gt": "9.5", "lte": 19.5}}}), 10),
        (json!({"range": {"ipfix.load": {"gt": 24}}}), 3),
        (json!({"range": {"@timestamp": {"gte": "2026-11-22T12:10:00Z", "lt": "2026-11-22T12:20:00Z"}}}), 10),
        (json!({"range": {"@timestamp": {"lte": "2026-11-22T12:10"}}}), 11),
        (json!({"range": {"@timestamp": {"gte": NOON, "lt": NOON + 60_000, "format": "epoch_millis"}}}), 1),
        (json!({"exists": {"field": "ipfix.sourcePodName"}}), 90),
        (json!({"bool": {"must_not": {"exists": {"field": "ipfix.sourcePodName"}}}}), 10),
        (json!({"bool": {"should": [{"term": {"ipfix.bytes": 1}}, {"term": {"ipfix.bytes": 2}}]}}), 2),
        (
            json!({"bool": {"filter": [{"term": {"ipfix.ended": true}}], "should": [{"term": {"ipfix.bytes": 1}}]}}),
            50,
        ),
        (
            json!({"bool": {"filter": [{"term": {"ipfix.ended": true}}], "should": [{"term": {"ipfix.bytes": 1}}], "minimum_should_match": 1}}),
            0,
        ),
        (json!({"match_phrase": {"ipfix.sourcePodName": "pod-3"}}), 20),
        (json!({"match": {"type": "ipfix"}}), 100),
        (json!({"prefix": {"ipfix.sourcePodName": "pod"}}), 90),
        (json!({"wildcard": {"ipfix.sourcePodName": {"value": "POD-?", "case_insensitive": true}}}), 90),
        (json!({"regexp": {"ipfix.sourcePodName": "pod-[12]"}}), 40),
        (json!({"query_string": {"query": "ipfix.sourcePodName:pod-1 AND ipfix.bytes:[0 TO 10]"}}), 2),
        (json!({"query_string": {"query": "pod-1"}}), 20),
        (json!({"query_string": {"query": "NOT _exists_:ipfix.sourcePodName"}}), 10),
        (json!({"simple_query_string": {"query": "pod-1 | pod-2", "fields": ["ipfix.sourcePodName"]}}), 40),
        (json!({"term": {"no.such.field": 1}}), 0),
        (json!({"term": {"_index": "flow-2026.11.22"}}), 100),
        (json!({"ids": {"values": ["AAAAAQAAAAAAAAAAAAAB"]}}), 1),
    ];
    for (query, expected) in table {
        assert_eq!(server.total(query.clone()).await, expected, "{query}");
    }
}

#[tokio::test]
async fn hits_are_sorted_paged_and_shown() {
    let server = server();
    let shown = server
        .search(json!({"size": 2, "sort": [{"ipfix.bytes": "desc"}], "_source": ["ipfix.bytes", "host"]}))
        .await;
    assert_eq!(shown["hits"]["total"], json!({"value": 100, "relation": "eq"}));
    assert_eq!(shown["hits"]["max_score"], Value::Null);
    assert_eq!(
        shown["hits"]["hits"][0],
        json!({"_index": "flow-2026.11.22", "_id": "AAAAYwAAAAAAAAAAAABj", "_score": null,
               "_source": {"host": "10.0.0.5", "ipfix": {"bytes": 99}}, "sort": [99]})
    );
    let next =
        server.search(json!({"size": 1, "sort": [{"ipfix.bytes": "desc"}], "search_after": [98]})).await;
    assert_eq!(next["hits"]["hits"][0]["sort"], json!([97]));
    let missing = server.search(json!({"size": 1, "sort": [{"ipfix.sourcePodName": {"order": "asc", "missing": "_first"}}, "ipfix.bytes"]})).await;
    assert_eq!(missing["hits"]["hits"][0]["sort"], json!([null, 0]));
    let ips = server.search(json!({"size": 1, "from": 34, "sort": ["ipfix.sourceIP", "@timestamp"], "fields": ["@timestamp", "ipfix.sourceIP"], "_source": false})).await;
    assert_eq!(
        ips["hits"]["hits"][0]["fields"],
        json!({"@timestamp": ["2026-11-22T12:01:00.000Z"], "ipfix.sourceIP": ["10.0.0.10"]}),
        "10.0.0.9 sorts before 10.0.0.10"
    );
}

#[tokio::test]
async fn every_document_is_scrolled_through_once() {
    let server = server();
    let (_, mut shown) =
        server.call(Method::POST, "/flow-*/_search?scroll=1m&size=33", r#"{"sort": ["_doc"]}"#).await;
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let hits = shown["hits"]["hits"].as_array().unwrap().clone();
        if hits.is_empty() {
            break;
        }
        for hit in hits {
            assert!(seen.insert(hit["_id"].as_str().unwrap().to_owned()), "{hit} came twice");
        }
        let body = json!({"scroll_id": shown["_scroll_id"], "scroll": "1m"}).to_string();
        shown = server.call(Method::POST, "/_search/scroll", &body).await.1;
    }
    assert_eq!(seen.len(), 100);
    let body = json!({"scroll_id": shown["_scroll_id"]}).to_string();
    assert_eq!(server.call(Method::DELETE, "/_search/scroll", &body).await.1["num_freed"], 1);
    assert_eq!(server.call(Method::POST, "/_search/scroll", &body).await.0, 404);
}

#[tokio::test]
async fn aggregations_answer_to_the_letter() {
    let server = server();
    let table = [
        (
            json!({"terms": {"field": "ipfix.sourcePodName.keyword", "size": 2, "order": {"s": "desc"}}, "aggs": {"s": {"sum": {"field": "ipfix.bytes"}}}}),
            json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 50, "buckets": [
                {"key": "pod-4", "doc_count": 20, "s": {"value": 1030.0}},
                {"key": "pod-3", "doc_count": 20, "s": {"value": 1010.0}}]}),
        ),
        (
            json!({"terms": {"field": "ipfix.sourcePodName", "missing": "none", "include": ["none", "pod-0"]}}),
            json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [
                {"key": "none", "doc_count": 10}, {"key": "pod-0", "doc_count": 10}]}),
        ),
        (
            json!({"terms": {"field": "ipfix.sourceIP", "order": {"_key": "asc"}}}),
            json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [
                {"key": "10.0.0.9", "doc_count": 34}, {"key": "10.0.0.10", "doc_count": 33}, {"key": "10.0.0.11", "doc_count": 33}]}),
        ),
        (
            json!({"terms": {"field": "ipfix.ended"}}),
            json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [
                {"key": 0, "key_as_string": "false", "doc_count": 50}, {"key": 1, "key_as_string": "true", "doc_count": 50}]}),
        ),
        (
            json!({"date_histogram": {"field": "@timestamp", "fixed_interval": "1h"}, "aggs": {"c": {"cumulative_sum": {"buckets_path": "_count"}}}}),
            json!({"buckets": [
                {"key_as_string": "2026-11-22T12:00:00.000Z", "key": NOON, "doc_count": 60, "c": {"value": 60.0}},
                {"key_as_string": "2026-11-22T13:00:00.000Z", "key": NOON + 3_600_000, "doc_count": 40, "c": {"value": 100.0}}]}),
        ),
        (
            json!({"histogram": {"field": "ipfix.bytes", "interval": 50, "extended_bounds": {"max": 100}}}),
            json!({"buckets": [{"key": 0.0, "doc_count": 50}, {"key": 50.0, "doc_count": 50}, {"key": 100.0, "doc_count": 0}]}),
        ),
        (
            json!({"range": {"field": "ipfix.bytes", "ranges": [{"from": 90}, {"to": 10}]}}),
            json!({"buckets": [{"key": "*-10.0", "to": 10.0, "doc_count": 10}, {"key": "90.0-*", "from": 90.0, "doc_count": 10}]}),
        ),
        (
            json!({"filters": {"other_bucket_key": "rest", "filters": {"one": {"term": {"ipfix.sourcePodName": "pod-1"}}}}}),
            json!({"buckets": {"one": {"doc_count": 20}, "rest": {"doc_count": 80}}}),
        ),
        (json!({"missing": {"field": "ipfix.sourcePodName"}}), json!({"doc_count": 10})),
        (json!({"cardinality": {"field": "ipfix.sourceIP"}}), json!({"value": 3})),
        (json!({"value_count": {"field": "ipfix.sourcePodName"}}), json!({"value": 90})),
        (json!({"avg": {"field": "ipfix.load"}}), json!({"value": 12.375})),
        (
            json!({"max": {"field": "@timestamp"}}),
            json!({"value": (NOON + 99 * 60_000) as f64, "value_as_string": "2026-11-22T13:39:00.000Z"}),
        ),
        (json!({"max": {"field": "ipfix.ended"}}), json!({"value": 1.0, "value_as_string": "true"})),
        (json!({"sum": {"field": "no.such.field"}}), json!({"value": 0.0})),
        (json!({"min": {"field": "no.such.field"}}), json!({"value": null})),
        (
            json!({"stats": {"field": "ipfix.bytes"}}),
            json!({"count": 100, "min": 0.0, "max": 99.0, "avg": 49.5, "sum": 4950.0}),
        ),
        (
            json!({"composite": {"size": 2, "sources": [{"p": {"terms": {"field": "ipfix.sourcePodName"}}}, {"e": {"terms": {"field": "ipfix.ended", "order": "desc"}}}], "after": {"p": "pod-0", "e": true}}}),
            json!({"after_key": {"p": "pod-1", "e": true}, "buckets": [
                {"key": {"p": "pod-0", "e": false}, "doc_count": 10}, {"key": {"p": "pod-1", "e": true}, "doc_count": 10}]}),
        ),
        (
            json!({"multi_terms": {"size": 1, "terms": [{"field": "ipfix.sourcePodName"}, {"field": "ipfix.ended"}]}}),
            json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 80, "buckets": [
                {"key": ["pod-0", 0], "key_as_string": "pod-0|false", "doc_count": 10}]}),
        ),
    ];
    for (agg, expected) in table {
        let shown = server.search(json!({"size": 0, "aggs": {"a": agg}})).await;
        assert_eq!(shown["aggregations"]["a"], expected, "{agg}");
    }
}

/// Beyond 2^53 a double and the next number are one: what is stepped through must be counted.
#[tokio::test]
async fn a_histogram_of_tiny_intervals_ends() {
    let server = server();
    for interval in [1e-300, 5e-324, 1e-17, 1e-13, 1e-3] {
        let histogram = json!({"histogram": {"field": "ipfix.bytes", "interval": interval}});
        for query in [json!({"match_all": {}}), json!({"term": {"ipfix.bytes": 99}})] {
            let body = json!({"size": 0, "query": query, "aggs": {"a": histogram}});
            let (status, shown) = server.call(Method::POST, "/flow-*/_search", &body.to_string()).await;
            let several = query["match_all"].is_object();
            match shown["aggregations"]["a"]["buckets"].as_array() {
                Some(buckets) => assert!(!several && buckets.len() == 1, "{interval}: {shown}"),
                None => assert_eq!(
                    shown["error"]["caused_by"]["type"], "too_many_buckets_exception",
                    "{status} {shown}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn siblings_and_globals_see_beyond_their_level() {
    let server = server();
    let shown = server
        .search(json!({"size": 0, "query": {"term": {"ipfix.sourcePodName": "pod-1"}}, "aggs": {
            "h": {"date_histogram": {"field": "@timestamp", "calendar_interval": "hour"}, "aggs": {"b": {"sum": {"field": "ipfix.bytes"}}}},
            "total": {"sum_bucket": {"buckets_path": "h>b"}},
            "all": {"global": {}, "aggs": {"b": {"sum": {"field": "ipfix.bytes"}}}}}}))
        .await;
    assert_eq!(shown["aggregations"]["total"]["value"], json!(970.0));
    assert_eq!(shown["aggregations"]["all"], json!({"doc_count": 100, "b": {"value": 4950.0}}));
}

#[tokio::test]
async fn refusals_have_elasticsearchs_types() {
    let server = server();
    let table = [
        (json!({"query": {"nonsense": {}}}), 400, "parsing_exception"),
        (json!({"nonsense": 1}), 400, "parsing_exception"),
        (json!({"query": {"term": {"ipfix.bytes": "many"}}}), 400, "search_phase_execution_exception"),
        (
            json!({"query": {"range": {"@timestamp": {"gte": "yesterday"}}}}),
            400,
            "search_phase_execution_exception",
        ),
        (json!({"size": 20000}), 400, "search_phase_execution_exception"),
        (json!({"size": -1}), 400, "illegal_argument_exception"),
        (json!({"sort": ["no.such.field"]}), 400, "search_phase_execution_exception"),
        (
            json!({"aggs": {"a": {"sum": {"field": "ipfix.sourcePodName"}}}}),
            400,
            "search_phase_execution_exception",
        ),
        (
            json!({"aggs": {"a": {"terms": {"script": {"source": "1"}}}}}),
            400,
            "search_phase_execution_exception",
        ),
        (
            json!({"aggs": {"a": {"terms": {"field": "x", "order": {"b": "asc"}}}}}),
            400,
            "search_phase_execution_exception",
        ),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1s", "extended_bounds": {"min": 0}}}}}),
            400,
            "search_phase_execution_exception",
        ),
    ];
    for (body, status, kind) in table {
        let (found, shown) = server.call(Method::POST, "/flow-*/_search", &body.to_string()).await;
        assert_eq!((found, shown["error"]["type"].as_str()), (status, Some(kind)), "{body} {shown}");
        assert!(shown["error"]["root_cause"][0]["reason"].is_string(), "{shown}");
    }
    assert_eq!(server.call(Method::POST, "/flow-*/_search", "{").await.0, 400);
    let (status, shown) = server.call(Method::GET, "/flow-2000.01.01/_search", "").await;
    assert_eq!((status, shown["error"]["type"].as_str()), (404, Some("index_not_found_exception")));
    assert_eq!(server.call(Method::PUT, "/flow-x", "").await.0, 400);
}

#[tokio::test]
async fn a_search_ends_at_its_deadline_and_with_its_client() {
    let server = server();
    let body = json!({"aggs": {"a": {"terms": {"field": "ipfix.sourcePodName"}}}});
    let (status, shown) = server.call(Method::POST, "/flow-*/_search?timeout=0ms", &body.to_string()).await;
    assert_eq!((status, &shown["error"]["type"]), (504, &json!("timeout_exception")), "{shown}");

    let call = routes::Call {
        method: Method::POST,
        path: params::path("/flow-*/_search"),
        params: params::Params::of(&"/".parse().unwrap()).unwrap(),
        body: body.to_string().into(),
    };
    let deadline = Instant::now() + DEADLINE;
    for (gone, expected) in [(false, None), (true, Some("task_cancelled_exception"))] {
        let work = Work { deadline, cancelled: Arc::new(gone.into()), buckets: AtomicUsize::new(0) };
        let answer = routes::answer(&server.engine, &call, &work);
        assert_eq!(answer.err().map(|error| error.kind), expected);
    }
}

#[tokio::test]
async fn the_rest_of_the_api_describes_the_store() {
    let server = server();
    assert_eq!(server.call(Method::GET, "", "").await.1["tagline"], "You Know, for Search");
    assert_eq!(server.call(Method::GET, "/", "").await.1["version"]["number"], "8.19.0");
    assert_eq!(server.call(Method::GET, "/flow-*/_count", "").await.1["count"], 100);
    let (_, mapping) = server.call(Method::GET, "/flow-*/_mapping", "").await;
    assert_eq!(
        mapping["flow-2026.11.22"]["mappings"]["properties"]["ipfix"]["properties"]["bytes"],
        json!({"type": "long"})
    );
    let (_, caps) = server.call(Method::GET, "/flow-*/_field_caps?fields=ipfix.source*", "").await;
    assert!(caps["fields"]["ipfix.sourceIP"]["ip"]["aggregatable"].as_bool().unwrap());
    assert!(caps["fields"]["ipfix.sourcePodName.keyword"]["keyword"]["searchable"].as_bool().unwrap());
    let (_, cat) = server.call(Method::GET, "/_cat/indices?h=index,docs.count", "").await;
    assert_eq!(cat, "flow-2026.11.22 100\n");
    let (_, resolved) = server.call(Method::GET, "/_resolve/index/flow-*", "").await;
    assert_eq!(resolved["indices"][0]["name"], "flow-2026.11.22");
    let body = "{\"index\": \"flow-*\"}\n{\"size\": 0}\n{}\n{\"sort\": \"no.such\"}\n";
    let (_, shown) = server.call(Method::POST, "/_msearch", body).await;
    assert_eq!(shown["responses"][0]["hits"]["total"]["value"], 100);
    assert_eq!(shown["responses"][1]["status"], 400);
}
