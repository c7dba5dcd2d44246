//! Scrolls and points in time: the segments of one moment, kept for a client that comes back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::error::{EsError, Result};
use super::search::Search;
use crate::store::Segment;

/// All that are open.
#[derive(Default)]
pub(crate) struct Contexts {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    contexts: HashMap<String, Context>,
    next: u64,
}

/// One of them.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    /// For a scroll: the search, and where the last page ended.
    pub(crate) scroll: Option<(Box<Search>, Option<Vec<Value>>)>,
    expires: Instant,
}

/// Elasticsearch's `search.max_open_scroll_context`.
const MOST_OPEN: usize = 500;
/// Elasticsearch's `search.max_keep_alive`.
const LONGEST: Duration = Duration::from_hours(24);

impl Contexts {
    /// Keeps a context; its id.
    pub(crate) fn open(
        &self,
        segments: Vec<Arc<Segment>>,
        scroll: Option<(Box<Search>, Option<Vec<Value>>)>,
        keep: Duration,
    ) -> Result<String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        open.contexts.retain(|_, context| context.expires > now);
        if open.contexts.len() >= MOST_OPEN {
            return Err(EsError::new(
                429,
                "search_phase_execution_exception",
                format!(
                    "Trying to create too many scroll contexts. Must be less than or equal to: [{MOST_OPEN}]."
                ),
            ));
        }
        open.next += 1;
        let id = format!("cG9kZmxvdw{:016x}", xxhash_rust::xxh3::xxh3_64(&open.next.to_be_bytes()));
        let context = Context { segments: Arc::new(segments), scroll, expires: now + keep.min(LONGEST) };
        open.contexts.insert(id.clone(), context);
        Ok(id)
    }

    /// The context of an id, kept on for a while.
    pub(crate) fn find(&self, id: &str, keep: Option<Duration>) -> Result<Context> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        open.contexts.retain(|_, context| context.expires > now);
        let missing = || EsError {
            on_shards: true,
            ..EsError::new(
                404,
                "search_context_missing_exception",
                format!("No search context found for id [{id}]"),
            )
        };
        let context = open.contexts.get_mut(id).ok_or_else(missing)?;
        if let Some(keep) = keep {
            context.expires = now + keep.min(LONGEST);
        }
        Ok(context.clone())
    }

    /// Notes where a scroll's page ended.
    pub(crate) fn advance(&self, id: &str, after: Vec<Value>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, place)) = open.contexts.get_mut(id).and_then(|context| context.scroll.as_mut()) {
            *place = Some(after);
        }
    }

    /// Closes contexts; how many there were. `None`: all.
    pub(crate) fn close(&self, ids: Option<&[String]>) -> usize {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match ids {
            None => std::mem::take(&mut open.contexts).len(),
            Some(ids) => ids.iter().filter(|id| open.contexts.remove(*id).is_some()).count(),
        }
    }
}
