//! Many small segments into few large ones, in the background.
//!
//! Only neighbours of one slice are merged, so that a segment always covers an unbroken run of that slice's commits
//! and a crash between "merged file is there" and "its parts are gone" is repaired by names alone.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use tantivy::columnar::{StackMergeOrder, merge_columnar};

use super::segment::{self, Facts, Segment};

/// Neighbours of like size that are merged into one.
const FAN: usize = 8;
/// Most documents of one merged segment: a query holds some columns of a segment in memory at a time, at most 8
/// octets a document and column.
pub(crate) const MOST_DOCUMENTS: u64 = 1 << 20;

/// Which neighbours of a slice to merge next, if any. A `closed` slice gets no more commits and is merged into as
/// few segments as the bound allows.
pub(crate) fn choose(documents: &[u32], closed: bool) -> Option<Range<usize>> {
    if closed {
        return runs(documents, |_| true).find(|run| run.len() > 1);
    }
    let levels: Vec<u32> = documents.iter().map(|count| level(*count)).collect();
    let highest = levels.iter().copied().max()?;
    (0..=highest).find_map(|most| runs(documents, |count| level(count) <= most).find(|run| run.len() >= FAN))
}

/// The merged file of `parts`, in memory, and its facts.
pub(crate) fn merge(parts: &[Arc<Segment>]) -> io::Result<(Vec<u8>, Facts)> {
    let readers: Vec<_> = parts.iter().map(|part| &part.columns).collect();
    let facts = parts
        .iter()
        .map(|part| part.facts.clone())
        .reduce(|a, b| Facts {
            commits: (a.commits.0.min(b.commits.0), a.commits.1.max(b.commits.1)),
            documents: a.documents + b.documents,
            timestamps: (a.timestamps.0.min(b.timestamps.0), a.timestamps.1.max(b.timestamps.1)),
            committed: a.committed.max(b.committed),
        })
        .ok_or_else(|| io::Error::other("nothing to merge"))?;
    let mut bytes = Vec::new();
    merge_columnar(&readers, &[], StackMergeOrder::stack(&readers).into(), &mut bytes)?;
    segment::finish(&mut bytes, &facts)?;
    Ok((bytes, facts))
}

/// Maximal runs of neighbours that satisfy `belongs`, cut so that none holds more than [`MOST_DOCUMENTS`].
fn runs(documents: &[u32], belongs: impl Fn(u32) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut sum = 0;
    for (index, count) in documents.iter().copied().enumerate() {
        let fits = sum + u64::from(count) <= MOST_DOCUMENTS;
        if !belongs(count) || !fits {
            found.push(start..index);
            start = if belongs(count) { index } else { index + 1 };
            sum = 0;
        }
        if belongs(count) {
            sum += u64::from(count);
        }
    }
    found.push(start..documents.len());
    found.into_iter().filter(|run| !run.is_empty())
}

fn level(documents: u32) -> u32 {
    documents.max(1).ilog(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_like_size_are_merged_eight_at_a_time() {
        type Row<'a> = (&'a [u32], bool, Option<Range<usize>>);
        let table: [Row<'_>; 7] = [
            (&[], false, None),
            (&[10; 7], false, None),
            (&[10; 8], false, Some(0..8)),
            (&[90_000, 10, 10, 10, 10, 10, 10, 10, 10], false, Some(1..9)),
            (&[90_000, 10, 10], true, Some(0..3)),
            (&[1_000_000, 100_000, 10], true, Some(1..3)),
            (&[1_000_000, 100_000], true, None),
        ];
        for (documents, closed, expected) in table {
            assert_eq!(choose(documents, closed), expected, "{documents:?}");
        }
    }
}
