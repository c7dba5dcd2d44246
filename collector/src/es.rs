//! The query API over the embedded store.

use std::sync::Arc;

use axum::Router;

use crate::store::Store;

/// The router to be mounted under `/es`.
pub(crate) fn router(_store: Arc<Store>) -> Router {
    Router::new()
}
