//! The web page.

use axum::Router;

/// The page's routes.
pub(crate) fn router() -> Router {
    Router::new()
}
