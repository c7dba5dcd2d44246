//! The dead letters: documents that a server refused for good, each with the reason, in a bounded file.
//!
//! One line is one letter: `{"time": …, "reason": …, "action": {"create": …}, "document": {…}}`. `podflow-collector
//! redeliver` sends them again, once the reason is gone.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::document::time;

/// The file of dead letters.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    path: PathBuf,
    limit: u64,
    file: Mutex<Option<File>>,
}

/// One refused document.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Letter {
    /// When it was refused.
    pub(crate) time: String,
    /// What the server said.
    pub(crate) reason: String,
    /// The bulk action line.
    pub(crate) action: Box<RawValue>,
    /// The document.
    pub(crate) document: Box<RawValue>,
}

impl DeadLetters {
    /// Letters in a folder; nothing is made before the first one.
    pub(crate) fn in_folder(folder: &Path, limit: u64) -> Self {
        Self { path: folder.join("dead-letters.ndjson"), limit, file: Mutex::new(None) }
    }

    /// Where they are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a refused document, given by its two bulk lines; false where the file is full.
    ///
    /// # Errors
    /// When the file cannot be written, with its path.
    pub(crate) fn keep(&self, lines: &[u8], reason: &str, now_ms: i64) -> Result<bool> {
        let context = || format!("writing to the dead letters {}", self.path.display());
        let letter = Letter::of(lines, reason, now_ms).with_context(context)?;
        let mut line = serde_json::to_vec(&letter).with_context(context)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = match file.take() {
            Some(open) => open,
            None => {
                if let Some(folder) = self.path.parent() {
                    std::fs::create_dir_all(folder).with_context(context)?;
                }
                OpenOptions::new().append(true).create(true).open(&self.path).with_context(context)?
            }
        };
        let size = open.metadata().with_context(context)?.len();
        let fits = size + line.len() as u64 <= self.limit;
        if fits {
            open.write_all(&line).with_context(context)?;
        }
        *file = Some(open);
        Ok(fits)
    }

    /// Reads every letter of a file; a line that is none is counted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(path: &Path) -> Result<(Vec<Letter>, usize)> {
        let context = || format!("reading the dead letters {}", path.display());
        let mut letters = Vec::new();
        let mut unreadable = 0;
        for line in BufReader::new(File::open(path).with_context(context)?).lines() {
            match serde_json::from_str(&line.with_context(context)?) {
                Ok(letter) => letters.push(letter),
                Err(_) => unreadable += 1,
            }
        }
        Ok((letters, unreadable))
    }
}

impl Letter {
    fn of(lines: &[u8], reason: &str, now_ms: i64) -> Result<Self> {
        let text = std::str::from_utf8(lines)?;
        let (action, document) = text.split_once('\n').context("no two lines")?;
        let mut stamp = Vec::new();
        time::write(now_ms, &mut stamp);
        Ok(Self {
            time: String::from_utf8(stamp)?,
            reason: reason.to_owned(),
            action: RawValue::from_string(action.to_owned())?,
            document: RawValue::from_string(document.trim_end().to_owned())?,
        })
    }

    /// The two bulk lines again.
    pub(crate) fn lines(&self) -> Vec<u8> {
        format!("{}\n{}\n", self.action.get(), self.document.get()).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[u8] = b"{\"create\":{\"_id\":\"a\"}}\n{\"x\":1}\n";

    #[test]
    fn a_letter_keeps_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let dead = DeadLetters::in_folder(&folder.path().join("new"), 10_000);
        assert!(dead.keep(LINES, "because \"x\"", 0).unwrap());
        assert!(dead.keep(LINES, "again", 0).unwrap());
        let (letters, unreadable) = DeadLetters::read(dead.path()).unwrap();
        assert_eq!((letters.len(), unreadable), (2, 0));
        assert_eq!(letters[0].reason, "because \"x\"");
        assert_eq!(letters[1].lines(), LINES);
    }

    #[test]
    fn the_file_is_bounded_also_over_a_new_start() {
        let folder = tempfile::tempdir().unwrap();
        let fits = || {
            let dead = DeadLetters::in_folder(folder.path(), 250);
            (0..3).filter(|_| dead.keep(LINES, "r", 0).unwrap()).count()
        };
        assert_eq!(fits(), 2);
        assert_eq!(fits(), 0);
    }
}
