//! Aggregations over one segment, level by level: the documents of all buckets of a level are carried as two lists,
//! document and bucket, so that each aggregation is one plain loop over columns.

mod numbers;

mod fixed;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::bounds::CompositeOrder;
use super::keys::{Placed, Table, value_key};
use super::partial::{Bucket, Buckets, Key, Partial, Quick};
use super::sketch::Digest;
use super::work::Work;
use super::{Agg, Composite, CompositeKind, CompositeSource, Kind, Level, Source, Terms, Wanted};
use crate::es::error::{EsError, Result};
use crate::es::fields::{Field, Place};
use crate::es::filter::{Planner, TextTest};
use crate::es::patterns::{from_lucene, regex};
use crate::store::{Cache, Kind as FieldKind, Loaded, Segment, Values};

/// Collects over one segment.
pub(crate) struct Collector<'a> {
    pub(crate) segment: &'a Arc<Segment>,
    pub(crate) cache: &'a Cache,
    pub(crate) planner: &'a Planner<'a>,
    pub(crate) work: &'a Work,
}

/// Documents of the buckets of one level.
struct Rows<'r> {
    documents: &'r [u32],
    /// Bucket of each document.
    buckets: &'r [u32],
    /// How many buckets there are.
    count: usize,
}

/// Whether a key is wanted.
type KeyTest = Box<dyn Fn(&Key) -> bool>;

/// Rows sorted into buckets by some keys.
struct Groups {
    /// Parent bucket and ordinal of each new bucket.
    of: Vec<(u32, u32)>,
    counts: Vec<u64>,
    documents: Vec<u32>,
    buckets: Vec<u32>,
}

