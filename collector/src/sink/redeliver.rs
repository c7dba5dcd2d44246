//! Dead letters as bulk bodies, sent again.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Elasticsearch};
use crate::redeliver::Redelivered;

use super::dead::DeadLetters;
use super::elasticsearch::{Sealed, Server, deliver_again};

/// The file that the configuration names.
pub(crate) fn letters_file(config: &Config) -> PathBuf {
    DeadLetters::in_folder(&config.dead_letters.path, config.dead_letters.octets).path().to_owned()
}

/// Sends the letters of a file.
pub(crate) async fn send(
    servers: &Elasticsearch,
    config: &Config,
    file: &Path,
    stop: &CancellationToken,
) -> Result<Redelivered> {
    // The spool belongs to the collector that may run beside.
    let config = Config { spool: None, ..config.clone() };
    let server = Server::new(servers, &config)?;
    let (letters, unreadable) = DeadLetters::read(file)?;
    let mut outcome = Redelivered { unreadable, ..Redelivered::default() };
    for letters in letters.chunks(LETTERS) {
        let lines: Vec<u8> = letters.iter().flat_map(super::dead::Letter::lines).collect();
        let (stored, refused, left) = deliver_again(&server, Sealed::from_lines(lines), stop).await;
        outcome.stored += stored;
        outcome.refused += refused;
        outcome.left += left;
    }
    Ok(outcome)
}

/// Letters of one request.
const LETTERS: usize = 1000;
