//! Which call does what.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Engine;
use super::aggs::work::Work;
use super::body::{self, Object};
use super::date;
use super::describe;
use super::error::{EsError, Result};
use super::hits::{self, MOST_HITS, Missing, Sort, SortBy};
use super::indices::{self, Lenience};
use super::params::{self, Params};
use super::query::Query;
use super::query_string;
use super::search::{self, Form, Search, Track};
use crate::store::{Segment, Store};

/// A request, read.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: Vec<String>,
    pub(crate) params: Params,
    pub(crate) body: Bytes,
}

/// Parameters of `_search`.
const SEARCH_PARAMS: [&str; 34] = [
    "q",
    "size",
    "from",
    "sort",
    "_source",
    "_source_includes",
    "_source_excludes",
    "track_total_hits",
    "scroll",
    "ignore_unavailable",
    "allow_no_indices",
    "expand_wildcards",
    "rest_total_hits_as_int",
    "typed_keys",
    "request_cache",
    "preference",
    "routing",
    "ccs_minimize_roundtrips",
    "batched_reduce_size",
    "search_type",
    "timeout",
    "version",
    "explain",
    "default_operator",
    "df",
    "analyzer",
    "analyze_wildcard",
    "lenient",
    "max_concurrent_shard_requests",
    "pre_filter_shard_size",
    "ignore_throttled",
    "stored_fields",
    "docvalue_fields",
    "allow_partial_search_results",
];
/// Most searches of one `_msearch`.
const MOST_SEARCHES: usize = 200;

/// Answers a request.
pub(crate) fn answer(engine: &Engine, call: &Call, work: &Work) -> Result<Response> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let reading = matches!(call.method, Method::GET | Method::HEAD);
    let asking = reading || call.method == Method::POST;
    let shown = match path.as_slice() {
        [] if reading => describe::root(),
        ["_search"] | [_, "_search"] if asking => search_call(engine, call, work, index(&path))?,
        ["_search", "scroll"] | ["_search", "scroll", _] if asking => scroll(engine, call, work)?,
        ["_search", "scroll"] | ["_search", "scroll", _] if call.method == Method::DELETE => {
            close_scroll(engine, call)?
        }
        ["_msearch"] | [_, "_msearch"] if asking => msearch(engine, call, work, index(&path))?,
        ["_count"] | [_, "_count"] if asking => count(engine, call, work, index(&path))?,
        [name, "_pit"] if call.method == Method::POST => {
            let segments = segments(&engine.store, name, call.params.lenience()?)?;
            let keep = call.params.duration("keep_alive").unwrap_or(KEEP);
            json!({"id": engine.contexts.open(segments, None, keep)?, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}})
        }
        ["_pit"] if call.method == Method::DELETE => {
            let body = json_body(&call.body)?;
            let id = Object::new("pit", &body)?.required_text("id")?;
            let freed = engine.contexts.close(Some(&[id]));
            json!({"succeeded": freed > 0, "num_freed": freed})
        }
        ["_mapping" | "_mappings"] if reading => describe::mapping(&indices::all(&engine.store))?,
        [name, "_mapping" | "_mappings"] if reading => {
            describe::mapping(&indices::resolve(&engine.store, name, call.params.lenience()?)?)?
        }
        ["_field_caps"] | [_, "_field_caps"] if asking => field_caps(engine, call, index(&path))?,
        ["_resolve", "index", name] if asking => {
            describe::resolve(&indices::resolve(&engine.store, name, LENIENT)?)
        }
        ["_cat", "indices"] if reading => return cat(engine, call, "*"),
        ["_cat", "indices", name] if reading => return cat(engine, call, name),
        ["_cluster", "health"] | ["_cluster", "health", _] if reading => health(engine),
        [name] if call.method == Method::HEAD && !name.starts_with('_') => {
            indices::resolve(&engine.store, name, Lenience { allow_none: false, ..Lenience::default() })?;
            return Ok(StatusCode::OK.into_response());
        }
        [name] if reading && !name.starts_with('_') => {
            describe::mapping(&indices::resolve(&engine.store, name, call.params.lenience()?)?)?
        }
        _ => {
            return Err(EsError::illegal(format!(
                "no handler found for uri [/{}] and method [{}] in Podflow's embedded store",
                path.join("/"),
                call.method
            )));
        }
    };
    let shown = match call.params.text("filter_path") {
        Some(patterns) => params::filter_path(shown, patterns),
        None => shown,
    };
    if call.params.truth("pretty")?.unwrap_or(false) {
        let text = serde_json::to_string_pretty(&shown).unwrap_or_default();
        return Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response());
    }
    Ok(Json(shown).into_response())
}