impl Collector<'_> {
    /// The results of a top level over the documents that a query found; `everything` for `global`.
    pub(crate) fn top(&self, level: &Level, documents: &[u32]) -> Result<Vec<Partial>> {
        let zeros = vec![0; documents.len()];
        let rows = Rows { documents, buckets: &zeros, count: 1 };
        level.aggs.iter().map(|agg| Ok(self.one(agg, &rows)?.remove(0))).collect()
    }

    fn level(&self, level: &Level, rows: &Rows<'_>) -> Result<Vec<Vec<Partial>>> {
        let mut by_bucket: Vec<Vec<Partial>> =
            (0..rows.count).map(|_| Vec::with_capacity(level.aggs.len())).collect();
        for agg in &level.aggs {
            for (subs, partial) in by_bucket.iter_mut().zip(self.one(agg, rows)?) {
                subs.push(partial);
            }
        }
        Ok(by_bucket)
    }

    /// One result for each bucket of the rows.
    fn one(&self, agg: &Agg, rows: &Rows<'_>) -> Result<Vec<Partial>> {
        self.work.check()?;
        match &agg.kind {
            Kind::Terms(terms) => self.collect_terms(terms, &agg.subs, rows),
            Kind::MultiTerms { sources, .. } => {
                let sources: Vec<_> = sources.iter().map(plain).collect();
                let placed = self.combined(&sources, rows.documents)?;
                self.keyed(placed, &agg.subs, rows, |_| true)
            }
            Kind::Composite(composite) => self.composite(composite, &agg.subs, rows),
            Kind::DateHistogram { source, rounding, .. } => {
                let placed = self.date_histogram(source, rounding, rows.documents)?;
                self.keyed(placed, &agg.subs, rows, |_| true)
            }
            Kind::Histogram { source, interval, offset, .. } => {
                let placed = self.histogram(source, (*interval, *offset), rows.documents)?;
                self.keyed(placed, &agg.subs, rows, |_| true)
            }
            Kind::Range { source, ranges, flavour, .. } => {
                self.ranges(source, ranges, flavour, &agg.subs, rows)
            }
            Kind::Filter(query) => {
                let filter = self.planner.plan(query)?.within(self.segment);
                let bits = filter.run(self.segment, self.cache)?;
                self.fixed(1, &agg.subs, rows, |document, put| {
                    if bits.get(document) {
                        put(0);
                    }
                })
            }
            Kind::Filters { filters, other, .. } => {
                let bits = filters
                    .iter()
                    .map(|(_, query)| {
                        self.planner.plan(query)?.within(self.segment).run(self.segment, self.cache)
                    })
                    .collect::<Result<Vec<_>>>()?;
                let rest = u32::try_from(bits.len()).unwrap_or(u32::MAX);
                let count = bits.len() + usize::from(other.is_some());
                self.fixed(count, &agg.subs, rows, |document, put| {
                    let mut any = false;
                    for (at, _) in (0..).zip(&bits).filter(|(_, bits)| bits.get(document)) {
                        put(at);
                        any = true;
                    }
                    if !any && other.is_some() {
                        put(rest);
                    }
                })
            }
            Kind::Missing(source) => {
                let has = match self.planner.fields.find(&source.field) {
                    Some(field) if matches!(field.place, Place::Column(_)) => self.present(&field)?,
                    Some(_) => None,
                    None => Some(crate::store::Bits::none(self.segment.facts.documents)),
                };
                self.fixed(1, &agg.subs, rows, |document, put| {
                    if source.missing.is_none() && has.as_ref().is_some_and(|has| !has.get(document)) {
                        put(0);
                    }
                })
            }
            Kind::Global => {
                let documents: Vec<u32> = (0..self.segment.facts.documents).collect();
                let zeros = vec![0; documents.len()];
                let all = Rows { documents: &documents, buckets: &zeros, count: 1 };
                self.fixed(1, &agg.subs, &all, |_, put| put(0))
            }
            Kind::Metric { what, source } => self.metric(*what, source, rows),
            Kind::Cardinality(source) => self.cardinality(source, rows),
            Kind::Percentiles { source, .. } | Kind::PercentileRanks { source, .. } => {
                let mut digests = vec![Digest::default(); rows.count];
                self.each_number(source, "percentiles", rows, |bucket, value| {
                    if let Some(digest) = digests.get_mut(bucket as usize) {
                        digest.add(value);
                    }
                })?;
                Ok(digests.into_iter().map(Partial::Digest).collect())
            }
            Kind::TopHits(request) => {
                let mut lists = vec![Vec::new(); rows.count];
                for (document, bucket) in rows.documents.iter().zip(rows.buckets) {
                    if let Some(list) = lists.get_mut(*bucket as usize) {
                        list.push(*document);
                    }
                }
                lists.iter().map(|documents| Ok(Partial::Hits(request.find(self, documents)?))).collect()
            }
        }
    }

    fn collect_terms(&self, terms: &Terms, subs: &Level, rows: &Rows<'_>) -> Result<Vec<Partial>> {
        let placed = self.terms(&terms.source, rows.documents)?;
        let Some(mut placed) = placed else { return Ok(empty(rows.count)) };
        let field = self.planner.fields.find(&terms.source.field);
        if terms.include.is_some() || terms.exclude.is_some() {
            self.keep_wanted(terms, field.as_ref(), &mut placed)?;
        }
        let all = (terms.options.min_doc_count == 0).then(|| placed.table.len());
        let wanted = match all {
            Some(count) => (0..u32::try_from(count).unwrap_or(u32::MAX)).collect(),
            None => Vec::new(),
        };
        let extra = if wanted.is_empty() { Vec::new() } else { placed.table.keys(&wanted)? };
        let mut partials = self.keyed(Some(placed), subs, rows, |_| true)?;
        for partial in &mut partials {
            if let Partial::Keyed(buckets) = partial {
                for key in extra.iter().filter(|key| wanted_key(terms, key)) {
                    buckets.entry(key.clone()).or_default();
                }
            }
        }
        Ok(partials)
    }

    /// Drops the values that `include` and `exclude` do not want.
    fn keep_wanted(&self, terms: &Terms, field: Option<&Field>, placed: &mut Placed) -> Result<()> {
        let kind = field.map_or(FieldKind::Keyword, |field| field.kind);
        let mut used = placed.ordinals.clone();
        used.sort_unstable();
        used.dedup();
        let keys = placed.table.keys(&used)?;
        let include = terms.include.as_ref().map(|wanted| self.wanted(wanted, kind)).transpose()?;
        let exclude = terms.exclude.as_ref().map(|wanted| self.wanted(wanted, kind)).transpose()?;
        let mut keep = vec![false; placed.table.len().max(1)];
        for (ordinal, key) in used.iter().zip(&keys) {
            let passes = include.as_ref().is_none_or(|test| test(key))
                && !exclude.as_ref().is_some_and(|test| test(key));
            if let Some(place) = keep.get_mut(*ordinal as usize) {
                *place = passes;
            }
        }
        let kept = |ordinal: &u32| keep.get(*ordinal as usize).copied().unwrap_or(false);
        let at = match placed.at.take() {
            Some(at) => {
                at.into_iter().zip(&placed.ordinals).filter(|(_, o)| kept(o)).map(|(at, _)| at).collect()
            }
            None => (0..).zip(&placed.ordinals).filter(|(_, o)| kept(o)).map(|(at, _)| at).collect(),
        };
        placed.at = Some(at);
        placed.ordinals.retain(kept);
        Ok(())
    }

    fn wanted(&self, wanted: &Wanted, kind: FieldKind) -> Result<KeyTest> {
        Ok(match wanted {
            Wanted::Pattern(pattern) => {
                if kind != FieldKind::Keyword {
                    return Err(EsError::shard(
                        "aggregation_execution_exception",
                        "Aggregation cannot support regular expression style include/exclude settings as they can only be applied to string fields. Use an array of values for include/exclude clauses",
                    ));
                }
                let test = TextTest::Pattern(regex(&from_lucene(pattern), false)?);
                Box::new(move |key| matches!(key, Key::Text(text) if test.passes(text)))
            }
            Wanted::Values(values) => {
                let keys = values
                    .iter()
                    .map(|value| value_key(kind, value, self.planner.now))
                    .collect::<Result<std::collections::HashSet<_>>>()?;
                Box::new(move |key| keys.contains(key))
            }
        })
    }

    fn composite(&self, composite: &Composite, subs: &Level, rows: &Rows<'_>) -> Result<Vec<Partial>> {
        let placed = self.combined(&composite.sources, rows.documents)?;
        let order = CompositeOrder::new(self.planner, composite)?;
        // Only the first keys after `after` can be shown, and of those no segment can add one that this cut drops.
        let Some(mut placed) = placed else { return Ok(empty(rows.count)) };
        let Table::Keys(keys) = &placed.table else { return Ok(empty(rows.count)) };
        let mut ranked: Vec<u32> = (0..).take(keys.len()).collect();
        let key = |ordinal: &u32| keys.get(*ordinal as usize).unwrap_or(&Key::Missing);
        ranked.retain(|ordinal| order.is_after(key(ordinal)));
        ranked.sort_by(|a, b| order.compare(key(a), key(b)));
        if rows.count == 1 {
            ranked.truncate(composite.size);
        }
        let mut keep = vec![false; keys.len()];
        ranked.iter().for_each(|ordinal| {
            if let Some(place) = keep.get_mut(*ordinal as usize) {
                *place = true;
            }
        });
        let kept = |ordinal: &u32| keep.get(*ordinal as usize).copied().unwrap_or(false);
        let at = placed.at.take().unwrap_or_default();
        placed.at =
            Some(at.into_iter().zip(&placed.ordinals).filter(|(_, o)| kept(o)).map(|(at, _)| at).collect());
        placed.ordinals.retain(kept);
        self.keyed(Some(placed), subs, rows, |_| true)
    }

    /// Buckets by key.
    fn keyed(
        &self,
        placed: Option<Placed>,
        subs: &Level,
        rows: &Rows<'_>,
        wanted: impl Fn(&Key) -> bool,
    ) -> Result<Vec<Partial>> {
        let Some(placed) = placed else { return Ok(empty(rows.count)) };
        let deeper = !subs.aggs.is_empty();
        let groups = group(rows, &placed, deeper);
        self.work.hold(groups.of.len())?;
        let inner = Rows { documents: &groups.documents, buckets: &groups.buckets, count: groups.of.len() };
        let mut inner = if deeper { self.level(subs, &inner)? } else { vec![Vec::new(); groups.of.len()] };
        let mut used: Vec<u32> = groups.of.iter().map(|(_, ordinal)| *ordinal).collect();
        used.sort_unstable();
        used.dedup();
        let keys = placed.table.keys(&used)?;
        let mut buckets: Vec<Buckets> = (0..rows.count).map(|_| Buckets::default()).collect();
        for (((parent, ordinal), count), subs) in groups.of.iter().zip(&groups.counts).zip(&mut inner) {
            let key = used.binary_search(ordinal).ok().and_then(|at| keys.get(at));
            if let (Some(key), Some(into)) =
                (key.filter(|key| wanted(key)), buckets.get_mut(*parent as usize))
            {
                into.insert(key.clone(), Bucket { count: *count, subs: std::mem::take(subs) });
            }
        }
        Ok(buckets.into_iter().map(Partial::Keyed).collect())
    }

    fn present(&self, field: &Field) -> Result<Option<crate::store::Bits>> {
        let documents = self.segment.facts.documents;
        Ok(Some(match self.load(field)?.as_deref() {
            Some(Loaded::Whole(values)) => values.present(documents),
            Some(Loaded::Float(values)) => values.present(documents),
            Some(Loaded::Text(values, _)) => values.present(documents),
            None => crate::store::Bits::none(documents),
        }))
    }
}

