//! `GET /api/flows?query={…}`: an event with the flows of the last moment, a few times a second.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query as Parameters, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::Stream;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::document::json;
use crate::document::model::Document;
use crate::es::{EsError, Query};

use super::Tap;
use super::choose::{self, Test};

/// The live view's route. Streams end when `ending` is cancelled.
pub(crate) fn router(tap: Tap, ending: CancellationToken) -> Router {
    Router::new().route("/api/flows", get(watch)).with_state((tap, ending))
}

/// What may be asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// A query as `_search` takes it; all flows without it.
    query: Option<String>,
}

async fn watch(
    State((tap, ending)): State<(Tap, CancellationToken)>,
    Parameters(asked): Parameters<Asked>,
) -> Response {
    let test =
        match asked.query.as_deref().map_or(Ok(Query::All), parse).and_then(|query| choose::test(&query)) {
            Ok(test) => test,
            Err(error) => return error.into_response(),
        };
    let Ok(permit) = Arc::clone(&tap.watchers).try_acquire_owned() else {
        let reason = "as many live views as there may be are open; close one and try again";
        return (StatusCode::SERVICE_UNAVAILABLE, reason).into_response();
    };
    let watcher = Watcher {
        ring: tap.ring.subscribe(),
        passed_before: tap.passed_by.get(),
        tap,
        test,
        ending,
        _permit: permit,
    };
    Sse::new(events(watcher)).keep_alive(KeepAlive::default()).into_response()
}

fn parse(text: &str) -> Result<Query, EsError> {
    let body: Json = serde_json::from_str(text)
        .map_err(|error| EsError::parsing(format!("the query is not JSON: {error}")))?;
    Query::parse(&body)
}

struct Watcher {
    tap: Tap,
    ring: broadcast::Receiver<Arc<Document<'static>>>,
    test: Test,
    /// What had passed by unseen when it was said last.
    passed_before: u64,
    ending: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// Flows of one moment.
#[derive(Default)]
struct Moment {
    flows: Vec<Arc<Document<'static>>>,
    /// Wanted, and not among `flows`.
    missed: u64,
}

fn events(watcher: Watcher) -> impl Stream<Item = Result<Event, Infallible>> {
    // The first event says that the stream is open, so that a watcher knows from when on nothing is left out unsaid.
    futures::stream::unfold((watcher, true), |(mut watcher, first)| async move {
        let moment = if first { Moment::default() } else { watcher.next().await? };
        let event = watcher.event(&moment);
        Some((Ok(event), (watcher, false)))
    })
}

impl Watcher {
    /// What came until there was something and a moment was over; `None` at the end.
    async fn next(&mut self) -> Option<Moment> {
        let mut moment = Moment::default();
        let mut due: Option<Instant> = None;
        loop {
            let over = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A flood may not keep a moment from ending.
                biased;
                () = self.ending.cancelled() => return None,
                () = over => return Some(moment),
                came = self.ring.recv() => match came {
                    Ok(document) if !(self.test)(&document) => {}
                    Ok(document) if moment.flows.len() < MOST_IN_A_MOMENT => moment.flows.push(document),
                    Ok(_) => moment.missed += 1,
                    Err(broadcast::error::RecvError::Lagged(count)) => moment.missed += count,
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
            }
            if moment.missed > 0 || !moment.flows.is_empty() {
                due.get_or_insert_with(|| Instant::now() + MOMENT);
            }
        }
    }

