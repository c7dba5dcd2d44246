//! Batches into Elasticsearch or OpenSearch: template first, then bulk requests, several under way at once.

mod client;
mod template;

mod body;
mod send;
mod verdict;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use elasticsearch::http::Method;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use podflow_daemon::backoff::Backoff;

use crate::account::{self, Account};
use crate::config::Elasticsearch as Config;

use super::batch::{Batch, Content};

pub(crate) use body::Body;
pub(crate) use client::Client;

/// The servers of the configuration.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) client: Client,
    config: Config,
    state: Mutex<String>,
}

impl Server {
    /// A server that nobody has spoken to yet.
    ///
    /// # Errors
    /// When a certificate file cannot be read or an address is no URL.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let state = Mutex::new("not reached yet".to_owned());
        Ok(Self { client: Client::new(config)?, config: config.clone(), state })
    }

    /// How the servers answered last.
    pub(crate) fn state(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_state(&self, state: &str) {
        state.clone_into(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Asks who is there and puts the index template.
    async fn prepare(&self) -> Result<String> {
        let answer = self.client.send(Method::Get, "", None).await?;
        let name = match answer.status {
            200 => described(&answer.body),
            // Some distributions do not answer on `/`; the template will show whether they are what we need.
            405 => "a server that does not say its version".to_owned(),
            status => bail!("GET /: status {status}: {}", String::from_utf8_lossy(&answer.body)),
        };
        let path = format!("_index_template/{}", self.config.template);
        let body = serde_json::to_vec(&template::body(&self.config)).context("writing the index template")?;
        let answer = self.client.send(Method::Put, &path, Some(body.into())).await?;
        if answer.status != 200 {
            bail!("PUT {path}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(name)
    }
}

/// Stores batches until the queue is closed and empty, or `give_up` is cancelled.
pub(super) async fn run(
    server: Arc<Server>,
    mut queue: mpsc::Receiver<Batch>,
    account: Account,
    give_up: CancellationToken,
) {
    if prepare(&server, &give_up).await {
        let under_way = Arc::new(Semaphore::new(server.config.in_flight));
        let mut tasks = JoinSet::new();
        while let Some(batch) = queue.recv().await {
            let Content::Bulk(body) = batch.content else { continue };
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { break };
            let (server, account, give_up) = (Arc::clone(&server), account.clone(), give_up.clone());
            tasks.spawn(async move {
                send::store(&server, body, &account, &give_up).await;
                drop(permit);
            });
            while tasks.try_join_next().is_some() {}
        }
        while tasks.join_next().await.is_some() {}
        return;
    }
    let mut lost = 0;
    while let Some(batch) = queue.recv().await {
        lost += batch.documents as u64;
    }
    if lost > 0 {
        error!(documents = lost, "the servers were not reached until the end; the documents are lost");
        account.dropped(account::Drop::Shutdown, lost);
    }
}

/// Prepares the servers, as often as it takes; false when told to give up.
async fn prepare(server: &Server, give_up: &CancellationToken) -> bool {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
    loop {
        let fault = tokio::select! {
            prepared = server.prepare() => match prepared {
                Ok(name) => {
                    info!(server = name, template = server.config.template, "index template is in place");
                    server.set_state(&format!("connected to {name}"));
                    return true;
                }
                Err(fault) => format!("{fault:#}"),
            },
            () = give_up.cancelled() => return false,
        };
        if backoff.tries() == 0 {
            error!("preparing the index template: {fault}; trying again until it works");
        }
        server.set_state(&fault);
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => {}
            () = give_up.cancelled() => return false,
        }
    }
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