fn group(rows: &Rows<'_>, placed: &Placed, deeper: bool) -> Groups {
    let width = placed.table.len();
    let mut groups =
        Groups { of: Vec::new(), counts: Vec::new(), documents: Vec::new(), buckets: Vec::new() };
    // A plain table where it is small, else a hash map.
    let mut dense =
        vec![NONE; if rows.count.saturating_mul(width) <= MOST_DENSE { rows.count * width } else { 0 }];
    let mut sparse: HashMap<u64, u32, BuildHasherDefault<Quick>> = HashMap::default();
    let mut put = |at: usize, ordinal: u32| {
        let (Some(document), Some(parent)) = (rows.documents.get(at), rows.buckets.get(at)) else { return };
        let slot = match dense.get_mut(*parent as usize * width + ordinal as usize) {
            Some(slot) => slot,
            None => sparse.entry(u64::from(*parent) << 32 | u64::from(ordinal)).or_insert(NONE),
        };
        if *slot == NONE {
            *slot = u32::try_from(groups.of.len()).unwrap_or(NONE);
            groups.of.push((*parent, ordinal));
            groups.counts.push(0);
        }
        if let Some(count) = groups.counts.get_mut(*slot as usize) {
            *count += 1;
        }
        if deeper {
            groups.documents.push(*document);
            groups.buckets.push(*slot);
        }
    };
    match &placed.at {
        None => placed.ordinals.iter().enumerate().for_each(|(at, ordinal)| put(at, *ordinal)),
        Some(places) => {
            places.iter().zip(&placed.ordinals).for_each(|(at, ordinal)| put(*at as usize, *ordinal))
        }
    }
    groups
}

