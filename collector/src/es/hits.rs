//! Documents found: what is asked of them, and which come first.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::aggs::collect::Collector;
use super::aggs::partial::Key;
use super::body::{self, Object};
use super::error::{EsError, Result};
use super::ranks::{Column, Rank};
use super::show::source_filter;
use crate::store::Segment;

/// `from` + `size` may not exceed this: Elasticsearch's `index.max_result_window`.
pub(crate) const MOST_HITS: usize = 10_000;
/// `size` of `top_hits` may not exceed this: `index.max_inner_result_window`.
const MOST_TOP_HITS: usize = 100;

/// What is asked of hits.
#[derive(Clone, Debug)]
pub(crate) struct HitsRequest {
    pub(crate) from: usize,
    pub(crate) size: usize,
    pub(crate) sort: Vec<Sort>,
    pub(crate) search_after: Option<Vec<Value>>,
    pub(crate) source: SourceFilter,
    pub(crate) fields: Vec<Shown>,
    pub(crate) docvalue_fields: Vec<Shown>,
    pub(crate) version: bool,
    pub(crate) seq_no: bool,
}

/// One sort criterion.
#[derive(Clone, Debug)]
pub(crate) struct Sort {
    pub(crate) by: SortBy,
    pub(crate) ascending: bool,
    pub(crate) missing: Missing,
    pub(crate) format: Option<String>,
    /// No error where the field is in no document.
    pub(crate) unmapped: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SortBy {
    Field(String),
    /// All scores are the same here.
    Score,
    /// The place in the store.
    Place,
}

/// Where documents without a value go.
#[derive(Clone, Debug)]
pub(crate) enum Missing {
    First,
    Last,
    Value(Value),
}

/// Which part of `_source` is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceFilter {
    pub(crate) off: bool,
    pub(crate) includes: Vec<String>,
    pub(crate) excludes: Vec<String>,
}

/// A field of `fields` or `docvalue_fields`.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) pattern: String,
    pub(crate) format: Option<String>,
}

/// The first documents of one or several segments.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) total: u64,
    pub(crate) hits: Vec<Hit>,
    /// How many are wanted.
    most: usize,
    directions: Arc<[(bool, bool)]>,
}

/// One document found.
#[derive(Clone)]
pub(crate) struct Hit {
    pub(crate) segment: Arc<Segment>,
    pub(crate) row: u32,
    pub(crate) keys: Vec<Key>,
}

impl std::fmt::Debug for Hit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.segment.slice, self.row)
    }
}

impl HitsRequest {
    /// Takes what concerns hits out of a search body.
    pub(crate) fn take(object: &mut Object<'_>) -> Result<Self> {
        let from = object.count("from")?.unwrap_or(0);
        let size = object.count("size")?.unwrap_or(10);
        let sort = object.take("sort").map(sorts).transpose()?.unwrap_or_default();
        let search_after = match object.take("search_after") {
            None => None,
            Some(Value::Array(values)) => Some(values.clone()),
            Some(other) => {
                return Err(EsError::parsing(format!(
                    "[search_after] must be an array, not {}",
                    body::kind(other)
                )));
            }
        };
        let source = object.take("_source").map_or_else(|| Ok(SourceFilter::default()), source_filter)?;
        let request = Self {
            from,
            size,
            sort,
            search_after,
            source,
            fields: shown(object.take("fields"))?,
            docvalue_fields: shown(object.take("docvalue_fields"))?,
            version: object.truth("version")?.unwrap_or(false),
            seq_no: object.truth("seq_no_primary_term")?.unwrap_or(false),
        };
        object.ignore(&["stored_fields", "explain", "track_scores", "highlight"]);
        Ok(request)
    }

