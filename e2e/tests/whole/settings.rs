//! What the configuration says of new indices is what real servers then have of them.

use anyhow::{Context, Result, ensure};
use podflow_e2e::load;
use podflow_e2e::replay::Collector;
use podflow_e2e::servers::{self, Server};
use podflow_e2e::{account, http};
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

    let configured = ", shards: 2, replicas: 1, refreshInterval: 30s, \
         settings: {codec: best_compression, max_result_window: 20000}";
    let wanted = json!({
        "index.number_of_shards": "2", "index.number_of_replicas": "1", "index.refresh_interval": "30s",
        "index.codec": "best_compression", "index.max_result_window": "20000",
    });
    has(server, "told", configured, &wanted).await.context("as configured")
}

/// Lets a collector make an index, and asks the server for its settings.
async fn has(server: &Server, name: &str, configured: &str, wanted: &Value) -> Result<()> {
    let store = format!(
        "{{elasticsearch: {{hosts: ['{}'], index: '{name}-%{{+YYYY.MM.dd}}', template: {name}{configured}}}}}",
        server.url
    );
    let collector = Collector::with(&load::inventory(), Some(&store))?;
    let to = collector.ipfix();
    tokio::task::spawn_blocking(move || load::send(to, 0, 10)).await??;
    collector.until("the records", |status| status["stored"] == 10).await?;
    account::status(&collector.url).await?;
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