    fn event(&mut self, moment: &Moment) -> Event {
        let passed = self.tap.passed_by.get();
        let passed_by = passed - std::mem::replace(&mut self.passed_before, passed);
        self.tap.missed.inc_by(moment.missed);
        let mut text = Vec::with_capacity(64 + 1200 * moment.flows.len());
        text.extend_from_slice(br#"{"flows":["#);
        for (place, document) in moment.flows.iter().enumerate() {
            if place > 0 {
                text.push(b',');
            }
            json::write(document, &mut text);
        }
        text.extend_from_slice(
            format!(r#"],"missed":{},"passed_by":{passed_by}}}"#, moment.missed).as_bytes(),
        );
        // Our JSON escapes line ends, which would break the event.
        Event::default().event("flows").data(String::from_utf8_lossy(&text))
    }
}

/// How long flows are gathered for an event: what an eye can follow.
const MOMENT: Duration = Duration::from_millis(400);

/// Most flows of an event; a table that scrolls faster nobody reads.
const MOST_IN_A_MOMENT: usize = 100;

#[cfg(test)]
mod tests {
    use axum::body::{Body, BodyDataStream};
    use axum::http::Request;
    use futures::StreamExt as _;
    use prometheus_client::registry::Registry;
    use tower::ServiceExt as _;

    use super::super::MOST_WATCHERS;
    use super::super::tests::document;
    use super::*;

    struct Fixture {
        tap: Tap,
        ending: CancellationToken,
    }

    impl Fixture {
        fn new() -> Self {
            Self { tap: Tap::register(&mut Registry::default()), ending: CancellationToken::new() }
        }

        async fn ask(&self, path: &str) -> Response {
            let request = Request::get(path).body(Body::empty()).unwrap();
            router(self.tap.clone(), self.ending.clone()).oneshot(request).await.unwrap()
        }

        async fn watch(&self, path: &str) -> BodyDataStream {
            let response = self.ask(path).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            response.into_body().into_data_stream()
        }
    }

    /// The next event's data.
    async fn event(stream: &mut BodyDataStream) -> Option<Json> {
        loop {
            let text = String::from_utf8(stream.next().await?.unwrap().to_vec()).unwrap();
            if let Some(data) = text.strip_prefix("event: flows\ndata: ") {
                return Some(serde_json::from_str(data.trim_end()).unwrap());
            }
        }
    }

    fn names(event: &Json) -> Vec<&str> {
        let flows = event["flows"].as_array().unwrap();
        flows.iter().map(|flow| flow["ipfix"]["sourcePodName"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_watcher_gets_what_its_query_chooses_as_documents() {
        let fixture = Fixture::new();
        let query = "%7B%22prefix%22:%7B%22ipfix.sourcePodName%22:%22cart%22%7D%7D";
        let mut stream = fixture.watch(&format!("/api/flows?query={query}")).await;
        assert!(names(&event(&mut stream).await.unwrap()).is_empty());
        for name in ["cart-1", "ledger", "cart-\r\n2"] {
            fixture.tap.offer(&document(name, 1), 0);
        }
        let mut found = Vec::new();
        while found.len() < 2 {
            let event = event(&mut stream).await.unwrap();
            assert_eq!((&event["missed"], &event["passed_by"]), (&0.into(), &0.into()));
            found.extend(names(&event).into_iter().map(str::to_owned));
        }
        assert_eq!(found, ["cart-1", "cart-\r\n2"]);
        fixture.ending.cancel();
        assert!(event(&mut stream).await.is_none(), "the end of the collector ends the stream");
        drop(stream);
        assert!(!fixture.tap.is_watched());
    }

    #[tokio::test]
    async fn what_a_watcher_does_not_get_is_said() {
        let fixture = Fixture::new();
        let mut stream = fixture.watch("/api/flows").await;
        event(&mut stream).await.unwrap();
        // Nothing runs in between: all of it waits when the watcher looks.
        let offered = super::super::RING as u64 + 500;
        for _ in 0..offered {
            fixture.tap.offer(&document("cart", 1), 0);
        }
        let (mut shown, mut missed) = (0, 0);
        while shown + missed < offered {
            let event = event(&mut stream).await.unwrap();
            shown += event["flows"].as_array().unwrap().len() as u64;
            missed += event["missed"].as_u64().unwrap();
        }
        assert_eq!((shown + missed, missed), (offered, fixture.tap.missed.get()));
        assert!(missed >= 500, "{missed}");
    }

    #[tokio::test]
    async fn so_many_watch_at_once_and_no_more() {
        let fixture = Fixture::new();
        let mut open = Vec::new();
        for _ in 0..MOST_WATCHERS {
            open.push(fixture.watch("/api/flows").await);
        }
        assert_eq!(fixture.ask("/api/flows").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        open.pop();
        assert_eq!(fixture.ask("/api/flows").await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_query_that_cannot_be_asked_is_refused_in_elasticsearchs_shape() {
        let fixture = Fixture::new();
        for (query, wanted) in [
            ("nonsense", "not JSON"),
            ("%7B%22script%22:%7B%7D%7D", "script"),
            ("%7B%22ids%22:%7B%22values%22:%5B%5D%7D%7D", "no ids"),
        ] {
            let response = fixture.ask(&format!("/api/flows?query={query}")).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let body: Json = serde_json::from_slice(&body).unwrap();
            let reason = body["error"]["root_cause"][0]["reason"].as_str().unwrap();
            assert!(reason.contains(wanted), "{reason}");
        }
    }
}