fn search_call(engine: &Engine, call: &Call, work: &Work, index: &str) -> Result<Value> {
    call.params.check(&call.path.join("/"), &SEARCH_PARAMS)?;
    let body = json_body(&call.body)?;
    let mut search = Search::parse(&body)?;
    apply_params(&mut search, &call.params)?;
    let form = Form {
        typed_keys: call.params.truth("typed_keys")?.unwrap_or(false),
        total_as_int: call.params.truth("rest_total_hits_as_int")?.unwrap_or(false),
    };
    if let Some(keep) = call.params.text("scroll") {
        let keep =
            date::duration(keep).and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
        let keep =
            keep.ok_or_else(|| EsError::illegal("failed to parse setting [scroll] as a time value"))?;
        return begin_scroll(
            engine,
            segments(&engine.store, index, call.params.lenience()?)?,
            search,
            keep,
            work,
            form,
        );
    }
    one(engine, search, work, form, || segments(&engine.store, index, call.params.lenience()?))
}

/// Runs one search over a point in time or over these segments.
fn one(
    engine: &Engine,
    mut search: Search,
    work: &Work,
    form: Form,
    segments: impl FnOnce() -> Result<Vec<Arc<Segment>>>,
) -> Result<Value> {
    let mut work = Work { buckets: 0.into(), cancelled: Arc::clone(&work.cancelled), ..*work };
    if let Some(timeout) = search.timeout {
        work.deadline = work.deadline.min(std::time::Instant::now() + timeout);
    }
    let Some(id) = search.pit.clone() else {
        return search::run(engine, &segments()?, &search, &work, form);
    };
    let context = engine.contexts.find(&id, Some(KEEP))?;
    // A page of a point in time goes on where the last one ended, so the order must be total.
    let after = search.hits.search_after.as_ref().map(Vec::len);
    let placed = search.hits.sort.iter().any(|sort| sort.by == SortBy::Place);
    if !placed && after != Some(search.hits.sort.len()) && !search.hits.sort.is_empty() {
        search.hits.sort.push(by_place());
    }
    let mut shown = search::run(engine, &context.segments, &search, &work, form)?;
    if let Some(map) = shown.as_object_mut() {
        map.insert("pit_id".to_owned(), id.into());
    }
    Ok(shown)
}

fn begin_scroll(
    engine: &Engine,
    segments: Vec<Arc<Segment>>,
    mut search: Search,
    keep: Duration,
    work: &Work,
    form: Form,
) -> Result<Value> {
    if search.hits.from > 0 {
        return Err(EsError::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: using [from] is not allowed in a scroll context;",
        ));
    }
    if search.hits.size == 0 {
        return Err(EsError::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: [size] cannot be [0] in a scroll context;",
        ));
    }
    if !search.hits.sort.iter().any(|sort| sort.by == SortBy::Place) {
        search.hits.sort.push(by_place());
    }
    search.track_total = Track::All;
    let first = search.clone();
    search.aggs = super::aggs::Level::default();
    let id = engine.contexts.open(segments, Some((Box::new(search), None)), keep)?;
    page(engine, &id, &first, work, form)
}

fn scroll(engine: &Engine, call: &Call, work: &Work) -> Result<Value> {
    let body = json_body(&call.body)?;
    let mut object = Object::new("scroll", &body)?;
    let id = match (object.text("scroll_id")?, call.params.text("scroll_id"), call.path.get(2)) {
        (Some(id), ..) => id,
        (None, Some(id), _) => id.to_owned(),
        (None, None, Some(id)) => id.clone(),
        _ => {
            return Err(EsError::new(
                400,
                "action_request_validation_exception",
                "Validation Failed: 1: scrollId is missing;",
            ));
        }
    };
    let keep = object.text("scroll")?.or_else(|| call.params.text("scroll").map(str::to_owned));
    let keep = keep.and_then(|keep| date::duration(&keep)).and_then(|millis| u64::try_from(millis).ok());
    let context = engine.contexts.find(&id, keep.map(Duration::from_millis))?;
    let Some((mut search, after)) = context.scroll else {
        return Err(EsError::illegal("this id is a point in time, not a scroll"));
    };
    search.hits.search_after = after;
    let form = Form {
        total_as_int: call.params.truth("rest_total_hits_as_int")?.unwrap_or(false),
        ..Form::default()
    };
    page(engine, &id, &search, work, form)
}

