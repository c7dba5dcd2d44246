//! Batches into the embedded store: one commit at a time, on a thread that may block.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use podflow_daemon::backoff::Backoff;

use crate::account::{Account, Drop};
use crate::config::Embedded;
use crate::store::{Options, Store};

use super::batch::{Batch, Content};

/// Opens the store's folder, and makes it where it is missing.
pub(super) fn open(config: &Embedded) -> Result<Store> {
    let options = Options { keep: config.retention, most_octets: config.max_size, ..Options::default() };
    Store::open(&config.path, options)
        .with_context(|| format!("opening the embedded store {}", config.path.display()))
}

/// Commits batches until the queue is closed and empty.
pub(super) async fn run(
    store: Arc<Store>,
    mut queue: mpsc::Receiver<Batch>,
    account: Account,
    give_up: CancellationToken,
) {
    while let Some(batch) = queue.recv().await {
        let Content::Embedded(content) = batch.content else { continue };
        commit(&store, content, batch.documents as u64, &account, &give_up).await;
    }
}

/// Commits one batch, as often as it takes.
async fn commit(
    store: &Arc<Store>,
    mut content: Box<crate::store::Batch>,
    documents: u64,
    account: &Account,
    give_up: &CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    loop {
        let writer = Arc::clone(store);
        let task = tokio::task::spawn_blocking(move || {
            let result = writer.commit(&mut content);
            (content, result)
        });
        let Ok((back, result)) = task.await else {
            error!(documents, "a commit of the embedded store failed in itself; its documents are lost");
            account.dropped(Drop::Internal, documents);
            return;
        };
        content = back;
        match result {
            Ok(committed) => {
                // An earlier try may have stored a part of the batch: all but the duplicates are stored by now.
                account.duplicates(committed.duplicates);
                account.stored(documents - committed.duplicates);
                if backoff.tries() > 0 {
                    info!("the embedded store takes documents again");
                }
                return;
            }
            Err(fault) => {
                if backoff.tries() == 0 {
                    let fault = anyhow::Error::from(fault);
                    error!(documents, "the embedded store does not take documents: {fault:#}; trying again");
                }
                tokio::select! {
                    () = tokio::time::sleep(backoff.next_wait()) => {}
                    () = give_up.cancelled() => {
                        error!(documents, "the embedded store took no documents until the end; they are lost");
                        account.dropped(Drop::Shutdown, documents);
                        return;
                    }
                }
            }
        }
    }
}
