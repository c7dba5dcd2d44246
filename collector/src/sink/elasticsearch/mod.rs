//! Batches into Elasticsearch or OpenSearch: template first, then bulk requests, several under way at once; what
//! they do not take waits in the spool.

mod client;
mod health;
mod product;

mod foreign;
mod lifecycle;
mod prepare;
mod retention;
mod template;

mod body;
mod concurrency;
mod send;
mod verdict;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Result;
use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::account::{self, Account};
use crate::config::{Config, Elasticsearch};

use super::batch::{Batch, Content};
use super::dead::DeadLetters;
use super::spool::{Entry, Spool};
use lifecycle::Keeper;
use send::{Patience, Tally};
use verdict::Trouble;

pub(crate) use body::{Body, Sealed};
pub(crate) use client::Client;

/// The servers of the configuration, and what belongs to them.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) client: Client,
    config: Elasticsearch,
    health: health::Health,
    concurrency: concurrency::Concurrency,
    dead_letters: DeadLetters,
    spool: Option<Arc<Spool>>,
    spool_after: std::time::Duration,
    spooled: Notify,
    /// Indices that do not take our documents.
    avoided: ArcSwap<BTreeSet<String>>,
    /// Who deletes old indices, once that is known.
    keeper: OnceLock<Keeper>,
}

impl Server {
    /// A server that nobody has spoken to yet.
    ///
    /// # Errors
    /// When a certificate file cannot be read, an address is no URL, or the configured spool cannot be used.
    pub(crate) fn new(servers: &Elasticsearch, config: &Config) -> Result<Self> {
        let spool = match &config.spool {
            None => None,
            Some(wanted) => match Spool::open(&wanted.path, wanted.limits) {
                Ok(spool) => Some(Arc::new(spool)),
                Err(fault) if wanted.wanted => return Err(fault),
                Err(fault) => {
                    warn!(
                        "{fault:#}: documents wait in memory alone; spool.path names a folder that can be used"
                    );
                    None
                }
            },
        };
        Ok(Self {
            client: Client::new(servers)?,
            config: servers.clone(),
            health: health::Health::new(),
            concurrency: concurrency::Concurrency::new(servers.in_flight),
            dead_letters: DeadLetters::in_folder(&config.dead_letters.path, config.dead_letters.octets),
            spool,
            spool_after: config.spool.as_ref().map(|spool| spool.after).unwrap_or_default(),
            spooled: Notify::new(),
            avoided: ArcSwap::default(),
            keeper: OnceLock::new(),
        })
    }

    /// How the servers answered last.
    pub(crate) fn state(&self) -> String {
        self.health.text()
    }

    /// Who deletes old indices, in a few words.
    pub(crate) fn retention(&self) -> String {
        self.keeper.get().map_or_else(|| "not known before the server is reached".to_owned(), Keeper::text)
    }

    /// Documents and octets that wait in the spool.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        self.spool.as_ref().map_or((0, 0), |spool| (spool.documents(), spool.octets()))
    }

    fn is_well(&self) {
        if let Some(trouble) = self.health.is_well() {
            send::say_well(trouble);
        }
    }

    fn is_ill(&self, trouble: Trouble, why: &str) -> Option<Trouble> {
        self.health.is_ill(trouble, why)
    }
}

/// Stores batches until the queue is closed and empty, or `give_up` is cancelled; what is left then goes to the
/// spool.
pub(super) async fn run(
    server: Arc<Server>,
    mut queue: mpsc::Receiver<Batch>,
    account: Account,
    give_up: CancellationToken,
) {
    let way = Way { server, account, give_up: give_up.clone() };
    let (recovered, _) = way.server.waiting();
    if recovered > 0 {
        info!(documents = recovered, "an earlier run left documents in the spool; they are sent first");
        way.account.recovered(recovered);
    }
    let (prepared_in, prepared) = watch::channel(false);
    let stop = CancellationToken::new();
    let mut helpers = JoinSet::new();
    helpers.spawn({
        let (server, stop) = (Arc::clone(&way.server), stop.clone());
        async move {
            if let Some(keeper) = prepare::prepare(&server, &stop).await {
                let keeper = server.keeper.get_or_init(|| keeper);
                prepared_in.send_replace(true);
                retention::run(&server, keeper, &stop).await;
            }
            // The channel stays open for those who ask later.
            stop.cancelled().await;
        }
    });
    helpers.spawn(way.clone().replay(prepared.clone(), stop.clone()));
    let mut senders = JoinSet::new();
    while let Some(batch) = queue.recv().await {
        let born = batch.born();
        let Content::Bulk(body) = batch.content else { continue };
        let body = body.seal();
        match way.permit(born, prepared.clone()).await {
            Some(permit) => {
                let way = way.clone();
                senders.spawn(async move {
                    way.deliver(body, born).await;
                    way.server.concurrency.give_back(permit);
                });
            }
            None => way.keep(vec![body]).await,
        }
        while senders.try_join_next().is_some() {}
    }
    while senders.join_next().await.is_some() {}
    stop.cancel();
    while helpers.join_next().await.is_some() {}
}

