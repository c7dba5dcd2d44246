//! One search: the body read, run over the segments of its indices, and answered.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::Engine;
use super::aggs::collect::Collector;
use super::aggs::partial::Partial;
use super::aggs::render::Renderer;
use super::aggs::work::Work;
use super::aggs::{self, Kind, Level};
use super::body::{self, Object};
use super::date;
use super::error::{EsError, Result};
use super::fields::Fields;
use super::filter::{Filter, Planner};
use super::hits::{Found, HitsRequest, SortBy};
use super::query::Query;
use super::results::Results;
use super::show::Shower;
use crate::store::{Segment, Store};

/// A search body.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) query: Query,
    pub(crate) post_filter: Option<Query>,
    pub(crate) hits: HitsRequest,
    pub(crate) aggs: Level,
    pub(crate) track_total: Track,
    pub(crate) timeout: Option<Duration>,
    pub(crate) pit: Option<String>,
}

/// How far hits are counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Track {
    No,
    UpTo(u64),
    All,
}

/// How far hits are counted unless asked otherwise.
const TRACKED: u64 = 10_000;

impl Search {
    pub(crate) fn parse(value: &Value) -> Result<Self> {
        let mut object = match value {
            Value::Null => Object::new("search", empty())?,
            value => Object::new("search", value)?,
        };
        let query = object.take("query").map_or(Ok(Query::All), Query::parse)?;
        let post_filter = object.take("post_filter").map(Query::parse).transpose()?;
        let aggs = object.take("aggs").or_else(|| object.take("aggregations"));
        let aggs = aggs.map_or(Ok(Level::default()), |aggs| aggs::parse::level(aggs, 0))?;
        let track_total = object.take("track_total_hits").map_or(Ok(Track::UpTo(TRACKED)), track)?;
        let timeout = object.text("timeout")?.and_then(|text| date::duration(&text));
        let pit = match object.take("pit") {
            None => None,
            Some(pit) => {
                let mut pit = Object::new("pit", pit)?;
                let id = pit.required_text("id")?;
                pit.ignore(&["keep_alive"]);
                pit.finish()?;
                Some(id)
            }
        };
        for scripted in ["script_fields", "runtime_mappings"] {
            if object.take(scripted).is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty()))
            {
                return Err(EsError::script());
            }
        }
        let hits = HitsRequest::take(&mut object)?;
        for refused in ["collapse", "rescore", "suggest", "knn", "slice", "rank", "retriever"] {
            if object.take(refused).is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty())) {
                return Err(EsError::unsupported(format!("[{refused}]")));
            }
        }
        object.ignore(&["terminate_after", "min_score", "profile", "indices_boost", "stats", "ext"]);
        if let Some((name, _)) = object.rest().first() {
            return Err(EsError::parsing(format!("unknown key [{name}] for a search body")));
        }
        let timeout = timeout.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
        Ok(Self { query, post_filter, hits, aggs, track_total, timeout, pit })
    }
}

pub(crate) fn track(value: &Value) -> Result<Track> {
    Ok(match value {
        Value::Bool(true) => Track::All,
        Value::Bool(false) => Track::No,
        Value::String(text) if text == "true" => Track::All,
        Value::String(text) if text == "false" => Track::No,
        number => match body::whole("track_total_hits", number)? {
            -1 => Track::All,
            count => Track::UpTo(u64::try_from(count).map_err(|_| {
                EsError::illegal("[track_total_hits] parameter must be positive or equals to -1")
            })?),
        },
    })
}

/// How a response is to look, beside what the body says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Form {
    pub(crate) typed_keys: bool,
    pub(crate) total_as_int: bool,
}

/// Runs a search over these segments.
pub(crate) fn run(
    engine: &Engine,
    segments: &[Arc<Segment>],
    search: &Search,
    work: &Work,
    form: Form,
) -> Result<Value> {
    let begun = Instant::now();
    let fields = Fields::of(segments)?;
    let planner = Planner { fields: &fields, now: crate::store::now_millis() };
    let outcome = collect(engine, segments, search, &planner, work)?;
    let shower = Shower { fields: &fields, cache: &engine.store.inner.cache };
    let mut found = outcome.found;
    let total = total(outcome.matched, search.track_total, form);
    found.skip(search.hits.from);
    let hits = shower.hits(&search.hits, &found, total)?;
    let mut response = Map::new();
    response.insert("took".to_owned(), u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).into());
    response.insert("timed_out".to_owned(), false.into());
    let shards = indices(segments).len();
    response.insert(
        "_shards".to_owned(),
        json!({"total": shards, "successful": shards, "skipped": 0, "failed": 0}),
    );
    response.insert("hits".to_owned(), hits);
    // Where no index is meant there is nobody who would answer an aggregation.
    if shards > 0 && !(search.aggs.aggs.is_empty() && search.aggs.pipelines.is_empty()) {
        let renderer = Renderer::new(&planner, &shower, form.typed_keys);
        response
            .insert("aggregations".to_owned(), Value::Object(renderer.level(&search.aggs, &outcome.aggs)?));
    }
    Ok(Value::Object(response))
}

