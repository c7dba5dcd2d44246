//! Buckets that the request names: `filter`, `filters`, `global`, `missing` and ranges.

use std::collections::BTreeMap;

use super::{Collector, Rows, once};
use crate::es::aggs::bounds::{address_range, number_range};
use crate::es::aggs::keys::{real, wrong_type};
use crate::es::aggs::partial::{Bucket, Partial};
use crate::es::aggs::{Flavour, Level, RangeBucket, Source};
use crate::es::error::Result;
use crate::es::filter::TextTest;
use crate::store::Loaded;

impl Collector<'_> {
    /// Buckets that the request names: `choose` puts a document into some of `width` of them.
    pub(super) fn fixed(
        &self,
        width: usize,
        subs: &Level,
        rows: &Rows<'_>,
        mut choose: impl FnMut(u32, &mut dyn FnMut(u32)),
    ) -> Result<Vec<Partial>> {
        let total = rows.count * width;
        self.work.hold(total)?;
        let mut counts = vec![0_u64; total];
        let (mut documents, mut buckets) = (Vec::new(), Vec::new());
        let deeper = !subs.aggs.is_empty();
        let stride = u32::try_from(width).unwrap_or(u32::MAX);
        for (document, parent) in rows.documents.iter().zip(rows.buckets) {
            choose(*document, &mut |which| {
                let bucket = parent * stride + which;
                if let Some(count) = counts.get_mut(bucket as usize) {
                    *count += 1;
                }
                if deeper {
                    documents.push(*document);
                    buckets.push(bucket);
                }
            });
        }
        let inner = Rows { documents: &documents, buckets: &buckets, count: total };
        let mut inner = if deeper { self.level(subs, &inner)? } else { vec![Vec::new(); total] }.into_iter();
        let mut counts = counts.into_iter();
        Ok((0..rows.count)
            .map(|_| {
                let each = counts.by_ref().zip(inner.by_ref()).take(width);
                Partial::Fixed(each.map(|(count, subs)| Bucket { count, subs }).collect())
            })
            .collect())
    }

    pub(super) fn ranges(
        &self,
        source: &Source,
        ranges: &[RangeBucket],
        flavour: &Flavour,
        subs: &Level,
        rows: &Rows<'_>,
    ) -> Result<Vec<Partial>> {
        let width = ranges.len();
        let Some(field) = self.planner.fields.find(&source.field) else {
            return self.fixed(width, subs, rows, |_, _| {});
        };
        let loaded = self.load(&field)?;
        if let Flavour::Address = flavour {
            let ends = ranges.iter().map(address_range).collect::<Result<Vec<_>>>()?;
            let Some(Loaded::Text(values, texts)) = loaded.as_deref() else {
                return self.fixed(width, subs, rows, |_, _| {});
            };
            let mut in_range: Vec<BTreeMap<u32, ()>> = Vec::new();
            for (from, to) in ends {
                let test = match to.checked_sub(1) {
                    Some(last) if from <= last => TextTest::Addresses(vec![(from, last)]),
                    _ => TextTest::OneOf(std::collections::BTreeSet::new()),
                };
                in_range.push(test.ordinals(texts)?.into_iter().map(|ordinal| (ordinal, ())).collect());
            }
            return self.fixed(width, subs, rows, |document, put| {
                for (at, members) in (0..).zip(&in_range) {
                    if values.of(document).iter().any(|ordinal| members.contains_key(ordinal)) {
                        put(at);
                    }
                }
            });
        }
        if field.kind.is_text() {
            return Err(wrong_type(&field, "range"));
        }
        let ends = ranges
            .iter()
            .map(|range| number_range(range, flavour, source, self.planner.now))
            .collect::<Result<Vec<_>>>()?;
        let choose = |value: f64, put: &mut dyn FnMut(u32)| {
            (0..)
                .zip(&ends)
                .filter(|(_, (from, to))| *from <= value && value < *to)
                .for_each(|(at, _)| put(at));
        };
        match loaded.as_deref() {
            Some(Loaded::Whole(values)) => self.fixed(width, subs, rows, |document, put| {
                once(values.of(document), |value, put| choose(real(value), put), put);
            }),
            Some(Loaded::Float(values)) => {
                self.fixed(width, subs, rows, |document, put| once(values.of(document), choose, put))
            }
            _ => self.fixed(width, subs, rows, |_, _| {}),
        }
    }
}