    /// The body of a `top_hits` aggregation.
    pub(crate) fn parse_top_hits(map: &Map<String, Value>) -> Result<Self> {
        let mut object = Object::of("top_hits", map);
        let mut request = Self::take(&mut object)?;
        if object.take("script_fields").is_some() {
            return Err(EsError::script());
        }
        object.finish()?;
        if !map.contains_key("size") {
            request.size = 3;
        }
        if request.from + request.size > MOST_TOP_HITS {
            return Err(EsError::shard(
                "illegal_argument_exception",
                format!(
                    "Top hits result window is too large, the top hits aggregator [hits]'s from + size must be less than or equal to: [{MOST_TOP_HITS}] but was [{}]. This limit can be set by changing the [index.max_inner_result_window] index level setting.",
                    request.from + request.size
                ),
            ));
        }
        Ok(request)
    }

    /// Refuses what Elasticsearch refuses.
    pub(crate) fn check(&self, windowed: bool) -> Result<()> {
        if windowed && self.from.saturating_add(self.size) > MOST_HITS {
            return Err(EsError::shard(
                "illegal_argument_exception",
                format!(
                    "Result window is too large, from + size must be less than or equal to: [{MOST_HITS}] but was [{}]. See the scroll api for a more efficient way to request large data sets. This limit can be set by changing the [index.max_result_window] index level setting.",
                    self.from.saturating_add(self.size)
                ),
            ));
        }
        if let Some(after) = &self.search_after {
            let count = self.sort.len().max(1);
            if after.len() != count {
                return Err(EsError::shard(
                    "illegal_argument_exception",
                    format!("search_after has {} value(s) but sort has {count}.", after.len()),
                ));
            }
            if self.from > 0 {
                return Err(EsError::new(
                    400,
                    "action_request_validation_exception",
                    "Validation Failed: 1: `from` parameter must be set to 0 when `search_after` is used;",
                ));
            }
        }
        Ok(())
    }

    /// A result without documents.
    pub(crate) fn nothing(&self) -> Found {
        let directions =
            self.sort.iter().map(|sort| (sort.ascending, matches!(sort.missing, Missing::First))).collect();
        Found { total: 0, hits: Vec::new(), most: self.from.saturating_add(self.size), directions }
    }

    /// The first of these documents of a segment, in the order of the sort criteria, then of their place.
    pub(crate) fn find(&self, collector: &Collector<'_>, documents: &[u32]) -> Result<Found> {
        let mut found = self.nothing();
        found.total = documents.len() as u64;
        if found.most == 0 {
            return Ok(found);
        }
        let columns =
            self.sort.iter().map(|sort| Column::open(sort, collector)).collect::<Result<Vec<_>>>()?;
        let after = match &self.search_after {
            Some(values) if !columns.is_empty() => Some(
                columns
                    .iter()
                    .zip(values)
                    .map(|(column, value)| column.after(value))
                    .collect::<Result<Vec<_>>>()?,
            ),
            _ => None,
        };
        let ranks = |row: u32| columns.iter().map(move |column| column.rank(row));
        let mut rows: Vec<(Rank, u32)> = documents
            .iter()
            .filter(|row| after.as_ref().is_none_or(|after| ranks(**row).gt(after.iter().copied())))
            .map(|row| (columns.first().map_or((0, 0), |column| column.rank(*row)), *row))
            .collect();
        if rows.len() > found.most {
            // Choose by the first criterion alone, keep all that tie with the last chosen, and sort only those.
            let (_, last, _) = rows.select_nth_unstable(found.most - 1);
            let last = last.0;
            if columns.len() > 1 {
                rows.retain(|(rank, _)| *rank <= last);
            } else {
                rows.truncate(found.most);
            }
        }
        rows.sort_unstable_by(|(_, a), (_, b)| ranks(*a).cmp(ranks(*b)).then(a.cmp(b)));
        rows.truncate(found.most);
        for (_, row) in rows {
            let keys = columns.iter().map(|column| column.key(row)).collect::<Result<_>>()?;
            found.hits.push(Hit { segment: Arc::clone(collector.segment), row, keys });
        }
        Ok(found)
    }
}

