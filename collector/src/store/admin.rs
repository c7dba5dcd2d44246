//! What one does to a data directory from outside: look, check, copy, print.
//!
//! Nothing here takes the lock or changes anything, so all of it works while a collector writes. Files never change
//! and a merged file is there before its parts go, so a file that vanishes under a reader means: list again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::directory::MmapDirectory;

use super::open::{check_layout, entries};
use super::segment::{self, Segment};
use super::{Cache, Info, SLICES, Sources, StoreError, View, failed};

/// A data directory opened for reading.
pub struct Reader {
    view: View,
    /// Files that could not be opened, and why.
    pub damaged: Vec<(PathBuf, io::Error)>,
}

impl Reader {
    /// Opens every segment; with `verify`, after reading all of it and comparing checksums.
    ///
    /// # Errors
    /// When the directory is none of ours, its layout is unknown, or it cannot be listed.
    pub fn open(root: &Path, verify: bool) -> Result<Self, StoreError> {
        let root = root.canonicalize().map_err(|e| failed("finding", root, e))?;
        check_layout(&root, false)?;
        let mut tries = 0;
        loop {
            match Self::try_open(&root, verify)? {
                Some(reader) => return Ok(reader),
                None if tries >= MOST_TRIES => {
                    let busy = io::Error::other("its files changed faster than they could be opened");
                    return Err(failed("reading", &root, busy));
                }
                None => tries += 1,
            }
        }
    }

    /// `None` where a file vanished between listing and opening.
    fn try_open(root: &Path, verify: bool) -> Result<Option<Self>, StoreError> {
        let directory =
            MmapDirectory::open(root).map_err(|e| failed("opening", root, io::Error::other(e)))?;
        let mut reader = Self { view: View::default(), damaged: Vec::new() };
        let mut serial = 0;
        for slice in entries(&root.join(SLICES))? {
            let Ok(files) = entries(&slice) else { return Ok(None) };
            let mut segments = Vec::new();
            for path in files.into_iter().filter(|path| path.extension() == Some(segment::ENDING.as_ref())) {
                let relative = path.strip_prefix(root).unwrap_or(&path);
                serial += 1;
                match Segment::open(&directory, root, relative, serial, verify) {
                    Ok(segment) => segments.push(segment),
                    Err(_) if !path.exists() => return Ok(None),
                    Err(error) => reader.damaged.push((path, error)),
                }
            }
            segments.sort_by_key(|segment| (segment.facts.commits.0, u64::MAX - segment.facts.commits.1));
            let mut last = None;
            // A part beside the file that has replaced it would be counted twice.
            segments.retain(|segment| {
                let part = last.is_some_and(|last| segment.facts.commits.1 <= last);
                last = Some(last.unwrap_or(0).max(segment.facts.commits.1));
                !part
            });
            let name = slice.file_name().unwrap_or_default().to_string_lossy().into_owned();
            reader.view.slices.insert(name, segments.into_iter().map(Arc::new).collect());
        }
        Ok(Some(reader))
    }

    /// Sizes and counts.
    pub fn info(&self) -> Info {
        self.view.info()
    }

    /// Writes the documents whose `@timestamp` is in `times` (milliseconds since 1970), one JSON a line, as
    /// `_source` shows them, oldest slice first. Says how many.
    ///
    /// # Errors
    /// When a segment cannot be read or the output cannot be written.
    pub fn export(&self, times: std::ops::Range<i64>, output: &mut dyn Write) -> io::Result<u64> {
        let cache = Cache::new(EXPORT_CACHE);
        let mut count = 0;
        for segment in self.view.segments() {
            let (first, last) = segment.facts.timestamps;
            if last < times.start || first >= times.end {
                continue;
            }
            let mut sources = Sources::new(segment, &cache)?;
            for row in 0..segment.facts.documents {
                let inside = sources.timestamp(row)?.is_some_and(|time| times.contains(&time));
                if inside {
                    serde_json::to_writer(&mut *output, &sources.source(row)?)?;
                    output.write_all(b"\n")?;
                    count += 1;
                }
            }
            cache.forget(segment.serial);
        }
        Ok(count)
    }
}

/// Copies a data directory as it is now to `target`, which must not exist: by hard links where both are on one file
/// system (no octet is copied), else by copying. A store can be opened on the result. Says how many files.
///
/// # Errors
/// When `target` exists, or the file system refuses.
pub fn snapshot(root: &Path, target: &Path) -> Result<usize, StoreError> {
    check_layout(root, false)?;
    fs::create_dir(target).map_err(|e| failed("making", target, e))?;
    let from = root.join("layout");
    fs::copy(&from, target.join("layout")).map_err(|e| failed("copying", &from, e))?;
    let mut taken: BTreeSet<PathBuf> = BTreeSet::new();
    for _ in 0..MOST_TRIES {
        let mut vanished = false;
        for slice in entries(&root.join(SLICES))? {
            let folder = target.join(SLICES).join(slice.file_name().unwrap_or_default());
            let Ok(files) = entries(&slice) else {
                vanished = true;
                continue;
            };
            fs::create_dir_all(&folder).map_err(|e| failed("making", &folder, e))?;
            for path in files.into_iter().filter(|path| path.extension() == Some(segment::ENDING.as_ref())) {
                let copy = folder.join(path.file_name().unwrap_or_default());
                if taken.contains(&copy) {
                    continue;
                }
                let linked = fs::hard_link(&path, &copy).or_else(|_| fs::copy(&path, &copy).map(drop));
                match linked {
                    Ok(()) => drop(taken.insert(copy)),
                    // Merged away; the file that took its place is found by the next round.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => vanished = true,
                    Err(error) => return Err(failed("copying", &path, error)),
                }
            }
        }
        if !vanished {
            return Ok(taken.len());
        }
    }
    Err(failed("copying", root, io::Error::other("its files changed faster than they could be copied")))
}

/// Rounds of listing again. Merges take far longer than a round.
const MOST_TRIES: usize = 20;
/// Octets of decoded columns while documents are printed.
const EXPORT_CACHE: usize = 256 << 20;
