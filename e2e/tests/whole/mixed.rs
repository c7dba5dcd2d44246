//! Indices of the pipeline before us (mapped by the server itself: text and keyword) beside ours under one pattern: every
//! request of every dashboard is answered by all of them.

use anyhow::{Context, Result, ensure};
use podflow_dashboards::{Content, dashboards};
use podflow_e2e::load;
use podflow_e2e::replay::Collector;
use podflow_e2e::servers::{self, Server};
use podflow_e2e::{account, http};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn opensearch_answers_every_dashboard_over_old_and_new_indices() {
    answers_everything(servers::opensearch().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn opensearch_3_answers_every_dashboard_over_old_and_new_indices() {
    if let Some(server) = servers::opensearch_3().await {
        answers_everything(server).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_7_answers_every_dashboard_over_old_and_new_indices() {
    answers_everything(servers::elasticsearch_7().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_8_answers_every_dashboard_over_old_and_new_indices() {
    if let Some(server) = servers::elasticsearch_8().await {
        answers_everything(server).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_9_answers_every_dashboard_over_old_and_new_indices() {
    if let Some(server) = servers::elasticsearch_9().await {
        answers_everything(server).await.unwrap();
    }
}

async fn answers_everything(server: &Server) -> Result<()> {
    let now = jiff::Timestamp::now();
    // What the old pipeline gave for a record of Antrea's first release, put before there is any template of ours.
    let golden: Value = serde_json::from_str(include_str!("../../../collector/testdata/documents/v09.json"))?;
    let mut old = golden["pipeline"].clone();
    old["@timestamp"] = format!("{now:.3}").into();
    for id in 0..3 {
        http::put(&format!("{}/mixed-old-2026/_doc/{id}?refresh=true", server.url), &old).await?;
    }
    let mapping = http::get(&format!("{}/mixed-old-2026/_mapping", server.url)).await?;
    let pod = &mapping["mixed-old-2026"]["mappings"]["properties"]["ipfix"]["properties"]["sourcePodName"];
    ensure!(pod["type"] == "text" && pod["fields"]["keyword"]["type"] == "keyword", "{mapping}");

    let store = format!(
        "{{elasticsearch: {{hosts: ['{}'], index: 'mixed-%{{+YYYY.MM.dd}}', template: mixed}}}}",
        server.url
    );
    let collector = Collector::with(&load::inventory(), Some(&store))?;
    let to = collector.ipfix();
    tokio::task::spawn_blocking(move || load::send(to, 0, 500)).await??;
    collector.until("the records", |status| status["stored"] == 500).await?;
    account::status(&collector.url).await?;
    collector.stop().await?;
    http::get(&format!("{}/mixed-*/_refresh", server.url)).await?;

    let hour = jiff::SignedDuration::from_hours(1);
    let range = Range { from: now - hour, to: now + hour };
    let mut asked = 0;
    for dashboard in dashboards()? {
        for panel in dashboard.panels {
            let requests = match &panel.content {
                Content::Vega { spec } => requests(spec, range),
                Content::Search { .. } => vec![json!({"size": 50, "query": range.query()})],
                _ => Vec::new(),
            };
            for request in requests {
                let answer = http::post(&format!("{}/mixed-*/_search", server.url), &request).await;
                let answer = answer.with_context(|| format!("panel {}", panel.id))?;
                ensure!(answer["_shards"]["failed"] == 0, "panel {}: {request}: {answer}", panel.id);
                asked += 1;
            }
        }
    }
    ensure!(asked > 20, "{asked} requests are fewer than there are panels");
    // Old and new Pods stand side by side where a dashboard groups by them.
    let pods = json!({"size": 0, "aggs": {"pods": {"terms": {"field": "ipfix.sourcePodName.keyword"}}}});
    let found = http::post(&format!("{}/mixed-*/_search", server.url), &pods).await?;
    let buckets = found["aggregations"]["pods"]["buckets"].as_array().context("no buckets")?;
    let count =
        |pod: &str| buckets.iter().find(|bucket| bucket["key"] == pod).map(|b| b["doc_count"].clone());
    ensure!(count("cart-7d9") == Some(json!(3)) && count("pod-17") == Some(json!(500)), "{found}");
    Ok(())
}

/// What the user looks at.
#[derive(Clone, Copy)]
struct Range {
    from: jiff::Timestamp,
    to: jiff::Timestamp,
}

impl Range {
    fn bounds(self) -> Value {
        json!({"gte": format!("{:.3}", self.from), "lte": format!("{:.3}", self.to)})
    }

    fn query(self) -> Value {
        json!({"range": {"@timestamp": self.bounds()}})
    }
}

/// The requests of a spec's data, as Kibana sends them.
fn requests(spec: &Value, range: Range) -> Vec<Value> {
    let sources = spec["data"].as_array().into_iter().flatten();
    sources
        .filter(|source| source["url"]["body"].is_object())
        .map(|source| {
            let url = &source["url"];
            let mut body = filled(&url["body"], range);
            if url["%timefield%"].is_string() {
                body["query"] = range.query();
            }
            body
        })
        .collect()
}

/// The same with Kibana's markers filled in.
fn filled(value: &Value, range: Range) -> Value {
    match value {
        Value::Object(object) => match object.get("%timefilter%") {
            Some(Value::Bool(true)) => range.bounds(),
            Some(edge) => {
                let moment = if edge == "min" { range.from } else { range.to };
                moment.as_millisecond().into()
            }
            None => {
                let mut done = serde_json::Map::new();
                for (key, value) in object {
                    assert!(!key.starts_with('%'), "a marker that nobody fills in: {key}");
                    if key == "interval" && value.get("%autointerval%").is_some() {
                        done.insert("fixed_interval".to_owned(), "1m".into());
                    } else {
                        done.insert(key.clone(), filled(value, range));
                    }
                }
                done.into()
            }
        },
        Value::Array(values) => values.iter().map(|value| filled(value, range)).collect(),
        other => other.clone(),
    }
}
