//! Where documents go: gathered into batches, handed to Elasticsearch or the embedded store.

mod batch;

mod embedded;

mod dead;
mod spool;

pub(crate) mod elasticsearch;

pub(crate) mod redeliver;

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::config::{Config, Store as StoreConfig};
use crate::store::Store;

pub(crate) use batch::{Batch, Batches};

/// The store that the configuration names, opened.
#[derive(Clone)]
pub(crate) enum Sink {
    /// The collector's own store.
    Embedded(Arc<Store>),
    /// Elasticsearch or OpenSearch.
    Elasticsearch(Arc<elasticsearch::Server>),
}

impl Sink {
    /// Opens the embedded store, or prepares the client for the servers (which need not be there yet).
    ///
    /// # Errors
    /// When the store's folder cannot be used or a certificate cannot be read.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        Ok(match &config.store {
            StoreConfig::Embedded(embedded) => Self::Embedded(Arc::new(embedded::open(embedded)?)),
            StoreConfig::Elasticsearch(servers) => {
                let server = elasticsearch::Server::new(servers, config).context("store.elasticsearch")?;
                Self::Elasticsearch(Arc::new(server))
            }
        })
    }

    /// The word of the configuration for this kind of store.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Elasticsearch(_) => "elasticsearch",
        }
    }

    /// In a word, how the store is.
    pub(crate) fn state(&self) -> String {
        match self {
            Self::Embedded(_) => "open".to_owned(),
            Self::Elasticsearch(server) => server.state(),
        }
    }

    /// Who deletes old documents, in a few words.
    pub(crate) fn retention(&self) -> String {
        match self {
            Self::Embedded(_) => "by the store itself".to_owned(),
            Self::Elasticsearch(server) => server.retention(),
        }
    }

    /// Documents and octets that wait in the spool.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        match self {
            Self::Embedded(_) => (0, 0),
            Self::Elasticsearch(server) => server.waiting(),
        }
    }

    /// Stores batches until the queue is closed and empty, or `give_up` is cancelled; then what is left is
    /// dropped and counted.
    pub(crate) async fn run(
        self,
        queue: mpsc::Receiver<Batch>,
        account: Account,
        give_up: CancellationToken,
    ) {
        match self {
            Self::Embedded(store) => embedded::run(store, queue, account, give_up).await,
            Self::Elasticsearch(server) => elasticsearch::run(server, queue, account, give_up).await,
        }
    }
}
