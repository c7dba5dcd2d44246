//! What the configuration says of new indices is what real servers then have of them; indices that are there already
//! are deleted, left alone or avoided as they should be.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use podflow_e2e::http;
use podflow_e2e::load;
use podflow_e2e::replay::Collector;
use podflow_e2e::servers::{self, Server};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn opensearch_has_indices_as_configured() {
    has_indices_as_configured(servers::opensearch().await, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn opensearch_3_has_indices_as_configured() {
    if let Some(server) = servers::opensearch_3().await {
        has_indices_as_configured(server, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_7_has_indices_as_configured() {
    has_indices_as_configured(servers::elasticsearch_7().await, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_8_has_indices_as_configured() {
    if let Some(server) = servers::elasticsearch_8().await {
        has_indices_as_configured(server, true).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_9_has_indices_as_configured() {
    if let Some(server) = servers::elasticsearch_9().await {
        has_indices_as_configured(server, true).await.unwrap();
    }
}

async fn has_indices_as_configured(server: &Server, logsdb: bool) -> Result<()> {
    let mut wanted = json!({
        "index.number_of_shards": "1", "index.auto_expand_replicas": "0-1", "index.number_of_replicas": "0",
        "index.refresh_interval": "5s", "index.mapping.total_fields.limit": "2000",
        "index.mapping.ignore_malformed": "false",
    });
    if logsdb {
        wanted["index.mode"] = "logsdb".into();
        wanted["index.sort.field"] = json!(["ipfix.sourceNodeName", "@timestamp"]);
        wanted["index.sort.order"] = json!(["asc", "desc"]);
    }
    has(server, "plain", "", &wanted).await.context("without a word in the configuration")?;
    deletes_its_own(server).await.context("old indices")?;
    goes_beside(server).await.context("an index of somebody else")?;

    let configured = ", shards: 2, replicas: 1, refreshInterval: 30s, \
         settings: {codec: best_compression, max_result_window: 20000}";
    let wanted = json!({
        "index.number_of_shards": "2", "index.number_of_replicas": "1", "index.refresh_interval": "30s",
        "index.codec": "best_compression", "index.max_result_window": "20000",
    });
    has(server, "told", configured, &wanted).await.context("as configured")
}

/// Of old indices those go that are ours by name and by mapping.
async fn deletes_its_own(server: &Server) -> Result<()> {
    let ours = json!({"mappings": {"_meta": {"podflow": "0.1.0"}}});
    for (name, body) in
        [("old-2020.01.01", &ours), ("old-2020.01.02", &json!({})), ("old-2020.01.03-kept", &ours)]
    {
        http::put(&format!("{}/{name}", server.url), body).await?;
    }
    let collector = collector(server, "old", "")?;
    let mut left = Vec::new();
    for _ in 0..6000 {
        left = indices(server, "old").await?;
        if !left.contains(&"old-2020.01.01".to_owned()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(left == ["old-2020.01.02", "old-2020.01.03-kept"], "{left:?}");
    collector.stop().await
}

/// An index of today that does not take our values: documents go beside it.
async fn goes_beside(server: &Server) -> Result<()> {
    let counter = json!({"properties": {"octetDeltaCount": {"type": "ip"}}});
    let theirs = json!({"mappings": {"properties": {"ipfix": counter}}});
    let today = jiff::Timestamp::now();
    // It may be past midnight before all is stored.
    for day in [today, today + jiff::SignedDuration::from_hours(24)] {
        http::put(&format!("{}/beside-{}", server.url, day.strftime("%Y.%m.%d")), &theirs).await?;
    }
    let collector = collector(server, "beside", "")?;
    send_ten(&collector).await?;
    collector.stop().await?;
    http::get(&format!("{}/beside-*/_refresh", server.url)).await?;
    let count = async |indices: &str| -> Result<Value> {
        Ok(http::get(&format!("{}/{indices}/_count", server.url)).await?["count"].clone())
    };
    let (all, beside) = (count("beside-*").await?, count("beside-*-podflow").await?);
    ensure!(all == 10 && beside == 10, "{beside} of {all}");
    Ok(())
}

/// The names of the indices that begin so, sorted.
async fn indices(server: &Server, name: &str) -> Result<Vec<String>> {
    let found = http::get(&format!("{}/{name}-*/_mapping", server.url)).await?;
    let mut names: Vec<String> = found.as_object().context("no mappings")?.keys().cloned().collect();
    names.sort();
    Ok(names)
}

/// A collector into indices with a name of their own.
fn collector(server: &Server, name: &str, configured: &str) -> Result<Collector> {
    let store = format!(
        "{{elasticsearch: {{hosts: ['{}'], index: '{name}-%{{+YYYY.MM.dd}}', template: {name}{configured}}}}}",
        server.url
    );
    Collector::with(&load::inventory(), Some(&store))
}

async fn send_ten(collector: &Collector) -> Result<()> {
    let to = collector.ipfix();
    tokio::task::spawn_blocking(move || load::send(to, 0, 10)).await??;
    collector.until("the records", |status| status["stored"] == 10).await?;
    Ok(())
}

/// Lets a collector make an index, and asks the server for its settings.
async fn has(server: &Server, name: &str, configured: &str, wanted: &Value) -> Result<()> {
    let collector = collector(server, name, configured)?;
    send_ten(&collector).await?;
    collector.stop().await?;
    let settings = http::get(&format!("{}/{name}-*/_settings?flat_settings=true", server.url)).await?;
    let indices = settings.as_object().with_context(|| format!("no settings: {settings}"))?;
    ensure!(!indices.is_empty(), "no index {name}-*");
    for (index, has) in indices {
        for (setting, value) in wanted.as_object().into_iter().flatten() {
            ensure!(
                has["settings"][setting] == *value,
                "{index} of {}: {setting} is not {value}: {has}",
                server.name
            );
        }
    }
    Ok(())
}
