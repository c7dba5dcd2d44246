//! Any body gets an answer or an error in Elasticsearch's shape: bodies put together at random from the words of the
//! API, in places where they belong and where they do not.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use podflow_collector::es::exercise::Asker;
use podflow_collector::store::{Options, Store};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::flows::Flows;

const WORDS: &[&str] = &[
    "query",
    "bool",
    "must",
    "filter",
    "should",
    "must_not",
    "term",
    "terms",
    "range",
    "exists",
    "field",
    "match_all",
    "query_string",
    "prefix",
    "wildcard",
    "regexp",
    "ids",
    "values",
    "aggs",
    "a",
    "b",
    "date_histogram",
    "fixed_interval",
    "calendar_interval",
    "histogram",
    "interval",
    "sum",
    "avg",
    "cardinality",
    "percentiles",
    "composite",
    "sources",
    "filters",
    "global",
    "missing",
    "top_hits",
    "size",
    "from",
    "sort",
    "search_after",
    "_source",
    "fields",
    "gte",
    "lt",
    "order",
    "extended_bounds",
    "min",
    "max",
    "buckets_path",
    "derivative",
    "sum_bucket",
    "bucket_sort",
    "offset",
    "time_zone",
    "format",
    "ranges",
    "to",
    "key",
    "keyed",
    "percents",
    "include",
    "exclude",
    "after",
    "track_total_hits",
    "ipfix.octetDeltaCount",
    "ipfix.sourceName",
    "ipfix.sourceName.keyword",
    "ipfix.sourceIP",
    "@timestamp",
    "_doc",
];
const TEXTS: &[&str] = &[
    "",
    "1h",
    "1ms",
    "1d",
    "day",
    "month",
    "-1h",
    "now",
    "now-1d/d",
    "2026-11-22",
    "asc",
    "desc",
    "*",
    "10.0.0.0/8",
    "ipfix.octetDeltaCount",
    "ipfix.sourceName",
    "ipfix.sourceIP",
    "@timestamp",
    "a>b",
    "b",
    "_count",
    "_key",
    "(",
    "a:[1 TO",
    "((((((((((",
    "Europe/Berlin",
    "+25:00",
    "a{1000}{1000}",
    "yyyy-MM-dd",
    "ééé",
    "9223372036854775808",
    "1e400",
    "-",
];

/// Address space of this process: a question that takes memory without end fails here, not the whole machine.
const MOST_MEMORY: u64 = 8 << 30;

static ASKER: LazyLock<(Asker, tempfile::TempDir)> = LazyLock::new(|| {
    setrlimit(Resource::RLIMIT_AS, MOST_MEMORY, MOST_MEMORY).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = Options { keep: Duration::MAX, ..Options::default() };
    let store = Store::open(folder.path(), options).unwrap();
    let flows = Flows { count: 500, span: 86_400_000, holes: true };
    let mut batch = store.batch();
    (0..flows.count).for_each(|number| {
        batch.add(&flows.document(number));
    });
    store.commit(&mut batch).unwrap();
    (Asker::of(Arc::new(store)).unwrap(), folder)
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body_is_answered_or_refused(body in object(4)) {
        check(&body.to_string());
    }

    #[test]
    fn any_query_is_answered_or_refused(query in clause(), agg in aggregation()) {
        check(&json!({"query": query, "size": 3, "aggs": {"a": agg}}).to_string());
    }

    #[test]
    fn any_text_is_answered_or_refused(text in "\\PC{0,60}") {
        check(&text);
        check(&json!({"query": {"query_string": {"query": text}}}).to_string());
        check(&json!({"query": {"simple_query_string": {"query": text}}}).to_string());
        check(&json!({"query": {"regexp": {"ipfix.sourceName": text}}}).to_string());
        check(&json!({"query": {"wildcard": {"ipfix.sourceName": text}}}).to_string());
        check(&json!({"query": {"range": {"@timestamp": {"gte": text}}}}).to_string());
    }
}

fn check(body: &str) {
    ASKER.0.ask(body.as_bytes());
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3_i64..100_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(TEXTS).prop_map(Value::from),
    ]
}

fn object(depth: u32) -> impl Strategy<Value = Value> {
    scalar().prop_recursive(depth, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((select(WORDS), inner), 0..4).prop_map(|entries| Value::Object(
                entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>()
            )),
        ]
    })
}

fn field() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "ipfix.octetDeltaCount",
            "ipfix.sourceName",
            "ipfix.sourceIP",
            "@timestamp",
            "ipfix.jitter",
            "ipfix.sampled",
            "x",
        ][..],
    )
}

fn clause() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (field(), scalar()).prop_map(|(field, value)| json!({"term": {field: value}})),
        (field(), scalar(), scalar())
            .prop_map(|(field, a, b)| json!({"range": {field: {"gte": a, "lt": b}}})),
        (field(), scalar()).prop_map(|(field, value)| json!({"terms": {field: [value]}})),
        field().prop_map(|field| json!({"exists": {"field": field}})),
        (field(), select(TEXTS)).prop_map(|(field, text)| json!({"wildcard": {field: text}})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        (prop::collection::vec(inner.clone(), 0..3), prop::collection::vec(inner, 0..3), scalar()).prop_map(
            |(a, b, least)| json!({"bool": {"should": a, "must_not": b, "minimum_should_match": least}}),
        )
    })
}

fn aggregation() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        field().prop_map(|field| json!({"stats": {"field": field}})),
        field().prop_map(|field| json!({"cardinality": {"field": field}})),
        (field(), scalar())
            .prop_map(|(field, percent)| json!({"percentiles": {"field": field, "percents": [percent]}})),
    ];
    leaf.prop_recursive(2, 6, 1, |inner| {
        prop_oneof![
            (field(), inner.clone(), scalar()).prop_map(|(f, sub, v)| json!({"terms": {"field": f, "missing": v}, "aggs": {"b": sub}})),
            (field(), inner.clone(), scalar(), scalar()).prop_map(|(f, sub, a, b)| {
                json!({"date_histogram": {"field": f, "fixed_interval": "1h", "extended_bounds": {"min": a, "max": b}}, "aggs": {"b": sub}})
            }),
            (field(), inner.clone(), scalar(), scalar()).prop_map(|(f, sub, a, b)| {
                json!({"histogram": {"field": f, "interval": a, "offset": b}, "aggs": {"b": sub}})
            }),
            (field(), inner, scalar(), scalar()).prop_map(|(f, sub, a, b)| {
                json!({"range": {"field": f, "ranges": [{"from": a, "to": b}]}, "aggs": {"b": sub}})
            }),
        ]
    })
}
