//! Documents found: which come first, and how they are shown.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::aggs::collect::Collector;
use super::aggs::partial::Key;
use super::body::{self, Object};
use super::date;
use super::error::{EsError, Result};
use super::fields::{Field, Fields, Place, wild};
use super::filter::{address_number, address_text};
use crate::store::{Cache, Kind, Loaded, Segment, Sources};

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

/// A number that documents of one segment sort by: which group (missing first, with a value, missing last), and the
/// value, turned round where the order descends.
type Rank = (u8, u64);

struct Column {
    values: Option<Arc<Loaded>>,
    kind: Kind,
    /// For addresses: the place of each ordinal in the order of numbers.
    places: Option<(Vec<u64>, Vec<u128>)>,
    constant: Option<Key>,
    place_in_store: Option<u64>,
    ascending: bool,
    missing_first: bool,
    missing_value: Option<Key>,
}

impl Column {
    fn open(sort: &Sort, collector: &Collector<'_>) -> Result<Self> {
        let mut column = Self {
            values: None,
            kind: Kind::Long,
            places: None,
            constant: None,
            place_in_store: None,
            ascending: sort.ascending,
            missing_first: matches!(sort.missing, Missing::First),
            missing_value: None,
        };
        let name = match &sort.by {
            SortBy::Score => {
                column.constant = Some(Key::Whole(1));
                return Ok(column);
            }
            SortBy::Place => {
                column.place_in_store = Some(collector.segment.facts.commits.0 << 21);
                return Ok(column);
            }
            SortBy::Field(name) => name,
        };
        let Some(field) = collector.planner.fields.find(name) else {
            if sort.unmapped || collector.planner.fields.names().next().is_none() {
                return Ok(column);
            }
            return Err(EsError::shard(
                "query_shard_exception",
                format!("No mapping found for [{name}] in order to sort on"),
            ));
        };
        column.kind = field.kind;
        if let Missing::Value(value) = &sort.missing {
            column.missing_value = Some(sort_key(field.kind, value)?);
        }
        match &field.place {
            Place::Constant(value) => column.constant = Some(Key::Text((*value).into())),
            Place::Index => column.constant = Some(Key::Text(collector.segment.index().into())),
            Place::Id => {
                return Err(EsError::shard(
                    "illegal_argument_exception",
                    "Fielddata access on the _id field is disallowed, you can re-enable it by updating the dynamic cluster setting: indices.id_field_data.enabled",
                ));
            }
            Place::Column(name) => column.values = collector.cache.load(collector.segment, name)?,
        }
        if let (Kind::Ip, Some(Loaded::Text(_, texts))) = (field.kind, column.values.as_deref()) {
            let mut numbers = Vec::new();
            let mut stream = texts.dictionary().stream()?;
            while stream.advance() {
                let text = String::from_utf8_lossy(stream.key());
                numbers.push(text.parse().map_or(0, address_number));
            }
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            let places =
                numbers.iter().map(|number| sorted.partition_point(|other| other < number) as u64).collect();
            column.places = Some((places, sorted));
        }
        Ok(column)
    }

    fn rank(&self, row: u32) -> Rank {
        if let Some(start) = self.place_in_store {
            return self.turned(start + u64::from(row));
        }
        if self.constant.is_some() {
            return self.turned(0);
        }
        // Of several values the least counts where the order ascends, else the most.
        let pick =
            |values: &mut dyn Iterator<Item = u64>| if self.ascending { values.min() } else { values.max() };
        let value = match self.values.as_deref() {
            Some(Loaded::Whole(values)) => {
                pick(&mut values.of(row).iter().map(|value| tantivy::i64_to_u64(*value)))
            }
            Some(Loaded::Float(values)) => {
                pick(&mut values.of(row).iter().map(|value| tantivy::f64_to_u64(*value)))
            }
            Some(Loaded::Text(values, _)) => {
                pick(&mut values.of(row).iter().map(|ordinal| self.text_rank(*ordinal)))
            }
            None => None,
        };
        match (value, &self.missing_value) {
            (Some(value), _) => self.turned(value),
            (None, Some(key)) => self.rank_of(key),
            (None, None) => (if self.missing_first { 0 } else { 2 }, 0),
        }
    }

