//! The embedded store: documents in time slices of one hour, each slice a few immutable files of columns.
//!
//! Crash policy: [`Store::commit`] returns when its documents are on disk (`fdatasync`, rename, directory synced),
//! and what it returned for is never lost; what was not committed is gone and its sender's to repeat. Files never
//! change, so recovery at start is: drop temporaries, drop parts of merged files, set aside what is damaged.

mod columns;

mod json;

mod batch;

mod segment;

mod recent;

mod merge;

mod open;

mod background;

mod loaded;

mod source;

pub mod admin;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tantivy::directory::MmapDirectory;

pub use batch::{Added, Batch};
pub(crate) use columns::Kind;
#[cfg(test)]
pub(crate) use json::time;
pub(crate) use loaded::{Bits, Cache, Loaded, Values};
pub(crate) use segment::{Segment, column_name};
pub(crate) use source::Sources;

use background::Background;
use recent::Recent;

/// How the store behaves; every bound has a default.
#[derive(Clone, Debug)]
pub struct Options {
    /// Slices whose hour ended longer ago than this are deleted.
    pub keep: Duration,
    /// The oldest slices are deleted while the files take more than this many octets; `None`: no such bound.
    pub most_octets: Option<u64>,
    /// How long an id is remembered, so that a record sent twice is stored once.
    pub duplicate_window: Duration,
    /// Most ids remembered (17 octets each, in a table at most half empty).
    pub most_recent_ids: usize,
    /// Octets of decoded columns kept between queries.
    pub column_cache: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keep: Duration::from_hours(7 * 24),
            most_octets: None,
            duplicate_window: Duration::from_mins(15),
            most_recent_ids: 4_000_000,
            column_cache: 96 << 20,
        }
    }
}

/// Why the store could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory.
    #[error("{0} is in use by another process; one collector per data directory")]
    InUse(PathBuf),
    /// The directory was written by a version whose files this one cannot read.
    #[error(
        "{directory} holds data of layout {found:?}, this version reads {known:?}; keep the old version, or use another directory"
    )]
    Layout {
        /// The data directory.
        directory: PathBuf,
        /// What its `layout` file says.
        found: String,
        /// What this version reads and writes.
        known: &'static str,
    },
    /// No room on the disk. The batch is kept; commit it again when there is room.
    #[error(
        "no room on the disk for {path}; nothing of this batch was stored, free some space or lower the retention"
    )]
    Full {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// Anything else the file system said.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What came back.
        #[source]
        source: io::Error,
    },
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Committed {
    /// Documents now on disk and searchable.
    pub stored: u64,
    /// Documents of the batch whose id was known.
    pub duplicates: u64,
}

/// The embedded store. Cheap to share behind an `Arc`; all methods block.
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    _background: Background,
}

pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) options: Options,
    pub(crate) directory: MmapDirectory,
    pub(crate) view: RwLock<Arc<View>>,
    pub(crate) cache: Cache,
    pub(crate) counters: Counters,
    recent: Arc<Mutex<Recent>>,
    /// Number of the next commit; held while the list of segments changes.
    next_commit: Mutex<u64>,
    next_serial: AtomicU64,
    wake: background::Wake,
    /// Held (flock) for the life of the store.
    _lock: File,
}

/// What happened since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) set_aside: AtomicU64,
    pub(crate) merged: AtomicU64,
    pub(crate) deleted_slices: AtomicU64,
    pub(crate) failed_writes: AtomicU64,
}

/// The segments at one moment; queries work on it undisturbed by commits and merges.
#[derive(Default)]
pub(crate) struct View {
    /// By slice name, oldest first; within a slice in order of commit.
    pub(crate) slices: BTreeMap<String, Vec<Arc<Segment>>>,
}

impl View {
    pub(crate) fn segments(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        self.slices.values().flatten()
    }

    /// Sizes and counts of the files.
    fn info(&self) -> Info {
        let mut info = Info { slices: self.slices.len(), ..Info::default() };
        for segment in self.segments() {
            info.documents += u64::from(segment.facts.documents);
            info.octets += segment.size;
            info.segments += 1;
            let (first, last) = segment.facts.timestamps;
            let (earliest, latest) = info.timestamps.unwrap_or((first, last));
            info.timestamps = Some((earliest.min(first), latest.max(last)));
        }
        info
    }
}

/// Sizes and counts, for `/status`, metrics and `podflow store info`.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Info {
    /// Documents stored.
    pub documents: u64,
    /// Octets of all segment files.
    pub octets: u64,
    /// Segment files.
    pub segments: usize,
    /// Time slices.
    pub slices: usize,
    /// Earliest and latest `@timestamp`, milliseconds since 1970.
    pub timestamps: Option<(i64, i64)>,
    /// Ids remembered for finding duplicates.
    pub recent_ids: usize,
    /// Files found damaged and set aside since the store was opened.
    pub set_aside: u64,
    /// Merges done since the store was opened.
    pub merges: u64,
    /// Slices deleted by retention since the store was opened.
    pub deleted_slices: u64,
    /// Writes that failed since the store was opened.
    pub failed_writes: u64,
}

