//! Getting in: logins, certificates, compression, and servers that are not there.

use std::sync::Arc;

use podflow_daemon::tls;
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use crate::server::{Script, send};
use crate::support::{Exporter, Running, certificates, difference};

/// Sends ten records through a collector with these keys under `store.elasticsearch`.
async fn ten_records(store: &str) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let collector = Running::start(&format!(
        "store: {{elasticsearch: {{timeout: 2s, {store}}}}}\nbatch: {{age: 100ms}}\nspool: {{path: '{}'}}",
        folder.path().display()
    ));
    send(&collector, &mut Exporter::stream(7), 10).await;
    let status = collector.until("the records", |status| status["stored"] == 10).await;
    assert_eq!(difference(&status), 0);
    collector.stop().await;
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_login() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "s3cret\n").unwrap();
    let file = file.display();
    for (store, header) in [
        // base64 of `elastic:s3cret`
        (format!("username: elastic, passwordFile: '{file}'"), "Basic ZWxhc3RpYzpzM2NyZXQ="),
        (format!("apiKeyFile: '{file}'"), "ApiKey s3cret"),
        (format!("bearerTokenFile: '{file}'"), "Bearer s3cret"),
    ] {
        let (script, server) = Script::start(&[]).await;
        script.want_header("authorization", header);
        ten_records(&format!("hosts: ['http://{server}'], {store}")).await;
        assert_eq!(script.documents(), 10, "{header}");
        assert!(script.every_request_had("authorization", header), "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_compressed_where_the_configuration_says_so() {
    let (script, server) = Script::start(&[]).await;
    ten_records(&format!("hosts: ['http://{server}'], gzip: true")).await;
    assert_eq!(script.documents(), 10);
    assert!(script.every_request_had("content-encoding", "gzip"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_and_a_client_certificate() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().display();
    let identity = certificates(files.path());
    for (demanded, store) in [
        (None, format!("caFile: '{path}/ca.pem'")),
        (
            Some(files.path().join("ca.pem")),
            format!(
                "caFile: '{path}/ca.pem', clientCertificate: '{path}/cert.pem', clientKey: '{path}/key.pem'"
            ),
        ),
    ] {
        let server = tls::server(&identity, demanded.as_deref()).unwrap();
        let (script, address) = Script::start_tls(TlsAcceptor::from(Arc::clone(&server))).await;
        ten_records(&format!("hosts: ['https://localhost:{}'], {store}", address.port())).await;
        assert_eq!(script.documents(), 10, "{store}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_authority_is_not_trusted_gets_nothing() {
    let files = tempfile::tempdir().unwrap();
    let server = tls::server(&certificates(files.path()), None).unwrap();
    let (script, address) = Script::start_tls(TlsAcceptor::from(server)).await;
    let folder = tempfile::tempdir().unwrap();
    let collector = Running::start(&format!(
        "store: {{elasticsearch: {{hosts: ['https://localhost:{}']}}}}\nspool: {{path: '{}'}}",
        address.port(),
        folder.path().display()
    ));
    send(&collector, &mut Exporter::stream(7), 10).await;
    let status = collector
        .until("the reason", |status| status["store"]["state"].as_str().unwrap().contains("certificate"))
        .await;
    assert_eq!((&status["stored"], difference(&status)), (&json!(0), 0));
    collector.stop().await;
    assert_eq!(script.documents(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_not_there_are_put_aside() {
    let (script, server) = Script::start(&[]).await;
    // Nobody listens where one did a moment ago.
    let gone = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let status =
        ten_records(&format!("hosts: ['http://{}', 'http://{server}', 'http://{}']", gone(), gone())).await;
    assert_eq!(script.documents(), 10);
    assert_eq!(status["store"]["state"], "connected to Elasticsearch 8.16.0");
}
