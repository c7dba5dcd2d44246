//! What the fuzz target does with a search's body, so that plain tests do the same. Not for other use.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::store::Store;

/// Somebody who asks one store anything.
#[derive(Debug)]
pub struct Asker {
    router: Router,
    runtime: Runtime,
}

impl Asker {
    /// Over this store.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn of(store: Arc<Store>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { router: super::router(store), runtime })
    }

    /// Sends any octets as the body of a search.
    ///
    /// # Panics
    /// Where the answer is neither hits nor an error in Elasticsearch's shape, or is one of our own faults.
    pub fn ask(&self, body: &[u8]) {
        let request = Request::post("/flow-*/_search").body(Body::from(body.to_vec())).unwrap_or_default();
        let (status, answer) = self.runtime.block_on(async {
            let response = match self.router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let status = response.status();
            (status, axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default())
        });
        assert!(
            is_well_formed(status.is_success(), &answer),
            "{}: {status}, {answer:?}",
            body.escape_ascii()
        );
    }
}

/// A status of 500 would be a panic or a lost assumption; deadlines and bounds are errors of their own.
fn is_well_formed(success: bool, answer: &Bytes) -> bool {
    let Ok(shown) = serde_json::from_slice::<Value>(answer) else { return false };
    if success {
        return shown["hits"].is_object();
    }
    let error = &shown["error"];
    error["root_cause"].get(0).is_some_and(|cause| cause["type"].is_string()) && error["type"] != "exception"
}