fn page(engine: &Engine, id: &str, search: &Search, work: &Work, form: Form) -> Result<Value> {
    let context = engine.contexts.find(id, None)?;
    let mut shown = search::run(engine, &context.segments, search, work, form)?;
    let last = shown.pointer("/hits/hits").and_then(Value::as_array).and_then(|hits| hits.last());
    if let Some(Value::Array(after)) = last.and_then(|hit| hit.get("sort")) {
        engine.contexts.advance(id, after.clone());
    }
    if let Some(map) = shown.as_object_mut() {
        map.insert("_scroll_id".to_owned(), id.into());
    }
    Ok(shown)
}

fn close_scroll(engine: &Engine, call: &Call) -> Result<Value> {
    let body = json_body(&call.body)?;
    let listed = body.get("scroll_id").map(body::one_or_many).unwrap_or_default();
    let mut ids: Vec<String> = listed.iter().filter_map(body::scalar_text).collect();
    ids.extend(call.path.get(2).into_iter().flat_map(|ids| ids.split(',')).map(str::to_owned));
    let all = ids.iter().any(|id| id == "_all");
    let freed = engine.contexts.close(if all { None } else { Some(&ids) });
    Ok(json!({"succeeded": true, "num_freed": freed}))
}

fn msearch(engine: &Engine, call: &Call, work: &Work, index: &str) -> Result<Value> {
    let form = Form {
        typed_keys: call.params.truth("typed_keys")?.unwrap_or(false),
        total_as_int: call.params.truth("rest_total_hits_as_int")?.unwrap_or(false),
    };
    let lines: Vec<&[u8]> = call.body.split(|octet| *octet == b'\n').collect();
    let lines: Vec<&[u8]> = lines.strip_suffix(&[&[] as &[u8]]).unwrap_or(&lines).to_vec();
    if lines.is_empty() || lines.len() % 2 == 1 && lines.len() > 1 || lines.len() / 2 > MOST_SEARCHES {
        return Err(EsError::new(
            400,
            "action_request_validation_exception",
            format!(
                "Validation Failed: 1: a header and a body line are expected for each of at most {MOST_SEARCHES} searches;"
            ),
        ));
    }
    let mut responses = Vec::new();
    let begun = std::time::Instant::now();
    for pair in lines.chunks(2) {
        let [header, body] = pair else { continue };
        let header = json_body(header)?;
        let mut object = Object::new("header", &header)?;
        let named = object.take("index").or_else(|| object.take("indices")).map(|names| {
            body::one_or_many(names).iter().filter_map(body::scalar_text).collect::<Vec<_>>().join(",")
        });
        let named = named.unwrap_or_else(|| index.to_owned());
        let lenience = Lenience {
            ignore_unavailable: object.truth("ignore_unavailable")?.unwrap_or(false),
            allow_none: object.truth("allow_no_indices")?.unwrap_or(true),
        };
        // A body that cannot be read fails the whole request, one that cannot be answered only its own search.
        let search = Search::parse(&json_body(body)?)?;
        let answered = one(engine, search, work, form, || segments(&engine.store, &named, lenience));
        responses.push(match answered {
            Ok(mut shown) => {
                if let Some(map) = shown.as_object_mut() {
                    map.insert("status".to_owned(), 200.into());
                }
                shown
            }
            Err(error) => error.body(),
        });
    }
    Ok(
        json!({"took": u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), "responses": responses}),
    )
}

fn count(engine: &Engine, call: &Call, work: &Work, index: &str) -> Result<Value> {
    let body = json_body(&call.body)?;
    let mut object = Object::new("count", &body)?;
    let mut query = object.take("query").map_or(Ok(Query::All), Query::parse)?;
    if let Some((name, _)) = object.rest().first() {
        return Err(EsError::parsing(format!("request does not support [{name}]")));
    }
    if let Some(text) = call.params.text("q") {
        query = query_string::parse_text(text)?;
    }
    let segments = segments(&engine.store, index, call.params.lenience()?)?;
    let shards = search::indices(&segments).len();
    let count = search::count(&engine.store, &segments, &query, work)?;
    Ok(json!({"count": count, "_shards": {"total": shards, "successful": shards, "skipped": 0, "failed": 0}}))
}

fn field_caps(engine: &Engine, call: &Call, index: &str) -> Result<Value> {
    let body = json_body(&call.body)?;
    let listed = body.get("fields").map(body::one_or_many).unwrap_or_default();
    let mut patterns: Vec<String> = listed.iter().filter_map(body::scalar_text).collect();
    patterns
        .extend(call.params.text("fields").into_iter().flat_map(|list| list.split(',')).map(str::to_owned));
    if patterns.is_empty() {
        return Err(EsError::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: no fields specified;",
        ));
    }
    describe::field_caps(&indices::resolve(&engine.store, index, call.params.lenience()?)?, &patterns)
}

