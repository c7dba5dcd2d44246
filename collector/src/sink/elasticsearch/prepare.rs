//! Before the first document: who is there, and the index template.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use elasticsearch::http::Method;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use podflow_daemon::backoff::Backoff;

use super::verdict::Trouble;
use super::{Server, template};

/// Prepares the servers, as often as it takes; false when told to stop.
pub(super) async fn prepare(server: &Server, stop: &CancellationToken) -> bool {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
    loop {
        let fault = match stop.run_until_cancelled(once(server)).await {
            None => return false,
            Some(Ok(name)) => {
                info!(server = name, template = server.config.template, "index template is in place");
                server.health.is_known(&name);
                server.is_well();
                return true;
            }
            Some(Err(fault)) => format!("{fault:#}"),
        };
        if backoff.tries() == 0 {
            error!("preparing the index template: {fault}; trying again until it works");
        }
        server.is_ill(Trouble::Unavailable, &fault);
        if stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait())).await.is_none() {
            return false;
        }
    }
}

/// Asks who is there and puts the index template.
async fn once(server: &Server) -> Result<String> {
    let answer = server.client.send(Method::Get, "", None).await?;
    let name = match answer.status {
        200 => described(&answer.body),
        // Some distributions do not answer on `/`; the template will show whether they are what we need.
        405 => "a server that does not say its version".to_owned(),
        status => bail!("GET /: status {status}: {}", String::from_utf8_lossy(&answer.body)),
    };
    let path = format!("_index_template/{}", server.config.template);
    let body = serde_json::to_vec(&template::body(&server.config)).context("writing the index template")?;
    let answer = server.client.send(Method::Put, &path, Some(body.into())).await?;
    if answer.status != 200 {
        bail!("PUT {path}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(name)
}

/// `Elasticsearch 7.10.2`, `OpenSearch 2.19.1`, from the answer to `GET /`.
fn described(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let version = &body["version"];
    let product = match version["distribution"].as_str() {
        Some("opensearch") => "OpenSearch",
        _ => "Elasticsearch",
    };
    format!("{product} {}", version["number"].as_str().unwrap_or("of unknown version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_who_they_are() {
        let elasticsearch = br#"{"version":{"number":"7.10.2","build_flavor":"oss"}}"#;
        let opensearch = br#"{"version":{"distribution":"opensearch","number":"2.19.1"}}"#;
        assert_eq!(described(elasticsearch), "Elasticsearch 7.10.2");
        assert_eq!(described(opensearch), "OpenSearch 2.19.1");
        assert_eq!(described(b"<html>"), "Elasticsearch of unknown version");
    }
}