/// Sends dead letters again; answers how many were stored, refused again, and not sent because of `stop`.
pub(super) async fn deliver_again(
    server: &Server,
    body: Sealed,
    stop: &CancellationToken,
) -> (u64, u64, u64) {
    let (tally, left) = send::store(server, body, true, Patience { until: None, stop }).await;
    (tally.stored, tally.rejected, left.iter().map(|body| body.documents() as u64).sum())
}

/// What the tasks on a batch's way share.
#[derive(Clone)]
struct Way {
    server: Arc<Server>,
    account: Account,
    give_up: CancellationToken,
}

impl Way {
    /// Leave to send a batch; none when it is to go to the spool instead.
    async fn permit(
        &self,
        born: Instant,
        mut prepared: watch::Receiver<bool>,
    ) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let has_spool = self.server.spool.is_some();
        if has_spool && self.server.health.is_ill_for(self.server.spool_after) {
            return None;
        }
        let ready = async {
            prepared.wait_for(|prepared| *prepared).await.ok()?;
            self.server.concurrency.permit().await
        };
        tokio::select! {
            biased;
            permit = ready => permit,
            () = tokio::time::sleep_until((born + self.server.spool_after).into()), if has_spool => None,
            () = self.give_up.cancelled() => None,
        }
    }

    /// Sends a batch, and keeps what the servers do not take in time.
    async fn deliver(&self, body: Sealed, born: Instant) {
        let until = self.server.spool.as_ref().map(|_| born + self.server.spool_after);
        let patience = Patience { until, stop: &self.give_up };
        let answerable = self.account.answer_for(body.documents() as u64);
        let (tally, left) = send::store(&self.server, body, false, patience).await;
        answerable.settled();
        self.settle(tally);
        if !left.is_empty() {
            self.keep(left).await;
        }
    }

    /// Puts bodies into the spool; without one they are lost.
    async fn keep(&self, bodies: Vec<Sealed>) {
        for body in bodies {
            let documents = body.documents() as u64;
            let Some(spool) = self.server.spool.clone() else {
                error!(documents, "stopping, and the servers take no documents: they are lost");
                self.account.dropped(account::Drop::Shutdown, documents);
                continue;
            };
            let put = tokio::task::spawn_blocking(move || spool.put(body.lines(), documents)).await;
            match put {
                Ok(Ok(dropped)) => {
                    if dropped > 0 {
                        self.account.dropped(account::Drop::SpoolFull, dropped);
                    }
                    self.server.spooled.notify_one();
                }
                Ok(Err(fault)) => {
                    error!(documents, "{fault:#}: the documents are lost");
                    self.account.dropped(account::Drop::SpoolFailed, documents);
                }
                Err(fault) => {
                    error!(documents, "the spool failed in itself: {fault}: the documents are lost");
                    self.account.dropped(account::Drop::SpoolFailed, documents);
                }
            }
        }
    }

    /// Sends what is in the spool, oldest first, beside what comes in.
    async fn replay(self, mut prepared: watch::Receiver<bool>, stop: CancellationToken) {
        let Some(spool) = self.server.spool.clone() else { return };
        let ready = async { prepared.wait_for(|prepared| *prepared).await.is_ok() };
        if stop.run_until_cancelled(ready).await != Some(true) {
            return;
        }
        while !stop.is_cancelled() {
            let from = Arc::clone(&spool);
            let entry = match tokio::task::spawn_blocking(move || from.first()).await {
                Ok(Ok(entry)) => entry,
                Ok(Err(fault)) => {
                    error!("{fault:#}; trying again");
                    stop.run_until_cancelled(tokio::time::sleep(SPOOL_PAUSE)).await;
                    continue;
                }
                Err(fault) => {
                    error!("the spool failed in itself: {fault}; trying again");
                    stop.run_until_cancelled(tokio::time::sleep(SPOOL_PAUSE)).await;
                    continue;
                }
            };
            match entry {
                Some(entry) => self.replay_one(&spool, entry, &stop).await,
                None => {
                    stop.run_until_cancelled(self.server.spooled.notified()).await;
                }
            }
        }
    }

    async fn replay_one(&self, spool: &Arc<Spool>, entry: Entry, stop: &CancellationToken) {
        let body = Sealed::from_lines(entry.octets.clone());
        let (tally, left) = send::store(&self.server, body, true, Patience { until: None, stop }).await;
        if !left.is_empty() {
            // It stays where it is; what was stored of it answers that it is there when it comes again.
            return;
        }
        let spool = Arc::clone(spool);
        match tokio::task::spawn_blocking(move || spool.remove(&entry)).await {
            Ok(Ok(true)) => self.settle(tally),
            // It had to give way meanwhile, and was counted as dropped.
            Ok(Ok(false)) => {}
            Ok(Err(fault)) => error!("{fault:#}"),
            Err(fault) => error!("the spool failed in itself: {fault}"),
        }
    }

    fn settle(&self, tally: Tally) {
        self.account.stored(tally.stored);
        self.account.duplicates(tally.duplicates);
        self.account.rejected(tally.rejected);
    }
}

/// After the disk could not be read.
const SPOOL_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);
