//! `/es`: the part of Elasticsearch's API that dashboards and clients use, answered from the embedded store.
//!
//! ```text
//! request ─► routes ─► search body ─► query, aggs (types) ─► filter, collect over segments ─► hits, render ─► JSON
//! ```
//! A search runs on a blocking thread, a few at a time; it ends at its deadline or when its client goes away.

mod routes;

mod admission;

mod params;

mod indices;

mod search;

mod body;

mod query;

mod query_string;

mod simple_query;

mod fields;

mod filter;

mod filter_run;

mod patterns;

mod addresses;

mod date;

mod aggs;

mod hits;

mod ranks;

mod show;

mod results;

mod contexts;

mod describe;

mod error;

pub mod exercise;

#[cfg(test)]
mod tests;

// What the live view needs to ask the same of a document that is in no store yet.
pub(crate) use addresses::{address_number, network};
pub(crate) use body::scalar_text;
pub(crate) use error::EsError;
pub(crate) use filter::minimum;
pub(crate) use patterns::{from_lucene, from_wildcard, regex};
pub(crate) use query::{Query, Range};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use self::admission::Admission;
use self::aggs::work::Work;
use self::contexts::Contexts;
use self::results::Results;
use crate::store::Store;

/// The API of this store, to be mounted under `/es` (with `nest_service`, so that `/es/` is its root too).
pub fn router(store: Arc<Store>) -> Router {
    serving(Arc::new(Engine { store, contexts: Contexts::default(), results: Results::default() }))
}

fn serving(engine: Arc<Engine>) -> Router {
    Router::new().fallback(serve).with_state(Arc::new(Shared { engine, admission: Admission::new() }))
}

/// What answers requests.
pub(crate) struct Engine {
    store: Arc<Store>,
    contexts: Contexts,
    results: Results,
}

/// What all requests share.
struct Shared {
    engine: Arc<Engine>,
    admission: Admission,
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match answer(&shared, &parts, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch"));
    if let (Some(media), true) = (compatible(&parts.headers), is_json(headers)) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    response
}

async fn answer(
    shared: &Arc<Shared>,
    parts: &axum::http::request::Parts,
    body: Body,
) -> error::Result<Response> {
    let body = axum::body::to_bytes(body, MOST_BODY).await.map_err(|error| {
        EsError::new(
            413,
            "illegal_argument_exception",
            format!("the body cannot be read or is longer than {MOST_BODY} octets: {error}"),
        )
    })?;
    let params = params::Params::of(&parts.uri)?;
    let call =
        routes::Call { method: parts.method.clone(), path: params::path(parts.uri.path()), params, body };
    let begun = Instant::now();
    let deadline = begun + call.params.duration("timeout").unwrap_or(DEADLINE).min(DEADLINE);

    let permit = shared.admission.enter(deadline).await?;
    // Dropped with this future when the client goes away; the thread then stops at its next check.
    let gone = GoneWhenDropped(Arc::new(AtomicBool::new(false)));
    let work = Work { deadline, cancelled: Arc::clone(&gone.0), buckets: AtomicUsize::new(0) };
    let engine = Arc::clone(&shared.engine);
    let answered = tokio::task::spawn_blocking(move || {
        let _running = permit;
        routes::answer(&engine, &call, &work).map(IntoResponse::into_response)
    });
    let answered = answered.await.map_err(|error| {
        tracing::error!(%error, "a query panicked; please report the request");
        EsError::new(500, "exception", "the query failed inside the store; its log has more")
    })?;
    drop(gone);
    answered
}

struct GoneWhenDropped(Arc<AtomicBool>);

impl Drop for GoneWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The media type that an official client asks for, to be sent back.
fn compatible(headers: &HeaderMap) -> Option<HeaderValue> {
    let accept = headers.get(header::ACCEPT)?.to_str().ok()?;
    let version =
        accept.split("compatible-with=").nth(1)?.chars().next().filter(|c| ('7'..='9').contains(c))?;
    HeaderValue::from_str(&format!("application/vnd.elasticsearch+json;compatible-with={version}")).ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"application/json"))
}

/// Longest request body: about a thousand times a big dashboard's.
const MOST_BODY: usize = 16 << 20;
/// Longest time of one request.
const DEADLINE: Duration = Duration::from_secs(30);
