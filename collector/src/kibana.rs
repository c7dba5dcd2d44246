//! The dashboards into Kibana or OpenSearch Dashboards, by their import of saved objects: once for the command line, or
//! at the collector's start, as often as it takes.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use podflow_daemon::backoff::Backoff;
use podflow_dashboards::{Target, kibana_ndjson, opensearch_ndjson};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::{Auth, Kibana};

/// What became of the saved objects.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Imported {
    /// Imported, replaced ones among them.
    pub imported: u64,
    /// Of these, how many took the place of others.
    pub replaced: u64,
    /// There already, and kept as they are.
    pub kept: u64,
    /// Refused: which, and why.
    pub failed: Vec<String>,
}

/// Imports until it has worked, or until `stop`.
pub(crate) async fn import_at_start(kibana: Kibana, stop: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    let mut told = String::new();
    loop {
        let fault = match stop.run_until_cancelled(import(&kibana)).await {
            None => return,
            Some(Ok(done)) if done.failed.is_empty() => {
                let Imported { imported, replaced, kept, .. } = done;
                info!(imported, replaced, kept, "the dashboards are in Kibana");
                return;
            }
            Some(Ok(done)) => {
                warn!(imported = done.imported, "Kibana refuses dashboards: {}", done.failed.join("; "));
                return;
            }
            Some(Err(fault)) => format!("{fault:#}"),
        };
        if fault != told {
            error!("importing the dashboards: {fault}; trying again until it works");
            told = fault;
        }
        if stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait())).await.is_none() {
            return;
        }
    }
}

/// Imports the dashboards, in the variant of whichever program answers.
///
/// # Errors
/// When nobody answers, or not as Kibana or OpenSearch Dashboards would.
pub async fn import(kibana: &Kibana) -> Result<Imported> {
    let base = kibana.url.trim_end_matches('/');
    let client = client(kibana)?;
    let file = match ask(kibana, &client, base).await? {
        Target::Kibana => kibana_ndjson(),
        Target::OpenSearch => opensearch_ndjson(),
    };
    let file = file.context("making the dashboards")?;
    let space = kibana.space.as_ref().map(|space| format!("/s/{space}")).unwrap_or_default();
    let overwrite = if kibana.overwrite { "?overwrite=true" } else { "" };
    let address = format!("{base}{space}/api/saved_objects/_import{overwrite}");
    let request = client
        .post(&address)
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(multipart(&file));
    let answer = signed(kibana, request).send().await.with_context(|| format!("posting to {address}"))?;
    let status = answer.status();
    let text = answer.text().await.with_context(|| format!("reading the answer of {address}"))?;
    if !status.is_success() {
        bail!("{address} answered {status}: {}", shortened(&text));
    }
    let answer: Value = serde_json::from_str(&text)
        .with_context(|| format!("{address} answered no JSON: {}", shortened(&text)))?;
    Ok(imported(&answer))
}

fn client(kibana: &Kibana) -> Result<Client> {
    let mut client = Client::builder().timeout(TIMEOUT);
    if let Some(path) = &kibana.ca_file {
        let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let certificate = reqwest::Certificate::from_pem(&pem)
            .with_context(|| format!("{} is no PEM certificate", path.display()))?;
        client = client.add_root_certificate(certificate);
    }
    client.build().context("making the HTTP client")
}

fn signed(kibana: &Kibana, request: RequestBuilder) -> RequestBuilder {
    // Each program demands its own of these headers, and ignores the other's.
    let request = request.header("kbn-xsrf", "true").header("osd-xsrf", "true");
    match &kibana.auth {
        Auth::None => request,
        Auth::Basic(user, password) => request.basic_auth(user, Some(password.expose())),
        Auth::ApiKey(key) => request.header("authorization", format!("ApiKey {}", key.expose())),
        Auth::Bearer(token) => request.bearer_auth(token.expose()),
    }
}

/// Which of the two programs answers at this address.
async fn ask(kibana: &Kibana, client: &Client, base: &str) -> Result<Target> {
    let address = format!("{base}/api/status");
    let answer = signed(kibana, client.get(&address)).send().await.with_context(|| {
        format!("asking {address}; wanted is the address that a browser uses, such as http://kibana:5601")
    })?;
    let status = answer.status();
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        bail!("{address} answered {status}: it wants a user name with its password, or an API key");
    }
    let opensearch = answer.headers().contains_key("osd-name");
    let text = answer.text().await.unwrap_or_default();
    if opensearch || text.contains("opensearch") {
        return Ok(Target::OpenSearch);
    }
    if !status.is_success() {
        bail!("{address} answered {status}: is Kibana there? {}", shortened(&text));
    }
    Ok(Target::Kibana)
}

/// What was created, replaced, kept or refused.
fn imported(answer: &Value) -> Imported {
    let results = answer["successResults"].as_array().into_iter().flatten();
    let mut done = Imported {
        imported: answer["successCount"].as_u64().unwrap_or(0),
        replaced: results.filter(|result| result["overwrite"] == true).count() as u64,
        ..Imported::default()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for error in answer["errors"].as_array().into_iter().flatten() {
        match error["error"]["type"].as_str().unwrap_or("unknown") {
            "conflict" | "ambiguous_conflict" => done.kept += 1,
            kind => {
                let (object, id) = (text(&error["type"]), text(&error["id"]));
                done.failed.push(format!("{object}:{id}: {kind} {}", text(&error["error"]["message"])));
            }
        }
    }
    done
}

/// A form with one file, whose name must end in `.ndjson`.
fn multipart(text: &str) -> String {
    format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"podflow.ndjson\"\r\n\
         content-type: application/ndjson\r\n\r\n{text}\r\n--{BOUNDARY}--\r\n"
    )
}

fn shortened(text: &str) -> String {
    text.chars().take(500).collect()
}

/// JSON in the file escapes nothing to this.
const BOUNDARY: &str = "podflow-b2f1c0d6e5a94738";

/// Kibana migrates each object as it comes; on a busy one that takes seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_kept_and_what_failed_is_told() {
        let answer = json!({"success": false, "successCount": 3, "successResults": [{"overwrite": true}], "errors": [
            {"type": "dashboard", "id": "d", "error": {"type": "conflict"}},
            {"type": "search", "id": "s", "error": {"type": "missing_references", "message": "no pattern"}},
        ]});
        let expected = Imported {
            imported: 3,
            replaced: 1,
            kept: 1,
            failed: vec!["search:s: missing_references no pattern".to_owned()],
        };
        assert_eq!(imported(&answer), expected);
    }
}
