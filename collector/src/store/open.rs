//! Opening a data directory: lock, layout, repair after a crash, and the ids stored last.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use tantivy::columnar::DynamicColumn;
use tantivy::directory::MmapDirectory;
use tracing::{error, info};

use super::segment::{self, Segment};
use super::{Cache, Counters, Inner, Options, Recent, SLICES, StoreError, View, columns, failed};
use crate::document::model::DocumentId;

/// First line of the file `layout` in the data directory.
const LAYOUT: &str = "podflow store 1";
/// Where damaged files go.
const SET_ASIDE: &str = "damaged";

/// Everything but the background work.
pub(crate) fn open(root: &Path, options: Options) -> Result<Inner, StoreError> {
    fs::create_dir_all(root.join(SLICES)).map_err(|e| failed("making", root, e))?;
    let root = root.canonicalize().map_err(|e| failed("finding", root, e))?;
    let lock = lock(&root)?;
    check_layout(&root, true)?;
    let directory =
        MmapDirectory::open(&root).map_err(|e| failed("opening", &root, std::io::Error::other(e)))?;
    let serial = AtomicU64::new(0);
    let counters = Counters::default();
    let view = read_slices(&root, &directory, &serial, &counters)?;
    let next_commit = view.segments().map(|segment| segment.facts.commits.1 + 1).max().unwrap_or(0);
    let recent = recent_ids(&view, &options);
    info!(
        directory = %root.display(),
        documents = view.segments().map(|segment| u64::from(segment.facts.documents)).sum::<u64>(),
        slices = view.slices.len(),
        recent_ids = recent.len(),
        "embedded store is open"
    );
    Ok(Inner {
        cache: Cache::new(options.column_cache),
        directory,
        view: RwLock::new(Arc::new(view)),
        counters,
        recent: Arc::new(Mutex::new(recent)),
        next_commit: Mutex::new(next_commit),
        next_serial: serial,
        wake: super::background::Wake::default(),
        _lock: lock,
        root,
        options,
    })
}

