//! The web page: the built `collector/ui/dist` out of the binary, and the dashboards that it draws as JSON.
//!
//! A collector built without Node has no page: it compiles, serves everything else, and says in its place how
//! the page is added. The page may load nothing from elsewhere and run nothing inline.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};
use serde_json::json;

/// The page's routes: `/`, its files, and `/api/dashboards`.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/api/dashboards", get(dashboards))
        .route("/", get(|| async { file("index.html") }))
        // A fallback, not a route: a route for every path would take the query API's requests too.
        .fallback(|uri: Uri| async move { file(uri.path().trim_start_matches('/')) })
}

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/ui/dist"]
#[allow_missing = true]
struct Files;

fn file(path: &str) -> Response {
    match Files::get(path) {
        Some(file) => answer(path, file),
        None if path == "index.html" => with_policy(NO_PAGE.into_response(), HTML),
        None => (StatusCode::NOT_FOUND, "no such page\n").into_response(),
    }
}

fn answer(path: &str, file: EmbeddedFile) -> Response {
    let mut response = with_policy(file.data.into_owned().into_response(), content_type(path));
    // Vite puts a hash of the content into the names below assets/, so these never change.
    let kept = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    response
}

fn with_policy(mut response: Response, content_type: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in POLICY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => HTML,
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// The dashboards with their specs, and the fields of a document, for filters and formats.
async fn dashboards() -> Response {
    match podflow_dashboards::dashboards() {
        Ok(dashboards) => {
            let fields = podflow_dashboards::index_fields();
            let body = json!({"dashboards": dashboards, "fields": fields}).to_string();
            with_policy(body.into_response(), "application/json")
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("making the dashboards: {error}\n")).into_response()
        }
    }
}

const HTML: &str = "text/html; charset=utf-8";

/// Every answer's headers: nothing from elsewhere, nothing inline, no framing by others.
const POLICY: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

const NO_PAGE: &str = "<!doctype html><html lang=\"en\"><title>Podflow</title>\
<h1>This collector was built without its web page</h1>\
<p>Everything else works: the query API is under <a href=\"es/\">/es</a>, the state under \
<a href=\"status\">/status</a>. To add the page, install Node.js 20 or newer, run\
<pre>npm ci --prefix collector/ui &amp;&amp; npm run build --prefix collector/ui</pre>\
and build the collector again (a development build finds the page at once).</p></html>";

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn asked(path: &str) -> Response {
        router().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_page_is_html_under_a_strict_policy() {
        let response = asked("/").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], HTML);
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("Podflow"), "{body}");
        assert!(!body.contains("style=") && !body.contains("onload="), "nothing inline: {body}");
    }

    #[tokio::test]
    async fn files_that_are_not_there_are_404() {
        for path in ["/assets/nothing.js", "/../Cargo.toml", "/..%2FCargo.toml", "/ui"] {
            assert_eq!(asked(path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn the_dashboards_come_with_their_fields() {
        let response = asked("/api/dashboards").await;
        let body = to_bytes(response.into_body(), 10_000_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let ids: Vec<_> = body["dashboards"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        assert!(ids.contains(&&json!("podflow-pod-to-pod")), "{ids:?}");
        for dashboard in body["dashboards"].as_array().unwrap() {
            let panels = dashboard["panels"].as_array().unwrap();
            let specs: Vec<_> = panels.iter().filter(|panel| panel["kind"] == "vega").collect();
            assert!(!specs.is_empty(), "{dashboard}");
            for panel in specs {
                assert_eq!(panel["spec"]["$schema"], "https://vega.github.io/schema/vega/v5.json");
            }
        }
        assert!(body["fields"].as_array().unwrap().len() > 40);
    }
}
