//! The inventory file: Nodes, Pods and Services written down, where there is no Kubernetes API.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::object::{Node, Pod, Service};

/// What the inventory file says.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// The Nodes of the cluster.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// The Pods that have addresses of their own.
    #[serde(default)]
    pub pods: Vec<Pod>,
    /// The Services.
    #[serde(default)]
    pub services: Vec<Service>,
}

impl Inventory {
    /// Reads the YAML text of an inventory.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        Ok(serde_saphyr::from_str(text)?)
    }

    /// Reads an inventory file.
    ///
    /// # Errors
    /// When the file cannot be read or is no inventory; names the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        text.map_err(anyhow::Error::from)
            .and_then(|text| Self::parse(&text))
            .with_context(|| format!("reading the inventory {}", path.display()))
    }

    /// The inventory as YAML text.
    ///
    /// # Errors
    /// Never for what was parsed; serialisation is fallible by type.
    pub fn to_yaml(&self) -> Result<String> {
        Ok(serde_saphyr::to_string(self)?)
    }
}

/// Reads `path` into `directory`, and again whenever the file changes, until `shutdown`.
///
/// A file that has become unreadable or ill-formed is named once; what was known stays in force.
///
/// # Errors
/// When the first reading fails.
pub async fn follow(path: PathBuf, directory: Arc<Directory>, shutdown: CancellationToken) -> Result<()> {
    let mut seen = stamp(&path);
    directory.replace(Inventory::read(&path)?, now_ms());
    while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let now = stamp(&path);
        if now == seen {
            continue;
        }
        seen = now;
        match Inventory::read(&path) {
            Ok(inventory) => {
                tracing::info!(path = %path.display(), pods = inventory.pods.len(), "inventory read again");
                directory.replace(inventory, now_ms());
            }
            Err(error) => tracing::warn!("{error:#}; what was known stays in force"),
        }
    }
    Ok(())
}

// A ConfigMap's file is a link that is swapped: modification time and size are asked of what it points to.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How often the file is looked at: a new Pod of a testbed is named within a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_key_is_refused_with_its_place() {
        let error = Inventory::parse("nodes:\n  - {name: a, adresses: []}\n").unwrap_err().to_string();
        assert!(error.contains("adresses") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn written_and_read_again_it_is_the_same() {
        let text = "pods: [{namespace: n, name: p, node: a, ips: [10.0.0.1, 'fd00::1']}]";
        let inventory = Inventory::parse(text).unwrap();
        assert_eq!(Inventory::parse(&inventory.to_yaml().unwrap()).unwrap(), inventory);
        assert_eq!(Inventory::parse("").unwrap(), Inventory::default());
    }
}