fn lock(root: &Path) -> Result<File, StoreError> {
    let path = root.join("lock");
    let file = File::create(&path).map_err(|e| failed("making", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(root.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed("locking", &path, error)),
    }
}

/// Compares the layout with ours; with `make`, a directory that has none gets it.
pub(crate) fn check_layout(root: &Path, make: bool) -> Result<(), StoreError> {
    let path = root.join("layout");
    match fs::read_to_string(&path) {
        Ok(text) if text.trim() == LAYOUT => Ok(()),
        Ok(text) => Err(StoreError::Layout {
            directory: root.to_owned(),
            found: text.trim().chars().take(80).collect(),
            known: LAYOUT,
        }),
        Err(error) if make && error.kind() == std::io::ErrorKind::NotFound => {
            fs::write(&path, format!("{LAYOUT}\n")).map_err(|e| failed("writing", &path, e))
        }
        Err(error) => Err(failed("reading", &path, error)),
    }
}

fn read_slices(
    root: &Path,
    directory: &MmapDirectory,
    serial: &AtomicU64,
    counters: &Counters,
) -> Result<View, StoreError> {
    let mut view = View::default();
    for slice in entries(&root.join(SLICES))? {
        let mut segments = Vec::new();
        for path in entries(&slice)? {
            if path.extension().is_some_and(|ending| ending == "tmp") {
                fs::remove_file(&path).map_err(|e| failed("removing", &path, e))?;
                continue;
            }
            let relative = path.strip_prefix(root).unwrap_or(&path);
            let serial = serial.fetch_add(1, Ordering::Relaxed);
            match Segment::open(directory, root, relative, serial, true) {
                Ok(segment) => segments.push(segment),
                Err(error) => {
                    counters.set_aside.fetch_add(1, Ordering::Relaxed);
                    set_aside(root, &path, &error)?;
                }
            }
        }
        let segments = without_parts(segments)?;
        match slice.file_name() {
            Some(name) if !segments.is_empty() => {
                view.slices.insert(
                    name.to_string_lossy().into_owned(),
                    segments.into_iter().map(Arc::new).collect(),
                );
            }
            // An empty folder is of no use; it may also hold something that is not ours, then it stays.
            _ => drop(fs::remove_dir(&slice)),
        }
    }
    Ok(view)
}

/// Deletes files whose commits a merged file covers, and sorts the rest by commit.
fn without_parts(mut segments: Vec<Segment>) -> Result<Vec<Segment>, StoreError> {
    segments.sort_by_key(|segment| (segment.facts.commits.0, u64::MAX - segment.facts.commits.1));
    let mut kept: Vec<Segment> = Vec::new();
    for segment in segments {
        match kept.last() {
            Some(last) if last.facts.commits.1 >= segment.facts.commits.1 => {
                fs::remove_file(&segment.path).map_err(|e| failed("removing", &segment.path, e))?;
            }
            _ => kept.push(segment),
        }
    }
    Ok(kept)
}

/// Moves a damaged file out of the way, under a name that says where it was.
fn set_aside(root: &Path, path: &Path, why: &std::io::Error) -> Result<(), StoreError> {
    let folder = root.join(SET_ASIDE);
    fs::create_dir_all(&folder).map_err(|e| failed("making", &folder, e))?;
    let slice = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let target = folder.join(format!("{slice}-{name}"));
    fs::rename(path, &target).map_err(|e| failed("setting aside", path, e))?;
    error!(
        file = %path.display(), moved_to = %target.display(), error = %why,
        "a segment is damaged and its documents cannot be read; everything else is served"
    );
    Ok(())
}

/// The ids committed within the duplicate window before the newest commit. Measured from that commit, not from now:
/// after a pause the senders go on where they stopped.
fn recent_ids(view: &View, options: &Options) -> Recent {
    let mut recent = Recent::new(options.duplicate_window, options.most_recent_ids);
    let newest = view.segments().map(|segment| segment.facts.committed).max().unwrap_or(0);
    let window = i64::try_from(options.duplicate_window.as_millis()).unwrap_or(i64::MAX);
    let mut segments: Vec<_> =
        view.segments().filter(|segment| newest.saturating_sub(segment.facts.committed) <= window).collect();
    segments.sort_by_key(|segment| segment.facts.commits.1);
    let now = super::now_millis();
    for segment in segments {
        let read = each_id(segment, |id| {
            recent.insert(id, now);
        });
        if let Err(error) = read {
            error!(file = %segment.path.display(), %error, "ids of a segment cannot be read; its records may be stored twice if they are sent again");
        }
    }
    recent
}

/// Calls `each` with every id of the segment, in order of rows.
pub(crate) fn each_id(segment: &Segment, mut each: impl FnMut(DocumentId)) -> std::io::Result<()> {
    let column = |name| -> std::io::Result<_> {
        match segment.column(name)? {
            Some(DynamicColumn::I64(column)) => Ok(column),
            _ => Err(std::io::Error::other(format!("no column {name}"))),
        }
    };
    let (second, high, low) =
        (column(columns::ID_SECOND)?, column(columns::ID_HIGH)?, column(columns::ID_LOW)?);
    for row in 0..segment.facts.documents {
        each(join_id(second.values.get_val(row), high.values.get_val(row), low.values.get_val(row)));
    }
    Ok(())
}

/// An id from its three columns.
pub(crate) fn join_id(second: i64, high: i64, low: i64) -> DocumentId {
    let [_, _, _, _, s0, s1, s2, s3] = second.to_be_bytes();
    let [h0, h1, h2, h3, h4, h5, h6, h7] = high.to_be_bytes();
    let [.., l0, l1, l2] = low.to_be_bytes();
    DocumentId([s0, s1, s2, s3, h0, h1, h2, h3, h4, h5, h6, h7, l0, l1, l2])
}

/// The slices' folders or segment files in a folder, sorted by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let fail = |e| failed("listing", folder, e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let ours = entry.path().is_dir()
            || [segment::ENDING, "tmp"]
                .iter()
                .any(|ending| entry.path().extension() == Some(ending.as_ref()));
        if ours && !name.to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
