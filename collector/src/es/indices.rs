//! Which segments an index expression means: names, wildcards, lists, exclusions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{EsError, Result};
use super::fields::wild;
use crate::store::{Segment, Store};

/// What a request says about indices that are not there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lenience {
    /// A name that is missing is no error.
    pub(crate) ignore_unavailable: bool,
    /// A pattern without an index is no error.
    pub(crate) allow_none: bool,
}

impl Default for Lenience {
    fn default() -> Self {
        Self { ignore_unavailable: false, allow_none: true }
    }
}

/// All segments now, by index.
pub(crate) fn all(store: &Store) -> BTreeMap<String, Vec<Arc<Segment>>> {
    let mut indices: BTreeMap<String, Vec<Arc<Segment>>> = BTreeMap::new();
    for segment in store.inner.view().segments() {
        indices.entry(segment.index()).or_default().push(Arc::clone(segment));
    }
    indices
}

/// The indices that an expression such as `flow-*,-flow-2026.11.21` means.
pub(crate) fn resolve(
    store: &Store,
    expression: &str,
    lenience: Lenience,
) -> Result<BTreeMap<String, Vec<Arc<Segment>>>> {
    let mut all = all(store);
    let mut chosen = BTreeMap::new();
    let mut wildcard_seen = false;
    for part in expression.split(',').map(str::trim) {
        if let (Some(pattern), true) = (part.strip_prefix('-'), wildcard_seen) {
            chosen.retain(|name: &String, segments| {
                let stays = !wild(pattern, name);
                if !stays {
                    all.insert(name.clone(), std::mem::take(segments));
                }
                stays
            });
            continue;
        }
        let pattern = if matches!(part, "_all" | "") { "*" } else { part };
        wildcard_seen |= pattern.contains('*');
        let names: Vec<String> = all.keys().filter(|name| wild(pattern, name)).cloned().collect();
        let known = !names.is_empty() || chosen.keys().any(|name| wild(pattern, name));
        let missing = if pattern.contains('*') { !lenience.allow_none } else { !lenience.ignore_unavailable };
        if !known && missing {
            return Err(EsError::no_index(part));
        }
        for name in names {
            if let Some(segments) = all.remove(&name) {
                chosen.insert(name, segments);
            }
        }
    }
    Ok(chosen)
}
