//! The Kubernetes API as a scripted server: what a real one would need 501 Nodes or a long outage for.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use podflow_cluster::Directory;
use podflow_cluster::kubernetes::{MAX_NODES_OF_AN_AGENT, Scope, follow};
use podflow_daemon::readiness::Readiness;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Answers by path and query; every request is written down.
#[derive(Default)]
struct Script {
    asked: Vec<String>,
    away: bool,
    pods: Vec<Value>,
    /// There are more Nodes than fit one page.
    crowded: bool,
}

impl Script {
    fn answer(&mut self, uri: &str) -> (StatusCode, Value) {
        self.asked.push(uri.to_owned());
        if !self.away && uri.contains("watch=") {
            // A watch that began too long ago: the client lists again.
            let gone = json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "gone"});
            return (StatusCode::OK, json!({"type": "ERROR", "object": gone}));
        }
        if self.away {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                json!({"kind": "Status", "code": 503, "message": "away"}),
            );
        }
        let (kind, items) = match uri.split('?').next().unwrap() {
            "/api/v1/pods" => ("PodList", self.pods.clone()),
            "/api/v1/nodes" => ("NodeList", vec![json!({"metadata": {"name": "node-a"}})]),
            _ => ("ServiceList", Vec::new()),
        };
        let is_first_page_of_all = uri.starts_with("/api/v1/nodes") && !uri.contains("fieldSelector");
        let more = if self.crowded && is_first_page_of_all { "page-2" } else { "" };
        let metadata = json!({"resourceVersion": "1", "continue": more});
        (StatusCode::OK, json!({"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items}))
    }
}

fn client(script: &Arc<Mutex<Script>>) -> Client {
    let script = Arc::clone(script);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (status, answer) = script.lock().unwrap().answer(&request.uri().to_string());
        let body = Body::from(serde_json::to_vec(&answer).unwrap());
        let response =
            Response::builder().status(status).header("content-type", "application/json").body(body);
        async move { Ok::<_, Infallible>(response.unwrap()) }
    });
    Client::new(service, "default")
}

fn pod(name: &str, address: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"nodeName": "node-a", "containers": []},
           "status": {"startTime": "2026-01-01T00:00:00Z", "podIPs": [{"ip": address}]}})
}

/// An agent's watches over a script.
fn watch(script: &Arc<Mutex<Script>>, services: bool) -> (Arc<Directory>, Readiness, CancellationToken) {
    let (directory, readiness, stop) =
        (Arc::new(Directory::default()), Readiness::default(), CancellationToken::new());
    let (client, into, ready, shutdown) =
        (client(script), Arc::clone(&directory), readiness.clone(), stop.clone());
    let scope = Scope::Node { name: "node-a".into(), services };
    tokio::spawn(async move { follow(client, scope, into, &ready, shutdown).await });
    (directory, readiness, stop)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting)
        .await
        .unwrap_or_else(|_| panic!("waited for {what}"));
}

#[tokio::test]
async fn an_agent_watches_its_own_pods_and_in_a_crowd_its_own_node_alone() {
    for crowded in [false, true] {
        let script = Arc::new(Mutex::new(Script { crowded, ..Script::default() }));
        let (_directory, readiness, stop) = watch(&script, false);
        let listed =
            |script: &Script| script.asked.iter().filter(|uri| uri.starts_with("/api/v1/nodes")).count() > 1;
        until("the list of Nodes", || listed(&script.lock().unwrap()) && readiness.awaited().is_empty())
            .await;
        stop.cancel();
        let asked = script.lock().unwrap().asked.clone();
        let of = |path: &str| -> Vec<&String> { asked.iter().filter(|uri| uri.starts_with(path)).collect() };
        assert!(of("/api/v1/pods").iter().all(|uri| uri.contains("spec.nodeName%3Dnode-a")), "{asked:?}");
        assert!(of("/api/v1/nodes")[0].contains(&format!("limit={MAX_NODES_OF_AN_AGENT}")), "{asked:?}");
        let own = of("/api/v1/nodes").iter().skip(1).all(|uri| uri.contains("metadata.name%3Dnode-a"));
        assert_eq!(own, crowded, "{asked:?}");
        assert!(of("/api/v1/services").is_empty(), "AntreaProxy is off");
    }
}

#[tokio::test]
async fn while_the_api_is_away_what_is_known_stays_in_force() {
    let script = Arc::new(Mutex::new(Script { pods: vec![pod("cart", "10.0.0.5")], ..Script::default() }));
    let (directory, readiness, stop) = watch(&script, true);
    let names = |directory: &Directory| -> Vec<String> {
        let mut names: Vec<_> = directory.pods().iter().map(|pod| pod.name.to_string()).collect();
        names.sort();
        names
    };
    until("the first list", || names(&directory) == ["cart"] && readiness.awaited().is_empty()).await;
    let asked = {
        let mut script = script.lock().unwrap();
        script.away = true;
        script.pods = vec![pod("ledger", "10.0.0.6")];
        script.asked.len()
    };
    until("tries in vain", || script.lock().unwrap().asked.len() > asked + 3).await;
    assert_eq!(names(&directory), ["cart"]);
    assert!(readiness.awaited().is_empty(), "an agent that was ready stays so");
    script.lock().unwrap().away = false;
    until("the API to be back", || names(&directory) == ["ledger"]).await;
    stop.cancel();
}
