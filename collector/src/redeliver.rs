//! `podflow-collector redeliver`: sends the dead letters again, once the reason of their refusal is gone.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Store};
use crate::sink::redeliver;

/// What became of the letters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Redelivered {
    /// Stored now, or had been stored meanwhile.
    pub stored: u64,
    /// Refused again: they are dead letters again.
    pub refused: u64,
    /// Not sent, because of a stop: they are still in the file that is named.
    pub left: u64,
    /// Lines that are no letters.
    pub unreadable: usize,
}

/// Sends every dead letter of the configuration's file again; what is refused again becomes a letter again.
///
/// # Errors
/// When the store is not Elasticsearch, or the file cannot be read or written.
pub async fn run(config: &Config, stop: &CancellationToken) -> Result<Redelivered> {
    let Store::Elasticsearch(servers) = &config.store else {
        bail!("the embedded store refuses no document: there are no dead letters");
    };
    // Set aside first: a collector that runs beside goes on with a file of its own.
    let file = redeliver::letters_file(config);
    let aside: PathBuf = file.with_extension("redelivering.ndjson");
    if !aside.exists() {
        if !file.exists() {
            return Ok(Redelivered::default());
        }
        std::fs::rename(&file, &aside).with_context(|| format!("setting {} aside", file.display()))?;
    }
    let redelivered = redeliver::send(servers, config, &aside, stop).await?;
    if redelivered.left == 0 {
        std::fs::remove_file(&aside).with_context(|| format!("removing {}", aside.display()))?;
    }
    Ok(redelivered)
}