/// How many documents of these segments match.
pub(crate) fn count(store: &Store, segments: &[Arc<Segment>], query: &Query, work: &Work) -> Result<u64> {
    let fields = Fields::of(segments)?;
    let planner = Planner { fields: &fields, now: crate::store::now_millis() };
    let filter = planner.plan(query)?;
    let mut count = 0;
    for segment in segments {
        work.check()?;
        count += match filter.within(segment) {
            Filter::All => u64::from(segment.facts.documents),
            Filter::None => 0,
            filter => filter.run(segment, &store.inner.cache)?.count(),
        };
    }
    Ok(count)
}

/// The names of the indices that segments belong to.
pub(crate) fn indices(segments: &[Arc<Segment>]) -> std::collections::BTreeSet<String> {
    segments.iter().map(|segment| segment.index()).collect()
}

/// What all segments together say.
struct Outcome {
    matched: u64,
    found: Found,
    aggs: Vec<Partial>,
}

fn collect(
    engine: &Engine,
    segments: &[Arc<Segment>],
    search: &Search,
    planner: &Planner<'_>,
    work: &Work,
) -> Result<Outcome> {
    search.hits.check(true)?;
    let filter = planner.plan(&search.query)?;
    let post = search.post_filter.as_ref().map(|query| planner.plan(query)).transpose()?;
    for sort in &search.hits.sort {
        // A field that is nowhere is refused even where no document matches.
        if let SortBy::Field(name) = &sort.by
            && !sort.unmapped
            && !segments.is_empty()
            && planner.fields.find(name).is_none()
        {
            return Err(EsError::shard(
                "query_shard_exception",
                format!("No mapping found for [{name}] in order to sort on"),
            ));
        }
    }
    let next = AtomicUsize::new(0);
    let outcome = Mutex::new(Ok(Outcome { matched: 0, found: search.hits.nothing(), aggs: Vec::new() }));
    let worker = || {
        while let Some(segment) = segments.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = one_segment(engine, segment, search, planner, work, &filter, post.as_ref());
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *outcome, one) {
                (Ok(all), Ok(one)) => absorb(all, one),
                (Ok(_), Err(error)) => *outcome = Err(error),
                (Err(_), _) => {}
            }
            if outcome.is_err() {
                return;
            }
        }
    };
    let documents: u64 = segments.iter().map(|segment| u64::from(segment.facts.documents)).sum();
    let threads =
        std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS).min(segments.len());
    if threads > 1 && documents > WORTH_A_THREAD {
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| {
                scope.spawn(worker);
            });
            worker();
        });
    } else {
        worker();
    }
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn absorb(all: &mut Outcome, one: Outcome) {
    all.matched += one.matched;
    all.found.absorb(one.found);
    if all.aggs.is_empty() {
        all.aggs = one.aggs;
        return;
    }
    for (mine, theirs) in all.aggs.iter_mut().zip(one.aggs) {
        mine.absorb(theirs);
    }
}

fn one_segment(
    engine: &Engine,
    segment: &Arc<Segment>,
    search: &Search,
    planner: &Planner<'_>,
    work: &Work,
    filter: &Filter,
    post: Option<&Filter>,
) -> Result<Outcome> {
    work.check()?;
    let cache = &engine.store.inner.cache;
    let filter = filter.within(segment);
    let global = search.aggs.aggs.iter().any(|agg| matches!(agg.kind, Kind::Global));
    if matches!(filter, Filter::None) && !global {
        return Ok(Outcome { matched: 0, found: search.hits.nothing(), aggs: Vec::new() });
    }
    // What a segment says to the same question never changes; hits are not worth keeping.
    let key = if search.hits.from + search.hits.size == 0 {
        Results::key(segment, &filter, search, post.map(|post| post.within(segment)), planner)?
    } else {
        None
    };
    if let Some((matched, aggs)) = key.and_then(|key| engine.results.find(key)) {
        return Ok(Outcome { matched, found: search.hits.nothing(), aggs });
    }
    let collector = Collector { segment, cache, planner, work };
    let bits = filter.run(segment, cache)?;
    let documents = bits.positions();
    let aggs =
        if search.aggs.aggs.is_empty() { Vec::new() } else { collector.top(&search.aggs, &documents)? };
    let documents = match post {
        None => documents,
        Some(post) => {
            let mut bits = bits;
            bits.and(&post.within(segment).run(segment, cache)?);
            bits.positions()
        }
    };
    let found = search.hits.find(&collector, &documents)?;
    let matched = documents.len() as u64;
    if let Some(key) = key {
        engine.results.keep(key, matched, &aggs);
    }
    Ok(Outcome { matched, found, aggs })
}

fn total(matched: u64, track: Track, form: Form) -> Option<Value> {
    let (value, relation) = match track {
        Track::No => return None,
        Track::UpTo(most) if matched > most => (most, "gte"),
        _ => (matched, "eq"),
    };
    Some(if form.total_as_int { value.into() } else { json!({"value": value, "relation": relation}) })
}

fn empty() -> &'static Value {
    static EMPTY: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
    EMPTY.get_or_init(|| json!({}))
}

/// Threads of one search; others wait for a core anyway.
const MOST_THREADS: usize = 4;
/// Fewer documents than this are not worth starting a thread for.
const WORTH_A_THREAD: u64 = 50_000;
