//! One watch: lists, follows, and after a break lists again and removes what has gone meanwhile.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Resource, ResourceExt};
use podflow_daemon::backoff::Backoff;
use podflow_daemon::readiness::ReadyGuard;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::convert::Watched;
use crate::directory::Directory;

/// An object's namespace (empty for Nodes) and name.
pub(super) type Name = (Arc<str>, Arc<str>);

/// Follows one kind until `shutdown`; `guard` goes when the first list is complete.
pub(super) async fn kind<K>(
    api: Api<K>,
    config: watcher::Config,
    directory: Arc<Directory>,
    guard: ReadyGuard,
    shutdown: CancellationToken,
) where
    K: Watched + Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let kind = K::kind(&());
    let mut guard = Some(guard);
    let mut away = false;
    let mut listed: HashSet<Name> = HashSet::new();
    let mut events = Box::pin(watch(api, config).default_backoff());
    while let Some(Some(event)) = shutdown.run_until_cancelled(events.next()).await {
        match event {
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%kind, error = %error, "the Kubernetes API does not answer; going on with what is known");
                }
                continue;
            }
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(name(&object));
                object.apply(&directory);
            }
            Ok(Event::InitDone) => {
                for gone in K::known(&directory).into_iter().filter(|name| !listed.contains(name)) {
                    K::delete(&directory, &gone);
                }
                listed = HashSet::new();
                guard = None;
            }
            Ok(Event::Apply(object)) => object.apply(&directory),
            Ok(Event::Delete(object)) => K::delete(&directory, &name(&object)),
        }
        if std::mem::take(&mut away) {
            tracing::info!(%kind, "the Kubernetes API answers again");
        }
    }
    drop(guard);
}

/// The waits between tries of a single request.
pub(super) fn retry() -> Backoff {
    Backoff::new(Duration::from_millis(500), Duration::from_secs(30))
}

fn name<K: Resource>(object: &K) -> Name {
    (object.namespace().unwrap_or_default().into(), object.name_any().into())
}
