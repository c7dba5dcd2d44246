//! TLS with and without client certificates, templates over a restart, and options records.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

mod support;

use std::path::Path;
use std::sync::Arc;

use podflow_daemon::tls::{self, Identity};
use podflow_ipfix::ElementKey;
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;
use support::{Exporter, Running, certificates, difference, now_ms};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

async fn connect(
    collector: &Running,
    folder: &Path,
    identity: Option<&Identity>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let client = tls::client(&folder.join("ca.pem"), identity).unwrap();
    let stream = TcpStream::connect(collector.tls.unwrap()).await?;
    TlsConnector::from(client).connect("localhost".try_into().unwrap(), stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_carries_the_same_messages() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().display();
    certificates(files.path());
    let listen =
        format!(", tls: ['127.0.0.1:0'], tlsCertificate: '{path}/cert.pem', tlsKey: '{path}/key.pem'");
    let collector = Running::listening(tempfile::tempdir().unwrap(), &listen, "");
    let mut stream = connect(&collector, files.path(), None).await.unwrap();
    for message in Exporter::stream(7).records(100) {
        stream.write_all(&message).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    let status = collector.until("the records", |status| status["stored"] == 100).await;
    assert_eq!(status["exporters"][0]["transport"], "tls");

    // Plain TCP on the TLS port: closed, and told.
    let mut plain = TcpStream::connect(collector.tls.unwrap()).await.unwrap();
    plain.write_all(&Exporter::stream(8).records(1).concat()).await.unwrap();
    collector.until_bad_input("tls_handshake", 1).await;
    collector.stop().await;
}

/// RFC 7011 section 8.1: over TLS as over TCP, data behind a withdrawal is of the template that comes next.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_over_tls_takes_effect() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().display();
    certificates(files.path());
    let listen =
        format!(", tls: ['127.0.0.1:0'], tlsCertificate: '{path}/cert.pem', tlsKey: '{path}/key.pem'");
    let collector = Running::listening(tempfile::tempdir().unwrap(), &listen, "");
    let mut stream = connect(&collector, files.path(), None).await.unwrap();
    let message = |sequence: u32, sets: &[u8]| {
        let length = u16::try_from(16 + sets.len()).unwrap();
        let seconds = u32::try_from(now_ms() / 1_000).unwrap();
        [&[0, 10][..], &length.to_be_bytes(), &[seconds, sequence, 7].map(u32::to_be_bytes).concat(), sets]
            .concat()
    };
    for (sequence, sets) in [
        // Template 256: octetDeltaCount of four octets; a record of it.
        (0, &[0, 2, 0, 12, 1, 0, 0, 1, 0, 1, 0, 4, 1, 0, 0, 8, 0, 0, 0, 9][..]),
        // It is withdrawn; a data set of the same id.
        (1, &[0, 2, 0, 8, 1, 0, 0, 0, 1, 0, 0, 8, 0, 0, 0, 5]),
        // Template 256: packetDeltaCount of four octets.
        (2, &[0, 2, 0, 12, 1, 0, 0, 1, 0, 2, 0, 4]),
    ] {
        stream.write_all(&message(sequence, sets)).await.unwrap();
    }
    let mut found: Vec<String> = collector
        .found(2)
        .await
        .iter()
        .map(|document| {
            format!("{} {}", document["ipfix"]["octetDeltaCount"], document["ipfix"]["packetDeltaCount"])
        })
        .collect();
    found.sort();
    assert_eq!(found, ["9 null", "null 5"]);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_demanded_where_an_authority_is_given() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().display();
    let identity = certificates(files.path());
    let listen = format!(
        ", tls: ['127.0.0.1:0'], tlsCertificate: '{path}/cert.pem', tlsKey: '{path}/key.pem', tlsClientCa: '{path}/ca.pem'"
    );
    let collector = Running::listening(tempfile::tempdir().unwrap(), &listen, "");
    // With TLS 1.3 the client learns of the refusal when it reads or writes on.
    if let Ok(mut nameless) = connect(&collector, files.path(), None).await {
        for message in Exporter::stream(7).records(5) {
            if nameless.write_all(&message).await.is_err() {
                break;
            }
        }
    }
    let mut stream = connect(&collector, files.path(), Some(&identity)).await.unwrap();
    for message in Exporter::stream(8).records(3) {
        stream.write_all(&message).await.unwrap();
    }
    let status = collector.until("the records", |status| status["stored"] == 3).await;
    assert_eq!(status["received"]["records"], 3, "nothing came from the one without a certificate");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_templates_outlive_a_restart() {
    let collector = Running::start("");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut exporter = Exporter::udp(7);
    for message in exporter.records(5) {
        socket.send_to(&message, collector.udp).await.unwrap();
    }
    collector.until("the first records", |status| status["stored"] == 5).await;
    let folder = collector.stop().await;

    let collector = Running::start_in(folder, "");
    for message in exporter.records(7) {
        socket.send_to(&message, collector.udp).await.unwrap();
    }
    collector.until("records without their template", |status| status["stored"] == 7).await;
    collector.stop().await;
}

/// A message with an options template of its own and one record: exporting process 3 has not sent 12 flows.
fn options_message() -> Vec<u8> {
    let id = TemplateId::constant(300);
    let fields = [(144, 4), (166, 8)].map(|(id, length)| FieldSpecifier::new(ElementKey::iana(id), length));
    let template = Template::options(id, 1, fields.to_vec()).unwrap();
    let mut session =
        ExportingSession::new(ExportSettings::stream(7), vec![template], &Registry::standard()).unwrap();
    session.add(now_ms(), id, [Value::Unsigned(3), Value::Unsigned(12)]).unwrap();
    session.flush(now_ms());
    session.next_message().unwrap().octets
}

/// RFC 7011 section 4.3: what the exporter could not send is told where the operator looks.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_exporter_could_not_send_is_in_the_status() {
    let collector = Running::start("");
    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    stream.write_all(&options_message()).await.unwrap();
    let status = collector.until("the exporter", |status| !status["exporters"][0].is_null()).await;
    let exporter = &status["exporters"][0];
    assert_eq!(exporter["not_sent"], serde_json::json!({"flows": 12, "packets": 0, "octets": 0}));
    assert_eq!(exporter["sequence_numbers"], "counted");
    collector.stop().await;
}

/// RFC 7011 section 8.4: a UDP template without a refresh dies, and its data is not read with it any more.
#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_udp_templates_is_configurable() {
    let collector = Running::start("limits: {templateLifetime: 1s}");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut exporter = Exporter::udp(7);
    for message in exporter.records(1) {
        socket.send_to(&message, collector.udp).await.unwrap();
    }
    collector.until("the first record", |status| status["stored"] == 1).await;
    for _ in 0..600 {
        for message in exporter.records(1) {
            socket.send_to(&message, collector.udp).await.unwrap();
        }
        if collector.text("metrics").await.contains("bad_input_total{kind=\"unknown_template\"}") {
            collector.stop().await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the template outlived its life");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_records_become_documents_only_if_asked_for() {
    for (asked, documents) in [("ignore", 0), ("index", 1)] {
        let collector = Running::start(&format!("documents: {{options: {asked}}}"));
        let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
        stream.write_all(&options_message()).await.unwrap();
        for message in Exporter::stream(8).records(2) {
            let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
            stream.write_all(&message).await.unwrap();
        }
        let status = collector.until(asked, |status| status["stored"] == 2 + documents).await;
        assert_eq!(difference(&status), 0);
        let metrics = collector.text("metrics").await;
        assert!(metrics.contains("podflow_collector_options_records_total 1"), "{metrics}");
        collector.stop().await;
    }
}

/// Exporters at different addresses have different decoders; their records all arrive.
#[tokio::test(flavor = "multi_thread")]
async fn many_exporters_at_once() {
    let collector = Arc::new(Running::start(""));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=40_u8 {
        let collector = Arc::clone(&collector);
        tasks.spawn(async move {
            let socket = UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 1, number), 0)).await.unwrap();
            let mut exporter = Exporter::udp(number.into());
            for _ in 0..5 {
                for message in exporter.records(20) {
                    socket.send_to(&message, collector.udp).await.unwrap();
                }
            }
        });
    }
    while let Some(sent) = tasks.join_next().await {
        sent.unwrap();
    }
    let status = collector.until("every record", |status| status["stored"] == 4000).await;
    assert_eq!(status["exporters"].as_array().unwrap().len(), 40);
    for exporter in status["exporters"].as_array().unwrap() {
        assert_eq!((&exporter["records"], &exporter["gaps"]), (&100.into(), &0.into()), "{exporter}");
    }
    Arc::into_inner(collector).unwrap().stop().await;
}
