//! What the collector serves: health, metrics, `/status`, the query API under `/es`, and the web page.

mod pass;
mod status;

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tracing::info;

use podflow_daemon::http::SharedRegistry;
use podflow_daemon::readiness::Readiness;

use crate::sink::Sink;

pub(crate) use status::Status;

/// All pages.
pub(crate) fn router(readiness: Readiness, registry: SharedRegistry, status: Status, sink: &Sink) -> Router {
    let status = Arc::new(status);
    let query = match sink {
        Sink::Embedded(store) => crate::es::router(Arc::clone(store)),
        Sink::Elasticsearch(server) => pass::router(Arc::clone(server)),
    };
    podflow_daemon::http::router(readiness, registry)
        .route("/status", get(async move || axum::Json(status.json())))
        // As a service, so that `/es/`, which clients ask for, is its root too.
        .nest_service("/es", query)
        .merge(crate::page::router())
}

/// How long answers that are under way may take after `shutdown`.
const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_secs(2);

/// Serves until `shutdown`, and [`LAST_ANSWERS`] longer at most.
///
/// # Errors
/// When the runtime does not take the socket.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> Result<()> {
    let address = listener.local_addr().context("asking for a listener's address")?;
    let listener = tokio::net::TcpListener::from_std(listener).context("serving the web page")?;
    info!(address = %address, "web page, /es, /status, /metrics on http://{address}");
    // Idle connections are closed at once, so that nothing holds the store when this returns; a browser that keeps
    // a request open must not keep the process.
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        result = served.into_future() => result.context("serving the web page"),
        () = async { shutdown.cancelled().await; tokio::time::sleep(LAST_ANSWERS).await } => Ok(()),
    }
}
