//! The spool: documents that the servers would not take, kept on disk in order until they do.
//!
//! One entry is one bulk body. What is in here survives the end of the process, however it ends: every entry is on
//! disk when [`Spool::put`] returns.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::config::{Full, SpoolLimits};

/// Entries by number; numbers grow, so the smallest is the oldest.
const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");

/// How many documents an entry holds, by its number.
const DOCUMENTS: TableDefinition<'_, u64, u64> = TableDefinition::new("documents");

/// What of the file is kept in memory: a few entries, each of which is written once and read once.
const CACHE_OCTETS: usize = 32 << 20;

/// A bounded queue on disk.
#[derive(Debug)]
pub(crate) struct Spool {
    database: Database,
    path: PathBuf,
    limits: SpoolLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    octets: u64,
    documents: u64,
}

/// An entry of the spool.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its number.
    pub(crate) number: u64,
    /// What was put in.
    pub(crate) octets: Vec<u8>,
    /// How many documents that is.
    pub(crate) documents: u64,
}

impl Spool {
    /// Opens the spool in a folder, and makes it where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be used, with its path.
    pub(crate) fn open(folder: &Path, limits: SpoolLimits) -> Result<Self> {
        let path = folder.join("spool.redb");
        let context = || format!("opening the spool {}", path.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        let database =
            Database::builder().set_cache_size(CACHE_OCTETS).create(&path).with_context(context)?;
        let state = read_state(&database).with_context(context)?;
        Ok(Self { database, path, limits, state: Mutex::new(state) })
    }

    /// Documents that wait in it.
    pub(crate) fn documents(&self) -> u64 {
        self.lock().documents
    }

    /// Octets that wait in it.
    pub(crate) fn octets(&self) -> u64 {
        self.lock().octets
    }

    /// Puts an entry at the end; it is on disk when this returns. Answers how many documents were dropped for want
    /// of room: the oldest ones, or these, as configured.
    ///
    /// # Errors
    /// When the disk does not take it; then nothing was put and nothing dropped.
    pub(crate) fn put(&self, octets: &[u8], documents: u64) -> Result<u64> {
        let mut state = self.lock();
        let size = octets.len() as u64;
        let mut dropped = 0;
        let mut freed = 0;
        let context = || format!("writing to the spool {}", self.path.display());
        let transaction = self.database.begin_write().with_context(context)?;
        {
            let mut entries = transaction.open_table(ENTRIES).with_context(context)?;
            let mut counts = transaction.open_table(DOCUMENTS).with_context(context)?;
            if state.octets + size > self.limits.octets {
                if self.limits.full == Full::DropNewest || size > self.limits.octets {
                    return Ok(documents);
                }
                while state.octets - freed + size > self.limits.octets {
                    let Some((_, oldest)) = entries.pop_first().with_context(context)? else { break };
                    freed += oldest.value().len() as u64;
                    if let Some((_, count)) = counts.pop_first().with_context(context)? {
                        dropped += count.value();
                    }
                }
            }
            entries.insert(state.next, octets).with_context(context)?;
            counts.insert(state.next, documents).with_context(context)?;
        }
        transaction.commit().with_context(context)?;
        state.next += 1;
        state.octets = state.octets + size - freed;
        state.documents = state.documents + documents - dropped;
        Ok(dropped)
    }

    /// The oldest entry; it stays in the spool.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn first(&self) -> Result<Option<Entry>> {
        let context = || format!("reading the spool {}", self.path.display());
        if self.documents() == 0 {
            return Ok(None);
        }
        let transaction = self.database.begin_read().with_context(context)?;
        let entries = transaction.open_table(ENTRIES).with_context(context)?;
        let Some((number, octets)) = entries.first().with_context(context)? else { return Ok(None) };
        let counts = transaction.open_table(DOCUMENTS).with_context(context)?;
        let documents = counts.get(number.value()).with_context(context)?.map_or(0, |count| count.value());
        Ok(Some(Entry { number: number.value(), octets: octets.value().to_vec(), documents }))
    }