impl Found {
    /// Adds another segment's documents, keeping the first ones.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.total += other.total;
        self.hits.extend(other.hits);
        let directions = Arc::clone(&self.directions);
        self.hits.sort_by(|a, b| compare(&directions, a, b));
        self.hits.truncate(self.most);
    }

    pub(crate) fn skip(&mut self, from: usize) {
        self.hits.drain(..from.min(self.hits.len()));
    }
}

fn compare(directions: &[(bool, bool)], a: &Hit, b: &Hit) -> std::cmp::Ordering {
    for ((x, y), (ascending, missing_first)) in a.keys.iter().zip(&b.keys).zip(directions) {
        let step = match (*x == Key::Missing, *y == Key::Missing) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) => {
                if *missing_first {
                    std::cmp::Ordering::Less
                } else {
                    std::cmp::Ordering::Greater
                }
            }
            (false, true) => {
                if *missing_first {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Less
                }
            }
            (false, false) if *ascending => x.cmp(y),
            (false, false) => y.cmp(x),
        };
        if step.is_ne() {
            return step;
        }
    }
    (a.segment.facts.commits, a.row).cmp(&(b.segment.facts.commits, b.row))
}

/// The value of `sort`.
pub(crate) fn sorts(value: &Value) -> Result<Vec<Sort>> {
    let mut found = Vec::new();
    for entry in body::one_or_many(value) {
        match entry {
            Value::String(text) => {
                let (name, direction) =
                    text.split_once(':').map_or((text.as_str(), None), |(n, d)| (n, Some(d)));
                found.push(sort(name, direction)?);
            }
            Value::Object(map) => {
                for (name, options) in map {
                    found.push(sort_options(name, options)?);
                }
            }
            other => return Err(EsError::parsing(format!("malformed sort format, {}", body::kind(other)))),
        }
    }
    Ok(found)
}

fn sort_options(name: &str, options: &Value) -> Result<Sort> {
    if name == "_script" {
        return Err(EsError::script());
    }
    if name == "_geo_distance" {
        return Err(EsError::unsupported("sort [_geo_distance]"));
    }
    if !options.is_object() {
        return sort(name, Some(&body::text("order", options)?));
    }
    let mut object = Object::new("sort", options)?;
    let mut found = sort(name, object.text("order")?.as_deref())?;
    found.missing = match object.take("missing") {
        None => Missing::Last,
        Some(Value::String(text)) if text == "_last" => Missing::Last,
        Some(Value::String(text)) if text == "_first" => Missing::First,
        Some(value) => Missing::Value(value.clone()),
    };
    found.format = object.text("format")?;
    found.unmapped =
        object.take("unmapped_type").is_some() | object.truth("ignore_unmapped")?.unwrap_or(false);
    object.ignore(&["mode", "numeric_type", "nested"]);
    object.finish()?;
    Ok(found)
}

fn sort(name: &str, direction: Option<&str>) -> Result<Sort> {
    let by = match name {
        "_score" => SortBy::Score,
        "_doc" | "_shard_doc" => SortBy::Place,
        name => SortBy::Field(name.to_owned()),
    };
    let ascending = match direction {
        None => by != SortBy::Score,
        Some("asc" | "ASC") => true,
        Some("desc" | "DESC") => false,
        Some(other) => {
            return Err(EsError::illegal(format!(
                "No enum constant org.elasticsearch.search.sort.SortOrder.{}",
                other.to_uppercase()
            )));
        }
    };
    Ok(Sort { by, ascending, missing: Missing::Last, format: None, unmapped: false })
}

fn shown(value: Option<&Value>) -> Result<Vec<Shown>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    body::one_or_many(value)
        .iter()
        .map(|entry| {
            if let Value::String(pattern) = entry {
                return Ok(Shown { pattern: pattern.clone(), format: None });
            }
            let mut object = Object::new("fields", entry)?;
            let found = Shown {
                pattern: object.required_text("field")?,
                format: object.text("format")?.filter(|f| f != "use_field_mapping"),
            };
            object.ignore(&["include_unmapped"]);
            object.finish().map(|()| found)
        })
        .collect()
}
