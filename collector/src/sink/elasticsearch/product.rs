//! Which server it is, from what it says of itself, and what that one can do.

use anyhow::{Context, Result, bail};
use elasticsearch::http::Method;
use serde_json::Value;

use super::Client;

/// A server's make and version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Product {
    /// As people say it: `Elasticsearch 9.4.3`.
    pub(super) name: String,
    is_opensearch: bool,
    version: (u32, u32),
}

impl Product {
    /// Asks the server.
    ///
    /// # Errors
    /// When it does not answer, or not with its version.
    pub(super) async fn ask(client: &Client) -> Result<Self> {
        let answer = client.send(Method::Get, "", None).await?;
        match answer.status {
            200 => Ok(Self::of(&answer.body)),
            // Some distributions do not answer on `/`.
            405 => Self::of_nodes(&client.get("_nodes?filter_path=nodes.*.version").await?),
            status => bail!("GET /: status {status}: {}", String::from_utf8_lossy(&answer.body)),
        }
    }

    fn of(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let version = &body["version"];
        let is_opensearch = version["distribution"].as_str() == Some("opensearch");
        Self::new(is_opensearch, version["number"].as_str().unwrap_or("of unknown version"))
    }

    fn of_nodes(nodes: &Value) -> Result<Self> {
        let node = nodes["nodes"].as_object().and_then(|nodes| nodes.values().next());
        let version = node.and_then(|node| node["version"].as_str()).context("GET /_nodes: no version")?;
        Ok(Self::new(false, version))
    }

    fn new(is_opensearch: bool, number: &str) -> Self {
        let product = if is_opensearch { "OpenSearch" } else { "Elasticsearch" };
        let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        Self { name: format!("{product} {number}"), is_opensearch, version }
    }

    /// Whether indices can be in logsdb mode.
    pub(super) fn has_logsdb(&self) -> bool {
        !self.is_opensearch && self.version >= (8, 17)
    }

    /// Whether lifecycle policies can say whose they are.
    pub(super) fn has_policy_meta(&self) -> bool {
        self.version >= (7, 17)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_who_they_are() {
        for (body, name, logsdb) in [
            (r#"{"version":{"number":"7.10.2","build_flavor":"oss"}}"#, "Elasticsearch 7.10.2", false),
            (r#"{"version":{"number":"8.16.9"}}"#, "Elasticsearch 8.16.9", false),
            (r#"{"version":{"number":"8.17.0"}}"#, "Elasticsearch 8.17.0", true),
            (r#"{"version":{"number":"9.4.3"}}"#, "Elasticsearch 9.4.3", true),
            (r#"{"version":{"distribution":"opensearch","number":"2.19.1"}}"#, "OpenSearch 2.19.1", false),
            (r#"{"version":{"distribution":"opensearch","number":"9.0.0"}}"#, "OpenSearch 9.0.0", false),
            ("<html>", "Elasticsearch of unknown version", false),
        ] {
            let product = Product::of(body.as_bytes());
            assert_eq!((product.name.as_str(), product.has_logsdb()), (name, logsdb), "{body}");
        }
        let nodes = serde_json::json!({"nodes": {"x7": {"version": "8.19.21"}}});
        assert_eq!(Product::of_nodes(&nodes).unwrap().name, "Elasticsearch 8.19.21");
    }
}
