//! A folder for files that must not outlive the process, not even when it is killed.
//!
//! It is locked as long as it is in use; whoever makes the next one removes those that nobody holds any more.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// A folder that is removed when this is dropped, or else by the next [`Folder::new`] on this machine.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    // The lock is the kernel's: it ends with the process, however that ends.
    _lock: File,
}

impl Folder {
    /// Makes a folder among the machine's temporary files, and removes left-over ones.
    ///
    /// # Errors
    /// When it cannot be made. A left-over folder that cannot be removed is only logged.
    pub fn new() -> Result<Self> {
        Self::new_in(&std::env::temp_dir())
    }

    fn new_in(parent: &Path) -> Result<Self> {
        sweep(parent);
        for _ in 0..MOST_ATTEMPTS {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match make(&path) {
                Ok(Some(lock)) => return Ok(Self { path, _lock: lock }),
                // A sweep came between making and locking it, or a process of the same number left it.
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("making the folder {}", path.display()));
                }
            }
        }
        anyhow::bail!("no free name for a folder {PREFIX}… in {}", parent.display())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it now, for a process that is about to end without dropping anything.
    pub fn remove(&self) {
        // Other threads may still be writing into it.
        for _ in 0..MOST_REMOVALS {
            if remove(&self.path) {
                break;
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Makes the folder and locks it; nothing when it was swept away before it was locked.
fn make(path: &Path) -> std::io::Result<Option<File>> {
    fs::DirBuilder::new().mode(0o700).create(path)?;
    let lock = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    lock.lock()?;
    let still_there =
        fs::metadata(path).is_ok_and(|now| lock.metadata().is_ok_and(|own| own.ino() == now.ino()));
    Ok(still_there.then_some(lock))
}

fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Somebody else's folder cannot be opened; it is theirs to sweep.
        let Ok(folder) = File::open(entry.path()) else { continue };
        match folder.try_lock() {
            Ok(()) if remove(&entry.path()) => {}
            Ok(()) => {
                tracing::warn!(path = %entry.path().display(), "a left-over folder could not be removed")
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                tracing::debug!(%error, path = %entry.path().display(), "not swept")
            }
        }
    }
}

/// Whether it is gone.
fn remove(path: &Path) -> bool {
    match fs::remove_dir_all(path) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// Every folder's name begins with this.
const PREFIX: &str = "podflow-testbed-";

/// The number of this process's next folder. No name is used twice: a sweep that holds a folder which went meanwhile
/// would remove the new one of that name.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A process has a handful of these at once; more names than this taken means something is wrong.
const MOST_ATTEMPTS: u32 = 10_000;

/// A writer makes a new file now and then, not all the time.
const MOST_REMOVALS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_over_folder_goes_and_a_held_one_stays() {
        let parent = tempfile::tempdir().unwrap();
        let left_over = parent.path().join(format!("{PREFIX}1-0"));
        fs::create_dir_all(left_over.join("store")).unwrap();
        fs::create_dir(parent.path().join("another-program")).unwrap();

        let first = Folder::new_in(parent.path()).unwrap();
        assert!(!left_over.exists());
        let second = Folder::new_in(parent.path()).unwrap();
        assert!(first.path().is_dir() && second.path().is_dir());
        assert_ne!(first.path(), second.path());

        let gone = first.path().to_owned();
        drop(first);
        assert!(!gone.exists() && second.path().is_dir());
        second.remove();
        drop(second);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