    /// Odd numbers are values of the dictionary, even ones the gaps between them.
    fn text_rank(&self, ordinal: u32) -> u64 {
        let place = match &self.places {
            Some((places, _)) => places.get(ordinal as usize).copied().unwrap_or(0),
            None => u64::from(ordinal),
        };
        place * 2 + 1
    }

    fn turned(&self, value: u64) -> Rank {
        (1, if self.ascending { value } else { !value })
    }

    /// The rank of a key that need not be in this segment.
    fn rank_of(&self, key: &Key) -> Rank {
        let value = match (key, self.values.as_deref()) {
            (Key::Missing, _) => return (if self.missing_first { 0 } else { 2 }, 0),
            (Key::Whole(whole), Some(Loaded::Float(_))) => tantivy::f64_to_u64(super::aggs::real(*whole)),
            (Key::Whole(whole), _) => tantivy::i64_to_u64(*whole),
            (Key::Real(bits), Some(Loaded::Whole(_))) => {
                tantivy::i64_to_u64(saturated(tantivy::u64_to_f64(*bits)))
            }
            (Key::Real(bits), _) => *bits,
            (Key::Address(number), _) => match &self.places {
                Some((_, sorted)) => {
                    let place = sorted.partition_point(|other| other < number) as u64 * 2;
                    place + u64::from(sorted.binary_search(number).is_ok())
                }
                None => 0,
            },
            (Key::Text(text), Some(Loaded::Text(_, texts))) => {
                let texts = texts.dictionary();
                match texts.term_ord_or_next(text.as_bytes()) {
                    Ok(tantivy::columnar::TermOrdHit::Exact(ordinal)) => ordinal * 2 + 1,
                    Ok(tantivy::columnar::TermOrdHit::Next(ordinal)) => ordinal * 2,
                    Err(_) => 0,
                }
            }
            (Key::Text(text), _) => match &self.constant {
                Some(Key::Text(constant)) => match constant.as_ref().cmp(text) {
                    std::cmp::Ordering::Less => return self.turned(1),
                    std::cmp::Ordering::Equal => 0,
                    std::cmp::Ordering::Greater if self.ascending => return (0, 0),
                    std::cmp::Ordering::Greater => return (2, 0),
                },
                _ => 0,
            },
            (Key::Several(_), _) => 0,
        };
        self.turned(value)
    }

    fn after(&self, value: &Value) -> Result<Rank> {
        if let Some(start) = self.place_in_store {
            let _unused = start;
            let place = value
                .as_u64()
                .ok_or_else(|| EsError::illegal("[search_after] of [_doc] must be a whole number"))?;
            return Ok(self.turned(place));
        }
        if value.is_null()
            || sentinel(self.kind, self.ascending, self.missing_first).is_some_and(|s| *value == s)
        {
            return Ok(self.rank_of(&Key::Missing));
        }
        if let Some(Key::Whole(_)) = self.constant {
            return Ok(self.turned(0));
        }
        Ok(self.rank_of(&sort_key(self.kind, value)?))
    }

    fn key(&self, row: u32) -> Result<Key> {
        if let Some(start) = self.place_in_store {
            return Ok(Key::Whole(i64::try_from(start + u64::from(row)).unwrap_or(i64::MAX)));
        }
        if let Some(constant) = &self.constant {
            return Ok(constant.clone());
        }
        let rank = self.rank(row);
        let bits = if self.ascending { rank.1 } else { !rank.1 };
        Ok(match self.values.as_deref() {
            _ if rank.0 != 1 => Key::Missing,
            Some(Loaded::Whole(values)) if !values.of(row).is_empty() => {
                Key::Whole(tantivy::u64_to_i64(bits))
            }
            Some(Loaded::Float(values)) if !values.of(row).is_empty() => Key::Real(bits),
            Some(Loaded::Text(values, texts)) if !values.of(row).is_empty() => {
                if let Some((_, sorted)) = &self.places {
                    let place = usize::try_from(bits / 2).unwrap_or(usize::MAX);
                    Key::Address(sorted.get(place).copied().unwrap_or(0))
                } else {
                    let mut text = String::new();
                    texts.ord_to_str(bits / 2, &mut text)?;
                    Key::Text(text.into())
                }
            }
            _ => self.missing_value.clone().unwrap_or(Key::Missing),
        })
    }
}

