//! The pages that every process serves: `/healthz`, `/readyz` and `/metrics`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::readiness::Readiness;

/// A process's metrics registry, shared between the parts that register and the page that shows.
pub type SharedRegistry = Arc<Mutex<Registry>>;

/// `/healthz` (200 while the process serves), `/readyz` (200, or 503 with the parts still awaited, then notes, one a line)
/// and `/metrics` (OpenMetrics text).
pub fn router(readiness: Readiness, registry: SharedRegistry) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || ready(&readiness)))
        .route("/metrics", get(async move || metrics(&registry)))
}

fn ready(readiness: &Readiness) -> (StatusCode, String) {
    let (awaited, notes) = (readiness.awaited(), readiness.notes());
    let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
    if awaited.is_empty() {
        return (StatusCode::OK, format!("ready\n{notes}"));
    }
    let parts: String = awaited.iter().map(|part| format!("waiting for {part}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, parts + &notes)
}

fn metrics(registry: &SharedRegistry) -> impl IntoResponse + use<> {
    let mut text = String::new();
    match encode(&mut text, &registry.lock().unwrap_or_else(PoisonError::into_inner)) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, OPENMETRICS)], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string())
        }
    }
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
