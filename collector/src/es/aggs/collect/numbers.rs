//! Metrics: sums and their like, percentiles, and how many distinct values there are.

use super::{Collector, Rows, group, hash, visit};
use crate::es::aggs::keys::{real, wrong_type};
use crate::es::aggs::partial::{Partial, Stats};
use crate::es::aggs::sketch::Distinct;
use crate::es::aggs::{Metric, Source};
use crate::es::body;
use crate::es::error::{EsError, Result};
use crate::es::fields::Place;
use crate::store::Loaded;

impl Collector<'_> {
    pub(super) fn metric(&self, what: Metric, source: &Source, rows: &Rows<'_>) -> Result<Vec<Partial>> {
        let mut stats = vec![Stats::default(); rows.count];
        let field = self.planner.fields.find(&source.field);
        match field {
            Some(field) if what == Metric::ValueCount && !matches!(field.place, Place::Column(_)) => {
                rows.buckets.iter().for_each(|bucket| {
                    if let Some(stats) = stats.get_mut(*bucket as usize) {
                        stats.add(0.0);
                    }
                });
            }
            Some(field) if what == Metric::ValueCount && field.kind.is_text() => {
                if let Some(Loaded::Text(values, _)) = self.load(&field)?.as_deref() {
                    for (document, bucket) in rows.documents.iter().zip(rows.buckets) {
                        let count = values.of(*document).len()
                            + usize::from(source.missing.is_some() && values.of(*document).is_empty());
                        if let Some(stats) = stats.get_mut(*bucket as usize) {
                            (0..count).for_each(|_| stats.add(0.0));
                        }
                    }
                }
            }
            _ => self.each_number(source, what.name(), rows, |bucket, value| {
                if let Some(stats) = stats.get_mut(bucket as usize) {
                    stats.add(value);
                }
            })?,
        }
        Ok(stats.into_iter().map(Partial::Stats).collect())
    }

    /// Calls `each` with the bucket and every value of every row.
    pub(super) fn each_number(
        &self,
        source: &Source,
        what: &str,
        rows: &Rows<'_>,
        mut each: impl FnMut(u32, f64),
    ) -> Result<()> {
        let missing = match &source.missing {
            Some(value) => Some(
                body::number(value)
                    .ok_or_else(|| EsError::illegal(format!("[missing] of [{what}] must be a number")))?,
            ),
            None => None,
        };
        let Some(field) = self.planner.fields.find(&source.field) else {
            if let Some(missing) = missing {
                rows.buckets.iter().for_each(|bucket| each(*bucket, missing));
            }
            return Ok(());
        };
        if field.kind.is_text() {
            return Err(wrong_type(&field, what));
        }
        let loaded = self.load(&field)?;
        match loaded.as_deref() {
            Some(Loaded::Whole(values)) => visit(values, rows, missing, real, each),
            Some(Loaded::Float(values)) => visit(values, rows, missing, |value| value, each),
            _ => {
                if let Some(missing) = missing {
                    rows.buckets.iter().for_each(|bucket| each(*bucket, missing));
                }
            }
        }
        Ok(())
    }

    pub(super) fn cardinality(&self, source: &Source, rows: &Rows<'_>) -> Result<Vec<Partial>> {
        let mut distinct = vec![Distinct::default(); rows.count];
        if let Some(placed) = self.terms(source, rows.documents)? {
            let groups = group(rows, &placed, false);
            let mut used: Vec<u32> = groups.of.iter().map(|(_, ordinal)| *ordinal).collect();
            used.sort_unstable();
            used.dedup();
            let hashes: Vec<u64> = placed.table.keys(&used)?.iter().map(hash).collect();
            for (parent, ordinal) in groups.of {
                let hash = used.binary_search(&ordinal).ok().and_then(|at| hashes.get(at));
                if let (Some(hash), Some(distinct)) = (hash, distinct.get_mut(parent as usize)) {
                    distinct.add(*hash);
                }
            }
        }
        Ok(distinct.into_iter().map(Partial::Distinct).collect())
    }
}
