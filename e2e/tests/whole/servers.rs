//! The real servers that the other tests need do start, are of the version that we think, and take documents.

use podflow_e2e::http;
use podflow_e2e::servers::{self, Server};
use serde_json::json;

#[tokio::test]
async fn opensearch_takes_a_document() {
    takes_a_document(servers::opensearch().await).await;
}

#[tokio::test]
async fn elasticsearch_7_takes_a_document() {
    takes_a_document(servers::elasticsearch_7().await).await;
}

#[tokio::test]
async fn elasticsearch_9_takes_a_document() {
    if let Some(server) = servers::elasticsearch_9().await {
        takes_a_document(server).await;
    }
}

async fn takes_a_document(server: &Server) {
    let index = format!("{}/servers-test", server.url);
    http::post(&format!("{index}/_doc?refresh=true"), &json!({"octets": 7})).await.unwrap();
    let found =
        http::post(&format!("{index}/_search"), &json!({"query": {"term": {"octets": 7}}})).await.unwrap();
    assert_eq!(found["hits"]["hits"][0]["_source"], json!({"octets": 7}));
}
