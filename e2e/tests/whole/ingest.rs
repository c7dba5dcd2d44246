//! Very many records into real servers that are killed, filled up and contradicted meanwhile: every record is stored
//! once, or is where the account says.

use anyhow::{Context, Result, ensure};
use podflow_collector::redeliver;
use podflow_e2e::http;
use podflow_e2e::load::{self, Sent};
use podflow_e2e::replay::Collector;
use podflow_e2e::servers::{self, OwnServer};
use podflow_ipfix::ElementKey;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn opensearch_stores_every_record_once_whatever_happens_to_it() {
    whatever_happens(servers::OPENSEARCH).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn opensearch_3_stores_every_record_once_whatever_happens_to_it() {
    if servers::can_be_had(servers::OPENSEARCH_3) {
        whatever_happens(servers::OPENSEARCH_3).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_7_stores_every_record_once_whatever_happens_to_it() {
    whatever_happens(servers::ELASTICSEARCH_7).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_8_stores_every_record_once_whatever_happens_to_it() {
    if servers::can_be_had(servers::ELASTICSEARCH_8) {
        whatever_happens(servers::ELASTICSEARCH_8).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_9_stores_every_record_once_whatever_happens_to_it() {
    if servers::can_be_had(servers::ELASTICSEARCH_9) {
        whatever_happens(servers::ELASTICSEARCH_9).await.unwrap();
    }
}

/// How many records: `PODFLOW_RECORDS`, for those who have a few minutes.
fn records() -> u64 {
    std::env::var("PODFLOW_RECORDS").ok().and_then(|records| records.parse().ok()).unwrap_or(100_000)
}

async fn whatever_happens(name: &'static str) -> Result<()> {
    // Servers take their time and memory one after the other.
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = ONE_AT_A_TIME.lock().await;
    let mut server = OwnServer::start(name).await?;
    let store = format!("{{elasticsearch: {{hosts: ['{}']}}}}", server.url);
    let collector = Collector::with(&load::inventory(), Some(&store))?;
    let sent = killed_twice(&mut server, &collector).await.context("killed twice")?;
    let sent = disk_full(&server, &collector, sent).await.context("disk full")?;
    contradicted(&server, &collector, sent).await.context("contradicted")?;
    collector.stop().await
}

/// The server is killed and started twice while records come in.
async fn killed_twice(server: &mut OwnServer, collector: &Collector) -> Result<Sent> {
    let (to, records) = (collector.ipfix(), records());
    let sender = tokio::task::spawn_blocking(move || load::send(to, 0, records));
    for part in [5, 2] {
        let stored = |status: &Value| status["stored"].as_u64() >= Some(records / part);
        collector.until("a part of the records", stored).await?;
        server.kill()?;
        server.start_again().await?;
    }
    let sent = sender.await??;
    let status = collector.until("every record", |status| status["stored"] == sent.records).await?;
    ensure!(status["duplicates"] == 0 && status["rejected"] == 0 && status["in_flight"] == 0, "{status}");
    assert_holds(server, sent).await?;
    // The index is as the template wants it.
    let mappings = http::get(&format!("{}/flow-*/_mapping", server.url)).await?;
    for (index, mapping) in mappings.as_object().context("no mapping")? {
        ensure!(mapping["mappings"]["_meta"]["podflow"].is_string(), "{index} is not ours: {mapping}");
    }
    Ok(sent)
}

/// The disk has reached the flood stage, as far as the server knows, and the server blocks writes.
async fn disk_full(server: &OwnServer, collector: &Collector, before: Sent) -> Result<Sent> {
    let watermarks = |low: &str, high: &str, flood: &str| {
        json!({"transient": {"cluster.routing.allocation.disk": {
            "threshold_enabled": true, "watermark": {"low": low, "high": high, "flood_stage": flood},
        }}})
    };
    let settings = format!("{}/_cluster/settings", server.url);
    // Any disk is fuller than this.
    http::put(&settings, &watermarks("0.01%", "0.02%", "0.03%")).await?;
    let mut sent = before;
    let blocked =
        |status: &Value| status["store"]["state"].as_str().is_some_and(|s| s.starts_with("blocked"));
    // The server looks at its disk every ten seconds.
    for _ in 0..300 {
        let to = collector.ipfix();
        let more = tokio::task::spawn_blocking(move || load::send(to, sent.records, 100)).await??;
        sent = Sent {
            records: sent.records + more.records,
            octets: sent.octets + more.octets,
            octets_back: sent.octets_back + more.octets_back,
            packets: sent.packets + more.packets,
        };
        let received = |status: &Value| status["received"]["records"] == sent.records;
        let status = collector.until("the records' receipt", received).await?;
        if blocked(&status) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let status = collector.until("the block", blocked).await?;
    ensure!(status["rejected"] == 0 && status["in_flight"].as_u64() > Some(0), "{status}");
    // There is room again: the server lifts the block by itself.
    http::put(&settings, &watermarks("99.97%", "99.98%", "99.99%")).await?;
    let status = collector.until("every record", |status| status["stored"] == sent.records).await?;
    ensure!(status["duplicates"] == 0 && status["rejected"] == 0, "{status}");
    assert_holds(server, sent).await?;
    Ok(sent)
}

/// Somebody has mapped a field that our records bring as text to a number.
async fn contradicted(server: &OwnServer, collector: &Collector, sent: Sent) -> Result<()> {
    let element = ElementKey::new(99_999, 7);
    let mapping = json!({"properties": {"ipfix": {"properties": {"e99999id7": {"type": "long"}}}}});
    http::put(&format!("{}/flow-*/_mapping", server.url), &mapping).await?;
    let to = collector.ipfix();
    tokio::task::spawn_blocking(move || load::send_unknown(to, element, 50)).await??;
    let status = collector.until("the refusals", |status| status["rejected"] == 50).await?;
    ensure!(status["stored"] == sent.records && status["in_flight"] == 0, "{status}");
    assert_holds(server, sent).await?;

    // What was wrong is put right: the index goes, and the dead letters are sent again.
    let indices = http::get(&format!("{}/flow-*/_mapping", server.url)).await?;
    for index in indices.as_object().context("no index")?.keys() {
        http::delete(&format!("{}/{index}", server.url)).await?;
    }
    let outcome = redeliver::run(collector.config(), &CancellationToken::new()).await?;
    ensure!((outcome.stored, outcome.refused, outcome.left) == (50, 0, 0), "{outcome:?}");
    http::get(&format!("{}/flow-*/_refresh", server.url)).await?;
    let found = http::get(&format!("{}/flow-*/_count", server.url)).await?;
    ensure!(found["count"] == 50, "{found}");
    Ok(())
}

/// Count and sums in the server are what was sent.
async fn assert_holds(server: &OwnServer, sent: Sent) -> Result<()> {
    http::get(&format!("{}/flow-*/_refresh", server.url)).await?;
    let sum = |field: &str| json!({"sum": {"field": format!("ipfix.{field}")}});
    let question = json!({
        "size": 0, "track_total_hits": true,
        "aggs": {
            "octets": sum("octetDeltaCount"), "back": sum("reverseOctetDeltaCount"), "bytes": sum("bytes"),
            "packets": sum("packetDeltaCount"),
            "named": {"filter": {"prefix": {"ipfix.podPair.keyword": "shop/pod-17 → shop/pod-1"}}},
        },
    });
    let found = http::post(&format!("{}/flow-*/_search", server.url), &question).await?;
    ensure!(found["_shards"]["failed"] == 0, "{found}");
    let whole = |name: &str| found["aggregations"][name]["value"].as_f64();
    ensure!(
        found["hits"]["total"]["value"] == sent.records
            && whole("octets") == Some(sent.octets as f64)
            && whole("back") == Some(sent.octets_back as f64)
            && whole("bytes") == Some((sent.octets + sent.octets_back) as f64)
            && whole("packets") == Some(sent.packets as f64)
            && found["aggregations"]["named"]["doc_count"] == sent.records,
        "{sent:?} was sent, and {} holds {found}",
        server.name
    );
    Ok(())
}
