//! Questions over HTTP with JSON answers, as tests ask them of real servers and of our collector.

use anyhow::{Context, bail};
use serde_json::Value;

/// The JSON behind an address.
///
/// # Errors
///
/// When nobody answers, or not with success, or not in JSON.
pub async fn get(url: &str) -> anyhow::Result<Value> {
    let request = reqwest::Client::new().get(url);
    answer(request).await.with_context(|| format!("GET {url}"))
}

/// The JSON answer to a JSON body, as `_search` wants it.
///
/// # Errors
///
/// When nobody answers, or not with success, or not in JSON.
pub async fn post(url: &str, body: &Value) -> anyhow::Result<Value> {
    let request = reqwest::Client::new().post(url).json(body);
    answer(request).await.with_context(|| format!("POST {url} {body}"))
}

/// The JSON answer to a JSON body that is put.
///
/// # Errors
///
/// When nobody answers, or not with success, or not in JSON.
pub async fn put(url: &str, body: &Value) -> anyhow::Result<Value> {
    let request = reqwest::Client::new().put(url).json(body);
    answer(request).await.with_context(|| format!("PUT {url} {body}"))
}

/// The JSON answer to a deletion.
///
/// # Errors
///
/// When nobody answers, or not with success, or not in JSON.
pub async fn delete(url: &str) -> anyhow::Result<Value> {
    let request = reqwest::Client::new().delete(url);
    answer(request).await.with_context(|| format!("DELETE {url}"))
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}
