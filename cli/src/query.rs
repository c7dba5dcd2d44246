//! Questions to a store: our collector's query API, or Elasticsearch and OpenSearch themselves.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use reqwest::{Certificate, RequestBuilder, Url};
use serde_json::Value;

/// Where the store is and how to get in.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Server {
    /// Address of a collector's page, or of Elasticsearch or OpenSearch.
    #[arg(long, env = "PODFLOW_URL", default_value = "http://127.0.0.1:8080")]
    url: Url,

    /// Indices to ask.
    #[arg(long, default_value = "flow-*")]
    index: String,

    /// User name; the password comes from the environment variable PODFLOW_PASSWORD, an API key instead of both
    /// from PODFLOW_API_KEY.
    #[arg(long, env = "PODFLOW_USER")]
    user: Option<String>,

    /// File with the certificate authorities (PEM) that may have signed the server's certificate.
    #[arg(long)]
    ca_file: Option<PathBuf>,
}

/// A store that has answered once.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: Server,
    search: String,
    /// What the collector says of itself; nothing from other stores.
    pub(crate) status: Option<Value>,
}

impl Client {
    /// Finds out what `server` is.
    pub(crate) async fn connect(server: &Server) -> Result<Self> {
        let mut builder = reqwest::Client::builder().timeout(LONGEST_ANSWER);
        if let Some(path) = &server.ca_file {
            let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            for authority in
                Certificate::from_pem_bundle(&pem).with_context(|| format!("in {}", path.display()))?
            {
                builder = builder.add_root_certificate(authority);
            }
        }
        let base = server.url.as_str().trim_end_matches('/').to_owned();
        let mut client =
            Self { http: builder.build()?, server: server.clone(), search: String::new(), status: None };
        // Only a collector has such a page; Elasticsearch takes it for an index that is missing.
        let status = client.ask(client.http.get(format!("{base}/status"))).await;
        client.status = status.ok().filter(|status| status.get("exporters").is_some());
        let prefix = if client.status.is_some() { format!("{base}/es") } else { base };
        client.ask(client.http.get(format!("{prefix}/"))).await.with_context(|| {
            format!("no collector and no Elasticsearch answers at {}; say where it is with --url", server.url)
        })?;
        client.search = format!("{prefix}/{}/_search", server.index);
        Ok(client)
    }

    /// The answer to a `_search`.
    pub(crate) async fn search(&self, body: &Value) -> Result<Value> {
        let request = self.http.post(&self.search).json(body);
        self.ask(request).await.with_context(|| format!("asking {}", self.search))
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Value> {
        let variable = |name| std::env::var(name).ok();
        let request = match (variable("PODFLOW_API_KEY"), &self.server.user) {
            (Some(key), _) => request.header("authorization", format!("ApiKey {key}")),
            (None, Some(user)) => request.basic_auth(user, variable("PODFLOW_PASSWORD")),
            (None, None) => request,
        };
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        let answer = serde_json::from_str::<Value>(&text);
        match answer {
            Ok(answer) if status.is_success() => Ok(answer),
            Ok(answer) => bail!("{status}: {}", reason(&answer).unwrap_or(&text)),
            Err(_) => bail!("{status}, and no JSON: {}", text.chars().take(MOST_QUOTED).collect::<String>()),
        }
    }
}

/// What an Elasticsearch error says in words.
fn reason(answer: &Value) -> Option<&str> {
    answer.pointer("/error/root_cause/0/reason").or_else(|| answer.pointer("/error/reason"))?.as_str()
}

/// A day of a large cluster takes seconds; what takes longer will not be waited for at a terminal.
const LONGEST_ANSWER: std::time::Duration = std::time::Duration::from_secs(60);

/// Characters of an unexpected answer that are shown.
const MOST_QUOTED: usize = 300;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_reason_is_the_first_cause() {
        let answer =
            json!({"error": {"reason": "all shards failed", "root_cause": [{"reason": "no such field"}]}});
        assert_eq!(reason(&answer), Some("no such field"));
        assert_eq!(reason(&json!({"error": {"reason": "no such index"}})), Some("no such index"));
        assert_eq!(reason(&json!({"error": "text"})), None);
    }
}
