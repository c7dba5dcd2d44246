//! The store's one background thread: merges and retention, woken by commits and every half minute.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{info, warn};

use super::segment::{self, Segment};
use super::{Inner, SLICES, View, merge, now_millis, relative_path};

/// How long after its hour a slice still counts as open: late messages and waiting names.
pub(crate) const CLOSED_AFTER_MILLIS: i64 = 10 * 60_000;
const MILLIS_PER_HOUR: i64 = 3_600_000;
const PAUSE: Duration = Duration::from_secs(30);

/// Stops and joins the thread when dropped.
pub(crate) struct Background {
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

/// A flag one can wait for.
#[derive(Default)]
pub(crate) struct Wake {
    signalled: Mutex<bool>,
    condition: Condvar,
    stopped: AtomicBool,
}

impl Wake {
    pub(crate) fn signal(&self) {
        *self.signalled.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_all();
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn wait(&self, most: Duration) {
        let signalled = self.signalled.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut signalled, _timeout) = self
            .condition
            .wait_timeout_while(signalled, most, |signalled| !*signalled)
            .unwrap_or_else(PoisonError::into_inner);
        *signalled = false;
    }
}

impl Background {
    pub(crate) fn start(inner: &Arc<Inner>) -> Self {
        let worker = Arc::clone(inner);
        let thread = std::thread::Builder::new().name("podflow-store".to_owned()).spawn(move || {
            while !worker.wake.stopped() {
                worker.work();
                worker.wake.wait(PAUSE);
            }
        });
        let thread = thread
            .inspect_err(|error| warn!(%error, "no thread for merges and retention; the store grows"))
            .ok();
        Self { inner: Arc::clone(inner), thread }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.inner.wake.stopped.store(true, Ordering::Relaxed);
        self.inner.wake.signal();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the store's background thread had panicked");
        }
    }
}

impl Inner {
    /// One round: retention first, since it makes room for merges.
    pub(crate) fn work(&self) {
        self.retain(now_millis());
        while !self.wake.stopped() && self.merge_once(now_millis()) {}
    }

    /// Merges one run of neighbours; says whether there was one.
    pub(crate) fn merge_once(&self, now: i64) -> bool {
        let view = self.view();
        let found = view.slices.iter().find_map(|(slice, segments)| {
            let documents: Vec<u32> = segments.iter().map(|segment| segment.facts.documents).collect();
            let closed = hour_end(slice).is_some_and(|end| end + CLOSED_AFTER_MILLIS < now);
            // A closed slice that is still being written to (old data replayed) is left alone until it is quiet.
            let quiet =
                segments.last().is_none_or(|last| last.facts.committed + CLOSED_AFTER_MILLIS / 10 < now);
            let run = merge::choose(&documents, closed && quiet)?;
            Some(segments.get(run)?.to_vec())
        });
        let Some(parts) = found else { return false };
        match self.merge_parts(&parts) {
            Ok(()) => {
                self.counters.merged.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(error) => {
                let slice = parts.first().map_or("", |part| part.slice.as_str());
                warn!(slice, %error, "small segments could not be merged; queries are slower until they are");
                false
            }
        }
    }

    fn merge_parts(&self, parts: &[Arc<Segment>]) -> std::io::Result<()> {
        let (bytes, facts) = merge::merge(parts)?;
        let slice = parts.first().map(|part| part.slice.clone()).unwrap_or_default();
        let relative = relative_path(&slice, facts.commits);
        segment::write(&self.root.join(&relative), &bytes)?;
        drop(bytes);
        let merged = Segment::open(&self.directory, &self.root, &relative, self.serial(), false)?;
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut slices = view.slices.clone();
        let Some(segments) = slices.get_mut(&slice) else {
            // Retention has taken the slice meanwhile.
            return fs::remove_file(&merged.path);
        };
        let is_part = |segment: &Arc<Segment>| parts.iter().any(|part| part.serial == segment.serial);
        let place = segments.iter().position(is_part).unwrap_or(0);
        segments.retain(|segment| !is_part(segment));
        segments.insert(place, Arc::new(merged));
        *view = Arc::new(View { slices });
        drop(view);
        for part in parts {
            // Queries that hold the part read on from the mapping; a file left behind is removed at the next start.
            if let Err(error) = fs::remove_file(&part.path) {
                warn!(file = %part.path.display(), %error, "a merged segment's part could not be removed");
            }
            self.cache.forget(part.serial);
        }
        Ok(())
    }

    /// Deletes the slices that are too old, then the oldest while there are too many octets. The newest slice stays.
    pub(crate) fn retain(&self, now: i64) {
        let keep = i64::try_from(self.options.keep.as_millis()).unwrap_or(i64::MAX);
        let view = self.view();
        let mut octets: u64 = view.segments().map(|segment| segment.size).sum();
        let newest = view.slices.keys().next_back();
        let mut gone = Vec::new();
        for (slice, segments) in &view.slices {
            let size: u64 = segments.iter().map(|segment| segment.size).sum();
            let too_old = hour_end(slice).is_some_and(|end| end < now.saturating_sub(keep));
            let too_much = self.options.most_octets.is_some_and(|most| octets > most);
            if too_old || (too_much && Some(slice) != newest) {
                octets -= size;
                gone.push((slice.clone(), too_old));
            }
        }
        if gone.is_empty() {
            return;
        }
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut slices = view.slices.clone();
        let removed: Vec<_> = gone.iter().filter_map(|(slice, _)| slices.remove(slice)).collect();
        *view = Arc::new(View { slices });
        drop(view);
        removed.iter().flatten().for_each(|segment| self.cache.forget(segment.serial));
        for (slice, too_old) in gone {
            let reason = if too_old { "age" } else { "size" };
            match fs::remove_dir_all(self.root.join(SLICES).join(&slice)) {
                Ok(()) => info!(slice, reason, "deleted a slice by retention"),
                Err(error) => warn!(slice, %error, "a slice could not be deleted"),
            }
            self.counters.deleted_slices.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// When the hour of a slice such as `2026.11.22T05` ends, milliseconds since 1970.
pub(crate) fn hour_end(slice: &str) -> Option<i64> {
    let text = format!("{}:00:00Z", slice.replace('.', "-"));
    let start: jiff::Timestamp = text.parse().ok()?;
    Some(start.as_millisecond() + MILLIS_PER_HOUR)
}