/// What Elasticsearch shows as the sort value of a missing number or time.
fn sentinel(kind: Kind, ascending: bool, missing_first: bool) -> Option<Value> {
    let most = ascending != missing_first;
    match kind {
        Kind::Long | Kind::Date | Kind::Boolean => Some(json!(if most { i64::MAX } else { i64::MIN })),
        Kind::Double => Some(json!(if most { "Infinity" } else { "-Infinity" })),
        Kind::Keyword | Kind::Ip => None,
    }
}

fn sort_key(kind: Kind, value: &Value) -> Result<Key> {
    let bad = || {
        EsError::shard(
            "illegal_argument_exception",
            format!("Failed to parse search_after value for a field of type [{}]: [{value}]", kind.es_type()),
        )
    };
    let text = body::scalar_text(value).ok_or_else(bad)?;
    Ok(match kind {
        Kind::Keyword => Key::Text(text.into()),
        Kind::Ip => Key::Address(address_number(text.parse().map_err(|_| bad())?)),
        Kind::Double => Key::Real(tantivy::f64_to_u64(body::number(value).ok_or_else(bad)?)),
        Kind::Boolean if value.is_boolean() => Key::Whole(i64::from(text == "true")),
        Kind::Date if value.is_string() => {
            let zone = jiff::tz::TimeZone::UTC;
            Key::Whole(date::parse(&text, date::DEFAULT_FORMAT, &zone, 0, false)?)
        }
        _ => Key::Whole(body::whole("search_after", value).map_err(|_| bad())?),
    })
}

/// Shows hits.
pub(crate) struct Shower<'s> {
    pub(crate) fields: &'s Fields,
    pub(crate) cache: &'s Cache,
}

impl Shower<'_> {
    /// The value of `hits`.
    pub(crate) fn hits(&self, request: &HitsRequest, found: &Found, total: Option<Value>) -> Result<Value> {
        let scored = request.sort.is_empty() || request.sort.iter().any(|sort| sort.by == SortBy::Score);
        let mut shown: Vec<Value> = vec![Value::Null; found.hits.len()];
        // Segment by segment, so that each one's dictionaries are opened once.
        let mut order: Vec<usize> = (0..found.hits.len()).collect();
        order.sort_by_key(|at| found.hits.get(*at).map(|hit| hit.segment.serial));
        let mut open: Option<(u64, Sources<'_>)> = None;
        for at in order {
            let (Some(hit), Some(place)) = (found.hits.get(at), shown.get_mut(at)) else { continue };
            let mut sources = match open.take() {
                Some((serial, sources)) if serial == hit.segment.serial => sources,
                _ => Sources::new(&hit.segment, self.cache)?,
            };
            *place = self.hit(request, hit, &mut sources, scored)?;
            open = Some((hit.segment.serial, sources));
        }
        let mut hits = Map::new();
        if let Some(total) = total {
            hits.insert("total".to_owned(), total);
        }
        let max_score = if scored && !shown.is_empty() { json!(1.0) } else { Value::Null };
        hits.insert("max_score".to_owned(), max_score);
        hits.insert("hits".to_owned(), shown.into());
        Ok(Value::Object(hits))
    }

    fn hit(
        &self,
        request: &HitsRequest,
        hit: &Hit,
        sources: &mut Sources<'_>,
        scored: bool,
    ) -> Result<Value> {
        let mut shown = Map::new();
        shown.insert("_index".to_owned(), hit.segment.index().into());
        shown.insert("_id".to_owned(), sources.id(hit.row)?.into());
        if request.version {
            shown.insert("_version".to_owned(), 1.into());
        }
        if request.seq_no {
            shown.insert("_seq_no".to_owned(), hit.row.into());
            shown.insert("_primary_term".to_owned(), 1.into());
        }
        shown.insert("_score".to_owned(), if scored { json!(1.0) } else { Value::Null });
        if !request.source.off {
            let source = sources.source(hit.row)?;
            shown.insert("_source".to_owned(), request.source.apply(source));
        }
        let mut fields = Map::new();
        for wanted in request.fields.iter().chain(&request.docvalue_fields) {
            for field in self.fields.matching(&wanted.pattern) {
                let values = self.values(&field, wanted, hit, sources)?;
                if !values.is_empty() {
                    fields.insert(field.name, values.into());
                }
            }
        }
        if !fields.is_empty() {
            shown.insert("fields".to_owned(), Value::Object(fields));
        }
        if !request.sort.is_empty() {
            let values = hit.keys.iter().zip(&request.sort).map(|(key, sort)| self.sort_value(key, sort));
            shown.insert("sort".to_owned(), values.collect::<Vec<_>>().into());
        }
        Ok(Value::Object(shown))
    }

    fn values(
        &self,
        field: &Field,
        wanted: &Shown,
        hit: &Hit,
        sources: &mut Sources<'_>,
    ) -> Result<Vec<Value>> {
        let values = match &field.place {
            Place::Constant(value) => vec![Value::from(*value)],
            Place::Index => vec![hit.segment.index().into()],
            Place::Id => vec![sources.id(hit.row)?.into()],
            Place::Column(column) => sources.values(column, hit.row)?,
        };
        Ok(values
            .into_iter()
            .map(|value| match (field.kind, value.as_i64()) {
                (Kind::Date, Some(millis)) => {
                    let format = wanted.format.as_deref().unwrap_or("strict_date_optional_time");
                    date::format(millis, format, &jiff::tz::TimeZone::UTC).into()
                }
                (Kind::Boolean, Some(number)) => Value::Bool(number != 0),
                _ => value,
            })
            .collect())
    }

    fn sort_value(&self, key: &Key, sort: &Sort) -> Value {
        let kind = match &sort.by {
            SortBy::Field(name) => self.fields.find(name).map_or(Kind::Long, |field| field.kind),
            SortBy::Score => return json!(1.0),
            SortBy::Place => Kind::Long,
        };
        match key {
            Key::Whole(millis) => match (&sort.format, kind) {
                (Some(format), Kind::Date) => date::format(*millis, format, &jiff::tz::TimeZone::UTC).into(),
                _ => (*millis).into(),
            },
            Key::Real(bits) => super::aggs::number(tantivy::u64_to_f64(*bits)),
            Key::Address(number) => address_text(*number).into(),
            Key::Text(text) => text.as_ref().into(),
            Key::Missing => {
                sentinel(kind, sort.ascending, matches!(sort.missing, Missing::First)).unwrap_or(Value::Null)
            }
            Key::Several(_) => Value::Null,
        }
    }
}