    /// Takes an entry out; false where it had been dropped meanwhile, and counted as that.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(crate) fn remove(&self, entry: &Entry) -> Result<bool> {
        let mut state = self.lock();
        let context = || format!("writing to the spool {}", self.path.display());
        let transaction = self.database.begin_write().with_context(context)?;
        let was_there = {
            let mut entries = transaction.open_table(ENTRIES).with_context(context)?;
            let mut counts = transaction.open_table(DOCUMENTS).with_context(context)?;
            counts.remove(entry.number).with_context(context)?;
            entries.remove(entry.number).with_context(context)?.is_some()
        };
        transaction.commit().with_context(context)?;
        if was_there {
            state.octets -= entry.octets.len() as u64;
            state.documents -= entry.documents;
        }
        Ok(was_there)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the tables where they are missing, and adds up what they hold.
fn read_state(database: &Database) -> Result<State> {
    let transaction = database.begin_write()?;
    let mut state = State::default();
    {
        let entries = transaction.open_table(ENTRIES)?;
        let counts = transaction.open_table(DOCUMENTS)?;
        for entry in entries.iter()? {
            let (number, octets) = entry?;
            state.next = number.value() + 1;
            state.octets += octets.value().len() as u64;
        }
        for count in counts.iter()? {
            state.documents += count?.1.value();
        }
    }
    transaction.commit()?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(full: Full) -> SpoolLimits {
        SpoolLimits { octets: 100, full }
    }

    fn content(spool: &Spool) -> Vec<(Vec<u8>, u64)> {
        let mut all = Vec::new();
        while let Some(entry) = spool.first().unwrap() {
            assert!(spool.remove(&entry).unwrap());
            all.push((entry.octets, entry.documents));
        }
        all
    }

    #[test]
    fn what_is_put_comes_back_in_order_also_after_a_new_start() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), limits(Full::DropOldest)).unwrap();
        for number in 0..5_u8 {
            assert_eq!(spool.put(&[number; 10], u64::from(number) + 1).unwrap(), 0);
        }
        let first = spool.first().unwrap().unwrap();
        assert_eq!(first.octets, [0; 10]);
        assert!(spool.remove(&first).unwrap());
        drop(spool);
        let spool = Spool::open(folder.path(), limits(Full::DropOldest)).unwrap();
        assert_eq!((spool.documents(), spool.octets()), (2 + 3 + 4 + 5, 40));
        assert_eq!(spool.put(&[9; 10], 1).unwrap(), 0);
        let order: Vec<u8> = content(&spool).iter().map(|(octets, _)| octets[0]).collect();
        assert_eq!(order, [1, 2, 3, 4, 9]);
        assert_eq!((spool.documents(), spool.octets()), (0, 0));
    }

    #[test]
    fn a_full_spool_drops_what_it_was_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), limits(Full::DropOldest)).unwrap();
        assert_eq!(spool.put(&[1; 50], 5).unwrap(), 0);
        assert_eq!(spool.put(&[2; 50], 6).unwrap(), 0, "exactly full");
        let oldest = spool.first().unwrap().unwrap();
        assert_eq!(spool.put(&[3; 51], 7).unwrap(), 11, "both have to go");
        assert!(!spool.remove(&oldest).unwrap(), "it was dropped, and counted then");
        assert_eq!(content(&spool), [(vec![3; 51], 7)]);
        assert_eq!(spool.put(&[4; 101], 8).unwrap(), 8, "larger than the whole spool");

        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), limits(Full::DropNewest)).unwrap();
        assert_eq!(spool.put(&[1; 60], 5).unwrap(), 0);
        assert_eq!(spool.put(&[2; 60], 6).unwrap(), 6);
        assert_eq!(content(&spool), [(vec![1; 60], 5)]);
    }
}
