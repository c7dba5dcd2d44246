//! A document comes back as it was given: whatever its fields are called and hold, alone and after a merge.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use podflow_collector::document::json;
use podflow_collector::document::model::{Document, DocumentId, Value};
use podflow_collector::es;
use podflow_collector::store::{Options, Store};
use proptest::prelude::*;
use tower::ServiceExt as _;

use crate::flows::FIRST;

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stored_is_the_source(documents in prop::collection::vec(document(), 1..20), commits in 1_usize..4) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options { keep: Duration::MAX, ..Options::default() }).unwrap();
        let documents: Vec<_> = documents.into_iter().zip(0..).map(|(given, number)| numbered(given, number)).collect();
        for part in documents.chunks(documents.len().div_ceil(commits)) {
            let mut batch = store.batch();
            for document in part {
                batch.add(document);
            }
            store.commit(&mut batch).unwrap();
        }
        let expected: HashMap<String, serde_json::Value> = documents.iter().map(shown).collect();
        let store = Arc::new(store);
        prop_assert_eq!(&sources(&store), &expected);
        while store.merge_now() {}
        prop_assert_eq!(&sources(&store), &expected, "after merging");
    }
}

/// The document as Elasticsearch would be sent it, by its `_id`.
fn shown(document: &Document<'_>) -> (String, serde_json::Value) {
    let mut text = Vec::new();
    json::write(document, &mut text);
    (URL_SAFE_NO_PAD.encode(document.id.0), serde_json::from_slice(&text).unwrap())
}

fn sources(store: &Arc<Store>) -> HashMap<String, serde_json::Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request = Request::post("/_search").body(Body::from(r#"{"size": 1000}"#)).unwrap();
    let answer = runtime.block_on(async {
        let response = es::router(Arc::clone(store)).oneshot(request).await.unwrap();
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
    });
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
    hits.iter().map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone())).collect()
}

fn numbered(document: Document<'static>, number: u8) -> Document<'static> {
    Document { id: DocumentId([number; 15]), ..document }
}

fn document() -> impl Strategy<Value = Document<'static>> {
    let minutes = 0_i64..300;
    (minutes, any::<IpAddr>(), prop::collection::btree_map(name(), value(), 0..8)).prop_map(
        |(minute, host, fields)| Document {
            id: DocumentId([0; 15]),
            timestamp: FIRST + minute * 60_000,
            host,
            fields: fields.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect(),
        },
    )
}

/// Few ordinary names, so that one name has values of several kinds; and names that nobody should send.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-d]",
        1 => "[a-c]\\.[a-c]",
        1 => "\\PC{1,12}",
        1 => "[\u{0}-\u{1f}a]{0,3}",
        1 => Just("@timestamp".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let text = prop_oneof![
        "[a-z]{0,4}".boxed(),
        "\\PC{0,20}".boxed(),
        any::<String>().boxed(),
        Just("ä".repeat(8191)).boxed(),
        Just("x".repeat(8192)).boxed(),
    ];
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::Unsigned),
        any::<i64>().prop_map(Value::Signed),
        any::<i32>().prop_map(|n| Value::Float(f64::from(n) / 8.0)),
        any::<bool>().prop_map(Value::Boolean),
        text.prop_map(|text| Value::String(Cow::Owned(text))),
        any::<IpAddr>().prop_map(Value::Address),
        (0_i64..4_000_000_000_000).prop_map(Value::Time),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("[a-c]|\\PC{0,3}", inner, 0..3).prop_map(
                |members: BTreeMap<String, _>| {
                    Value::Object(
                        members.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect(),
                    )
                }
            ),
        ]
    })
}