impl Store {
    /// Opens the directory, makes it where it is missing, repairs what a crash left, and starts the background work.
    ///
    /// # Errors
    /// When another process has the directory, its layout is unknown, or the file system refuses.
    pub fn open(directory: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let inner = Arc::new(open::open(directory.as_ref(), options)?);
        let background = Background::start(&inner);
        Ok(Self { inner, _background: background })
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch {
        Batch::new(Arc::clone(&self.inner.recent), now_millis())
    }

    /// Writes the batch to disk and makes it searchable. On an error nothing of it is stored twice: the batch keeps
    /// what is not yet on disk, and may be committed again.
    ///
    /// # Errors
    /// When the files cannot be written; [`StoreError::Full`] when it is for want of room.
    pub fn commit(&self, batch: &mut Batch) -> Result<Committed, StoreError> {
        self.inner.commit(batch)
    }

    /// Sizes and counts.
    pub fn info(&self) -> Info {
        self.inner.info()
    }

    /// Does one merge now, as if every slice but the present one had been quiet for a while; says whether there was one.
    pub fn merge_now(&self) -> bool {
        self.inner.merge_once(now_millis().saturating_add(background::CLOSED_AFTER_MILLIS))
    }

    /// Octets of each column over all segments, largest first.
    ///
    /// # Errors
    /// When a segment's list of columns cannot be read.
    pub fn column_sizes(&self) -> io::Result<Vec<(String, u64)>> {
        let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
        for segment in self.inner.view().segments() {
            for (name, column) in segment.columns.list_columns()? {
                *sizes.entry(name).or_default() += column.num_bytes().get_bytes();
            }
        }
        let mut sizes: Vec<_> = sizes.into_iter().collect();
        sizes.sort_by_key(|(_, octets)| std::cmp::Reverse(*octets));
        Ok(sizes)
    }
}

impl Inner {
    /// The segments as of now.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn serial(&self) -> u64 {
        self.next_serial.fetch_add(1, Ordering::Relaxed)
    }

    fn commit(&self, batch: &mut Batch) -> Result<Committed, StoreError> {
        let mut next_commit = self.next_commit.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = batch.len() as u64;
        let mut written = Vec::new();
        let result = self.write_slices(batch, &mut next_commit, &mut written);
        // Slices that are on disk are published even if a later one failed: they are stored, and stay so.
        if !written.is_empty() {
            self.publish(written);
            self.wake.signal();
        }
        if let Err(error) = result {
            self.counters.failed_writes.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
        batch.keep_ids();
        Ok(Committed { stored, duplicates: std::mem::take(&mut batch.duplicates) })
    }

    fn write_slices(
        &self,
        batch: &mut Batch,
        next_commit: &mut u64,
        written: &mut Vec<Segment>,
    ) -> Result<(), StoreError> {
        while let Some(mut entry) = batch.slices.first_entry() {
            let commit = *next_commit;
            let relative = relative_path(entry.key(), (commit, commit));
            let path = self.root.join(&relative);
            let fail = |action, source| failed(action, &path, source);
            let (bytes, _facts) =
                entry.get_mut().finish(commit, now_millis()).map_err(|e| fail("building", e))?;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|e| fail("making the folder of", e))?;
            }
            segment::write(&path, &bytes).map_err(|e| fail("writing", e))?;
            *next_commit += 1;
            entry.remove();
            let segment = Segment::open(&self.directory, &self.root, &relative, self.serial(), false)
                .map_err(|e| fail("reading back", e))?;
            written.push(segment);
        }
        Ok(())
    }

    fn publish(&self, written: Vec<Segment>) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut slices = view.slices.clone();
        for segment in written {
            slices.entry(segment.slice.clone()).or_default().push(Arc::new(segment));
        }
        *view = Arc::new(View { slices });
    }

    fn info(&self) -> Info {
        let view = self.view();
        Info {
            recent_ids: self.recent.lock().unwrap_or_else(PoisonError::into_inner).len(),
            set_aside: self.counters.set_aside.load(Ordering::Relaxed),
            merges: self.counters.merged.load(Ordering::Relaxed),
            deleted_slices: self.counters.deleted_slices.load(Ordering::Relaxed),
            failed_writes: self.counters.failed_writes.load(Ordering::Relaxed),
            ..view.info()
        }
    }
}

/// `slices/2026.11.22T05/000000000012-000000000019.seg`.
pub(crate) fn relative_path(slice: &str, (first, last): (u64, u64)) -> PathBuf {
    Path::new(SLICES).join(slice).join(format!("{first:012}-{last:012}.{}", segment::ENDING))
}

pub(crate) fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full { path: path.to_owned() }
        }
        _ => StoreError::Io { action, path: path.to_owned(), source },
    }
}

/// Milliseconds since 1970 by the system's clock.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Folder of the slices' folders.
const SLICES: &str = "slices";
