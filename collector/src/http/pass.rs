//! `/es` where the store is Elasticsearch: an allow-list of reading requests is passed on to it.
//!
//! The web page has no login of its own, and the collector's credentials may write: so only requests that read the
//! flow indices go through, whatever else the server would take.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::sink::elasticsearch::Server;

/// The router to be mounted under `/es`.
pub(super) fn router(server: Arc<Server>) -> Router {
    Router::new().fallback(pass).with_state(server)
}

async fn pass(State(server): State<Arc<Server>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let Some(method) = allowed(&method, uri.path()) else {
        let reason = format!(
            "{method} {} is not passed on to the store; only requests that read flows are",
            uri.path()
        );
        return fault(StatusCode::BAD_REQUEST, "illegal_argument_exception", &reason);
    };
    let path = uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/');
    let body = Some(body).filter(|body| !body.is_empty());
    let answer = if uri.path().ends_with("/_msearch") || uri.path() == "/_msearch" {
        server.client.send_lines(path, body.unwrap_or_default()).await
    } else {
        server.client.send(method, path, body).await
    };
    match answer {
        Ok(answer) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let headers = [(header::CONTENT_TYPE, answer.content_type)];
            (status, headers, answer.body).into_response()
        }
        Err(error) => fault(StatusCode::BAD_GATEWAY, "connect_transport_exception", &format!("{error:#}")),
    }
}

/// The method to pass a request on with, if it may be.
fn allowed(method: &Method, path: &str) -> Option<elasticsearch::http::Method> {
    use elasticsearch::http::Method as Passed;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let reads = match parts.as_slice() {
        [""] => *method == Method::GET,
        ["_msearch"] => *method == Method::POST || *method == Method::GET,
        [index, "_search" | "_msearch" | "_count" | "_field_caps"] => is_flow_index(index),
        [index, "_mapping"] => *method == Method::GET && is_flow_index(index),
        ["_cat", "indices"] => *method == Method::GET,
        ["_cat", "indices", index] => *method == Method::GET && is_flow_index(index),
        _ => false,
    };
    match *method {
        Method::GET if reads => Some(Passed::Get),
        Method::POST if reads => Some(Passed::Post),
        _ => None,
    }
}

/// Index names and patterns that cannot reach anything but flows.
fn is_flow_index(index: &str) -> bool {
    let flow = |name: &str| name.starts_with("flow") && !name.contains('%');
    !index.is_empty() && index.split(',').all(flow)
}

/// An error in Elasticsearch's shape.
fn fault(status: StatusCode, kind: &str, reason: &str) -> Response {
    let error = json!({ "type": kind, "reason": reason });
    let body = json!({
        "error": { "root_cause": [error], "type": kind, "reason": reason },
        "status": status.as_u16(),
    });
    (status, axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_of_flows_passes() {
        for (method, path, passes) in [
            (Method::GET, "/", true),
            (Method::POST, "/flow-*/_search", true),
            (Method::GET, "/flow-2026.11.22/_search", true),
            (Method::POST, "/flow-*/_msearch", true),
            (Method::POST, "/_msearch", true),
            (Method::GET, "/flow-*/_field_caps", true),
            (Method::GET, "/flow-*/_mapping", true),
            (Method::GET, "/_cat/indices/flow-*", true),
            (Method::PUT, "/flow-2026.11.22", false),
            (Method::DELETE, "/flow-*", false),
            (Method::POST, "/flow-*/_delete_by_query", false),
            (Method::POST, "/_bulk", false),
            (Method::GET, "/.kibana/_search", false),
            (Method::POST, "/flow-*,.security/_search", false),
            (Method::POST, "/flow-*%2C.security/_search", false),
            (Method::POST, "/_search", false),
            (Method::PUT, "/flow-*/_mapping", false),
            (Method::GET, "/_cluster/settings", false),
        ] {
            assert_eq!(allowed(&method, path).is_some(), passes, "{method} {path}");
        }
    }
}