impl SourceFilter {
    fn apply(&self, source: Map<String, Value>) -> Value {
        if self.includes.is_empty() && self.excludes.is_empty() {
            return Value::Object(source);
        }
        Value::Object(self.part(source, ""))
    }

    fn part(&self, source: Map<String, Value>, path: &str) -> Map<String, Value> {
        let mut kept = Map::new();
        for (name, value) in source {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if self.excludes.iter().any(|pattern| wild(pattern, &path)) {
                continue;
            }
            // A pattern that names an object wants all that is in it.
            let within = |pattern: &String| {
                wild(pattern, &path)
                    || path
                        .match_indices('.')
                        .any(|(at, _)| path.get(..at).is_some_and(|parent| wild(pattern, parent)))
            };
            let included = self.includes.is_empty() || self.includes.iter().any(within);
            match value {
                Value::Object(inner) => {
                    let inner = self.part(inner, &path);
                    if !inner.is_empty() {
                        kept.insert(name, Value::Object(inner));
                    }
                }
                value if included => {
                    kept.insert(name, value);
                }
                _ => {}
            }
        }
        kept
    }
}

/// The value of `_source`.
pub(crate) fn source_filter(value: &Value) -> Result<SourceFilter> {
    let texts = |value: &Value| {
        body::one_or_many(value).iter().map(|text| body::text("_source", text)).collect::<Result<Vec<_>>>()
    };
    Ok(match value {
        Value::Bool(on) => SourceFilter { off: !on, ..SourceFilter::default() },
        Value::Object(_) => {
            let mut object = Object::new("_source", value)?;
            let mut list = |keys: [&str; 2]| -> Result<Vec<String>> {
                let found = object.take(keys[0]).or_else(|| object.take(keys[1]));
                found.map_or(Ok(Vec::new()), texts)
            };
            let filter = SourceFilter {
                off: false,
                includes: list(["includes", "include"])?,
                excludes: list(["excludes", "exclude"])?,
            };
            object.finish()?;
            filter
        }
        value => SourceFilter { includes: texts(value)?, ..SourceFilter::default() },
    })
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

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
fn saturated(number: f64) -> i64 {
    number as i64
}
