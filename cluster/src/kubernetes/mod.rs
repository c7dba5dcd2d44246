//! The Kubernetes API as a source: one watch a kind, written into the directory object by object.
//!
//! Nothing of the API's objects is kept but what the directory keeps. When the API server is away, what is
//! known stays in force, and that is said once.

mod convert;
mod follow;

use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use podflow_daemon::readiness::Readiness;
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;

/// What of the cluster is watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// An agent's: the Pods of its Node, every Service, and the Nodes while there are few enough.
    Node {
        /// Name of the agent's own Node.
        name: Arc<str>,
        /// Whether Services are wanted (`AntreaProxy`).
        services: bool,
    },
    /// A collector's: every Pod, Service and Node.
    Cluster,
}

/// Above so many Nodes an agent watches only its own: every agent following every Node's status would drown
/// the API server. What else is inside the cluster then comes from `clusterCIDRs`.
pub const MAX_NODES_OF_AN_AGENT: usize = 500;

/// Connects to the API of the cluster this process runs in, or of the user's kubeconfig.
///
/// # Errors
/// When there is neither, or one that cannot be used.
pub async fn client() -> Result<Client> {
    Client::try_default()
        .await
        .context("finding the Kubernetes API (in-cluster ServiceAccount or kubeconfig)")
}

/// Watches until `shutdown`. Each kind holds a readiness guard until its first list is complete.
///
/// # Errors
/// Only when shutting down hides a panic of a watch; API errors are retried for ever.
pub async fn follow(
    client: Client,
    scope: Scope,
    directory: Arc<Directory>,
    readiness: &Readiness,
    shutdown: CancellationToken,
) -> Result<()> {
    let mut watches = tokio::task::JoinSet::new();
    let (pods, services) = match &scope {
        Scope::Node { name, services } => {
            (watcher::Config::default().fields(&format!("spec.nodeName={name}")), *services)
        }
        Scope::Cluster => (watcher::Config::default(), true),
    };
    let guard = readiness.wait_for("first list of Pods");
    watches.spawn(follow::kind::<Pod>(
        Api::all(client.clone()),
        pods,
        Arc::clone(&directory),
        guard,
        shutdown.clone(),
    ));
    if services {
        let guard = readiness.wait_for("first list of Services");
        let api = Api::all(client.clone());
        let all = watcher::Config::default();
        watches.spawn(follow::kind::<Service>(api, all, Arc::clone(&directory), guard, shutdown.clone()));
    }
    let guard = readiness.wait_for("first list of Nodes");
    watches.spawn(async move {
        let api: Api<Node> = Api::all(client);
        let Some(config) = shutdown.run_until_cancelled(node_config(&api, &scope)).await else { return };
        follow::kind(api, config, directory, guard, shutdown).await;
    });
    while let Some(ended) = watches.join_next().await {
        ended.context("a watch of the Kubernetes API ended")?;
    }
    Ok(())
}

/// Which Nodes are watched: an agent asks once how many there are.
async fn node_config(api: &Api<Node>, scope: &Scope) -> watcher::Config {
    let Scope::Node { name, .. } = scope else { return watcher::Config::default() };
    let limit = u32::try_from(MAX_NODES_OF_AN_AGENT).unwrap_or(u32::MAX);
    let mut backoff = follow::retry();
    loop {
        match api.list_metadata(&ListParams::default().limit(limit)).await {
            Ok(list) if list.metadata.continue_.as_deref().unwrap_or_default().is_empty() => {
                return watcher::Config::default();
            }
            Ok(_) => {
                tracing::info!(
                    limit = MAX_NODES_OF_AN_AGENT,
                    "this cluster has more Nodes than an agent watches: other Nodes and their Pods are told from \
                     outside addresses by clusterCIDRs"
                );
                return watcher::Config::default().fields(&format!("metadata.name={name}"));
            }
            Err(error) => {
                tracing::warn!(error = %error, "counting the Nodes failed; trying again");
                tokio::time::sleep(backoff.next_wait()).await;
            }
        }
    }
}
