//! The dashboards at the collector's start, into a Kibana that is not there yet. No real Kibana can be had.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::Running;

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_kibana_gets_the_dashboards_as_soon_as_it_is_there() {
    for overwrite in [false, true] {
        // The port is taken, and nobody answers on it yet.
        let reserved = tokio::net::TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = reserved.local_addr().unwrap();
        let collector =
            Running::start(&format!("kibana: {{url: 'http://{address}', overwrite: {overwrite}}}"));
        assert_eq!(collector.text("readyz").await, "ready\n", "Kibana is not waited for");
        tokio::time::sleep(Duration::from_millis(200)).await;

        let (told, mut imports) = mpsc::unbounded_channel();
        let busy = std::sync::atomic::AtomicBool::new(true);
        let import = move |uri: Uri, headers: HeaderMap, body: String| {
            // It starts up: the first import comes too early.
            let busy = busy.swap(false, std::sync::atomic::Ordering::SeqCst);
            told.send((busy, uri.to_string(), headers, body)).unwrap();
            let status = if busy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            std::future::ready((status, axum::Json(json!({"success": true, "successCount": 9}))))
        };
        let import = std::sync::Arc::new(import);
        let router = Router::new()
            .route("/api/status", get(|| async { axum::Json(json!({"version": {"number": "8.19.0"}})) }))
            .route(
                "/api/saved_objects/_import",
                post(move |uri: Uri, headers: HeaderMap, body: String| import(uri, headers, body)),
            );
        let listener = reserved.listen(16).unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let query = if overwrite { "?overwrite=true" } else { "" };
        for early in [true, false] {
            let (busy, uri, headers, body) = imports.recv().await.unwrap();
            assert_eq!((busy, uri), (early, format!("/api/saved_objects/_import{query}")));
            assert_eq!(headers["kbn-xsrf"], "true");
            assert!(body.contains("filename=\"podflow.ndjson\"") && body.contains("kibanaAddFilter"));
        }
        collector.stop().await;
        assert!(imports.try_recv().is_err(), "once it has worked it is over");
        server.abort();
    }
}
