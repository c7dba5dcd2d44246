//! What went wrong, in Elasticsearch's words: its status codes, its `error.type`s and the shape of its bodies.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal or failure of one request.
#[derive(Clone, Debug)]
pub(crate) struct EsError {
    /// HTTP status.
    pub(crate) status: u16,
    /// Elasticsearch's `error.type` of the cause.
    pub(crate) kind: &'static str,
    /// One sentence.
    pub(crate) reason: String,
    /// Whether Elasticsearch finds it on the shards, and so wraps it in `search_phase_execution_exception`.
    pub(crate) on_shards: bool,
}

pub(crate) type Result<T> = std::result::Result<T, EsError>;

impl EsError {
    pub(crate) fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status, kind, reason: reason.into(), on_shards: false }
    }

    /// The body's form is wrong.
    pub(crate) fn parsing(reason: impl Into<String>) -> Self {
        Self::new(400, "parsing_exception", reason)
    }

    /// A value inside a well-formed clause is not allowed, where Elasticsearch's own parser finds it.
    pub(crate) fn content(reason: impl Into<String>) -> Self {
        Self::new(400, "x_content_parse_exception", reason)
    }

    /// A value is not allowed.
    pub(crate) fn illegal(reason: impl Into<String>) -> Self {
        Self::new(400, "illegal_argument_exception", reason)
    }

    /// The request is well formed but does not fit the fields' types.
    pub(crate) fn shard(kind: &'static str, reason: impl Into<String>) -> Self {
        Self { on_shards: true, ..Self::new(400, kind, reason) }
    }

    /// Understood, but not something this store does.
    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::illegal(format!(
            "{what} is not supported by Podflow's embedded store; configure Elasticsearch as the store where it is needed"
        ))
    }

    /// Scripts are refused, whoever sends them.
    pub(crate) fn script() -> Self {
        Self::shard("script_exception", "scripts are not supported by Podflow's embedded store")
    }

    pub(crate) fn no_index(index: &str) -> Self {
        Self::new(404, "index_not_found_exception", format!("no such index [{index}]"))
    }

    /// The body that Elasticsearch would send.
    pub(crate) fn body(&self) -> Value {
        let cause = json!({"type": self.kind, "reason": self.reason});
        let error = if self.on_shards {
            json!({
                "root_cause": [cause], "type": "search_phase_execution_exception", "reason": "all shards failed",
                "phase": "query", "grouped": true,
                "failed_shards": [{"shard": 0, "index": "flow-*", "node": "podflow", "reason": cause}],
                "caused_by": cause
            })
        } else {
            json!({"root_cause": [cause], "type": self.kind, "reason": self.reason})
        };
        json!({"error": error, "status": self.status})
    }
}

impl IntoResponse for EsError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, axum::Json(self.body())).into_response()
    }
}

impl From<std::io::Error> for EsError {
    fn from(error: std::io::Error) -> Self {
        Self { on_shards: true, ..Self::new(500, "i_o_exception", error.to_string()) }
    }
}
