//! The same export ends in OpenSearch, in Elasticsearch and in the embedded store as the same documents, and the same
//! question has the same answer in each.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use podflow_e2e::recording::{Recording, recording};
use podflow_e2e::replay::Collector;
use podflow_e2e::servers::{self, Server};
use podflow_e2e::{http, readings};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

#[tokio::test(flavor = "multi_thread")]
async fn opensearch_stores_what_the_embedded_store_does() {
    assert_same(servers::opensearch().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opensearch_3_stores_what_the_embedded_store_does() {
    if let Some(server) = servers::opensearch_3().await {
        assert_same(server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_7_stores_what_the_embedded_store_does() {
    assert_same(servers::elasticsearch_7().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_8_stores_what_the_embedded_store_does() {
    if let Some(server) = servers::elasticsearch_8().await {
        assert_same(server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_9_stores_what_the_embedded_store_does() {
    if let Some(server) = servers::elasticsearch_9().await {
        assert_same(server).await;
    }
}

/// What a store holds of the recording.
#[derive(Debug)]
pub(crate) struct Stored {
    /// `_source` by `_id`.
    pub(crate) documents: BTreeMap<String, Value>,
    /// The answer to [`question`]: key, documents, octets, packets, octets back, packets back.
    pairs: Vec<(String, Vec<u64>)>,
}

async fn assert_same(server: &Server) {
    let recording = tokio::task::spawn_blocking(recording).await.unwrap();
    let embedded = embedded(recording).await;
    // An index of its own: other tests use the same server.
    let store = format!(
        "{{elasticsearch: {{hosts: [\"{}\"], index: \"recorded-%{{+YYYY.MM.dd}}\", template: recorded}}}}",
        server.url
    );
    let stored = stored(recording, Some(&store), &server.url, "recorded-*").await.unwrap();
    assert_eq!(stored.pairs, embedded.pairs, "sums by pair of Pods in {}", server.name);
    let ids = |stored: &Stored| stored.documents.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&stored), ids(embedded), "ids in {}", server.name);
    for (id, document) in &stored.documents {
        assert_eq!(document, &embedded.documents[id], "document {id} of {}", server.name);
    }
}

/// What the embedded store holds, found out once.
pub(crate) async fn embedded(recording: &Recording) -> &'static Stored {
    static STORED: OnceCell<Stored> = OnceCell::const_new();
    STORED.get_or_init(|| async { stored(recording, None, "", "flow-*").await.unwrap() }).await
}

/// Sends the recording twice into a collector on `store`, and asks the store at `url` (the embedded one: the collector's
/// own query API) what it then holds.
async fn stored(recording: &Recording, store: Option<&str>, url: &str, index: &str) -> Result<Stored> {
    let collector = Collector::start(recording, store)?;
    let flows: usize =
        recording.streams.iter().map(|stream| Ok(readings::ours(stream)?.flows.len())).sum::<Result<_>>()?;
    let flows = u64::try_from(flows)?;
    let status = collector.replay(recording, flows).await?;
    ensure!(status["stored"] == flows && status["duplicates"] == 0, "{flows} records sent once: {status}");
    let status = collector.replay(recording, 2 * flows).await?;
    ensure!(
        status["stored"] == flows && status["duplicates"] == flows,
        "{flows} records sent again: {status}"
    );

    let url = match store {
        Some(_) => {
            http::get(&format!("{url}/{index}/_refresh")).await?;
            url.to_owned()
        }
        None => format!("{}/es", collector.url),
    };
    let found = whole_answer(&format!("{url}/{index}/_search"), flows).await?;
    collector.stop().await?;
    Ok(Stored { documents: documents(&found)?, pairs: pairs(&found)? })
}

/// The embedded store shows a document within two seconds, so an answer may lack some at first.
async fn whole_answer(url: &str, flows: u64) -> Result<Value> {
    let mut found = Value::Null;
    for _ in 0..600 {
        found = http::post(url, &question()).await?;
        if found["hits"]["total"]["value"] == flows {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("{flows} documents were stored, and after two minutes {url} finds {}", found["hits"]["total"])
}

fn question() -> Value {
    let sum = |field: &str| json!({"sum": {"field": format!("ipfix.{field}")}});
    json!({
        "size": 10_000,
        "track_total_hits": true,
        "query": {"match_all": {}},
        "aggs": {"pairs": {
            "terms": {"field": "ipfix.podPair.keyword", "size": 1000, "order": {"_key": "asc"}},
            "aggs": {
                "octets": sum("octetDeltaCount"),
                "packets": sum("packetDeltaCount"),
                "octetsBack": sum("reverseOctetDeltaCount"),
                "packetsBack": sum("reversePacketDeltaCount"),
            },
        }},
    })
}

fn documents(found: &Value) -> Result<BTreeMap<String, Value>> {
    let hits = found["hits"]["hits"].as_array().context("no hits")?;
    hits.iter()
        .map(|hit| Ok((hit["_id"].as_str().context("a hit without _id")?.to_owned(), hit["_source"].clone())))
        .collect()
}

fn pairs(found: &Value) -> Result<Vec<(String, Vec<u64>)>> {
    let buckets = found["aggregations"]["pairs"]["buckets"].as_array().context("no buckets")?;
    ensure!(!buckets.is_empty(), "no pair of Pods: {found}");
    buckets
        .iter()
        .map(|bucket| {
            let sums =
                ["octets", "packets", "octetsBack", "packetsBack"].map(|sum| whole(&bucket[sum]["value"]));
            let key = bucket["key"].as_str().context("a bucket without key")?;
            let mut numbers = vec![whole(&bucket["doc_count"])?];
            for sum in sums {
                numbers.push(sum?);
            }
            Ok((key.to_owned(), numbers))
        })
        .collect()
}

/// Sums are floats in the answers; those of a test are whole and small.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn whole(value: &Value) -> Result<u64> {
    let number = value.as_f64().with_context(|| format!("no number: {value}"))?;
    ensure!(number.fract() == 0.0 && (0.0..1e15).contains(&number), "{number} is not a count");
    Ok(number as u64)
}