fn cat(engine: &Engine, call: &Call, name: &str) -> Result<Response> {
    let found = indices::resolve(&engine.store, name, call.params.lenience()?)?;
    let mut rows = describe::cat(&found, call.params.text("bytes").is_some());
    let wanted: Option<Vec<&str>> = call.params.text("h").map(|list| list.split(',').collect());
    if let Some(wanted) = &wanted {
        for row in &mut rows {
            let picked =
                wanted.iter().filter_map(|name| row.iter().find(|(column, _)| column == name).cloned());
            *row = picked.collect();
        }
    }
    if call.params.text("format") == Some("json") {
        let rows = rows.into_iter().map(|row| {
            row.into_iter()
                .map(|(name, value)| (name.to_owned(), Value::String(value)))
                .collect::<serde_json::Map<_, _>>()
        });
        return Ok(Json(rows.map(Value::Object).collect::<Vec<_>>()).into_response());
    }
    if call.params.truth("v")?.unwrap_or(false)
        && let Some(first) = rows.first()
    {
        let head = first.iter().map(|(name, _)| (*name, (*name).to_owned())).collect();
        rows.insert(0, head);
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        rows.iter().filter_map(|row| row.get(at)).map(|(_, value)| value.len()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|((_, value), width)| format!("{value:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join(" ").trim_end());
        text.push('\n');
    }
    Ok(text.into_response())
}

fn health(engine: &Engine) -> Value {
    let indices = indices::all(&engine.store).len();
    json!({
        "cluster_name": "podflow", "status": "green", "timed_out": false, "number_of_nodes": 1,
        "number_of_data_nodes": 1, "active_primary_shards": indices, "active_shards": indices, "relocating_shards": 0,
        "initializing_shards": 0, "unassigned_shards": 0, "active_shards_percent_as_number": 100.0
    })
}

/// What the URL says beside the body; it wins.
fn apply_params(search: &mut Search, params: &Params) -> Result<()> {
    if let Some(text) = params.text("q") {
        let mut options = json!({"query": text});
        for (name, key) in
            [("default_operator", "default_operator"), ("df", "default_field"), ("lenient", "lenient")]
        {
            if let (Some(value), Some(map)) = (params.value(name), options.as_object_mut()) {
                map.insert(key.to_owned(), value);
            }
        }
        search.query = query_string::parse(&options)?;
    }
    let count = |name: &str| -> Result<Option<usize>> {
        let Some(value) = params.value(name) else { return Ok(None) };
        let number = body::whole(name, &value)?;
        usize::try_from(number)
            .map(Some)
            .map_err(|_| EsError::illegal(format!("[{name}] parameter cannot be negative, found [{number}]")))
    };
    if let Some(size) = count("size")? {
        search.hits.size = size;
    }
    if let Some(from) = count("from")? {
        search.hits.from = from;
    }
    if let Some(text) = params.text("sort") {
        search.hits.sort = hits::sorts(&Value::Array(text.split(',').map(Value::from).collect()))?;
    }
    if let Some(value) = params.value("track_total_hits") {
        search.track_total = search::track(&value)?;
    }
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    match params.text("_source") {
        None => {}
        Some("true") => search.hits.source.off = false,
        Some("false") => search.hits.source.off = true,
        Some(names) => search.hits.source.includes = list(names),
    }
    if let Some(names) = params.text("_source_includes") {
        search.hits.source.includes = list(names);
    }
    if let Some(names) = params.text("_source_excludes") {
        search.hits.source.excludes = list(names);
    }
    if params.truth("rest_total_hits_as_int")?.unwrap_or(false)
        && matches!(search.track_total, Track::UpTo(_))
    {
        search.track_total = Track::All;
    }
    search.hits.size = search.hits.size.min(MOST_HITS * 2);
    Ok(())
}

fn segments(store: &Store, index: &str, lenience: Lenience) -> Result<Vec<Arc<Segment>>> {
    Ok(indices::resolve(store, index, lenience)?.into_values().flatten().collect())
}

/// The index of a path such as `/flow-*/_search`.
fn index<'p>(path: &[&'p str]) -> &'p str {
    match path {
        [name, _, ..] => name,
        _ => "*",
    }
}

fn json_body(body: &[u8]) -> Result<Value> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| {
        let kind =
            if error.is_syntax() || error.is_eof() { "json_parse_exception" } else { "parsing_exception" };
        EsError::new(400, kind, error.to_string())
    })
}

fn by_place() -> Sort {
    Sort { by: SortBy::Place, ascending: true, missing: Missing::Last, format: None, unmapped: false }
}

/// How long a point in time is kept where its client does not say.
const KEEP: Duration = Duration::from_mins(5);
const LENIENT: Lenience = Lenience { ignore_unavailable: true, allow_none: true };