fn visit<T: Copy>(
    values: &Values<T>,
    rows: &Rows<'_>,
    missing: Option<f64>,
    convert: impl Fn(T) -> f64,
    mut each: impl FnMut(u32, f64),
) {
    if let Some(full) = values.full() {
        for (document, bucket) in rows.documents.iter().zip(rows.buckets) {
            if let Some(value) = full.get(*document as usize) {
                each(*bucket, convert(*value));
            }
        }
        return;
    }
    for (document, bucket) in rows.documents.iter().zip(rows.buckets) {
        let values = values.of(*document);
        values.iter().for_each(|value| each(*bucket, convert(*value)));
        if let (true, Some(missing)) = (values.is_empty(), missing) {
            each(*bucket, missing);
        }
    }
}

/// Puts a document with several values at most once into each bucket.
fn once<T: Copy>(values: &[T], choose: impl Fn(T, &mut dyn FnMut(u32)), put: &mut dyn FnMut(u32)) {
    match values {
        [only] => choose(*only, put),
        several => {
            let mut found = Vec::new();
            several.iter().for_each(|value| choose(*value, &mut |bucket| found.push(bucket)));
            found.sort_unstable();
            found.dedup();
            found.into_iter().for_each(put);
        }
    }
}

fn plain(source: &Source) -> CompositeSource {
    CompositeSource {
        name: String::new(),
        source: source.clone(),
        what: CompositeKind::Terms,
        ascending: true,
        missing_bucket: false,
        missing_first: None,
    }
}

fn wanted_key(terms: &Terms, key: &Key) -> bool {
    let listed = |wanted: &Wanted| match (wanted, key) {
        (Wanted::Values(values), Key::Text(text)) => values.iter().any(|value| value.as_str() == Some(text)),
        (Wanted::Pattern(pattern), Key::Text(text)) => {
            regex(&from_lucene(pattern), false).is_ok_and(|r| r.is_match(text))
        }
        _ => true,
    };
    terms.include.as_ref().is_none_or(listed) && !terms.exclude.as_ref().is_some_and(listed)
}

fn empty(count: usize) -> Vec<Partial> {
    (0..count).map(|_| Partial::Keyed(Buckets::default())).collect()
}

fn hash(key: &Key) -> u64 {
    match key {
        Key::Missing => 0,
        Key::Whole(whole) => xxh3_64(&whole.to_le_bytes()),
        Key::Real(bits) => xxh3_64(&bits.to_le_bytes()),
        Key::Address(number) => xxh3_64(&number.to_le_bytes()),
        Key::Text(text) => xxh3_64(text.as_bytes()),
        Key::Several(keys) => keys.iter().fold(1, |seed, key| seed ^ hash(key).rotate_left(7)),
    }
}

const NONE: u32 = u32::MAX;
/// Most cells of a plain table: 16 MB.
const MOST_DENSE: usize = 1 << 22;
