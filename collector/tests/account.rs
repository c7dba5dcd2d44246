//! Received = stored + duplicates + rejected + dropped + in flight; and what a stop and a resend do to it.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

mod support;

use support::{Exporter, Running, difference};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_is_stored_before_the_end() {
    let collector = Running::start("batch: {age: 60s}");
    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    for message in Exporter::stream(7).records(1000) {
        stream.write_all(&message).await.unwrap();
    }
    collector.until("receipt", |status| status["received"]["records"] == 1000).await;
    let status = collector.status().await;
    assert_eq!((&status["stored"], &status["in_flight"]), (&0.into(), &1000.into()));
    assert_eq!(difference(&status), 0);
    // Stopping closes the open batch; the store of the next run has everything.
    let folder = collector.stop().await;
    let next = Running::start_in(folder, "");
    let mut again = TcpStream::connect(next.tcp).await.unwrap();
    for message in Exporter::stream(8).records(10) {
        again.write_all(&message).await.unwrap();
    }
    next.until("new records", |status| status["stored"] == 10).await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_twice_is_stored_once() {
    let collector = Running::start("");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let messages = Exporter::udp(7).records(20);
    for message in messages.iter().chain(&messages) {
        socket.send_to(message, collector.udp).await.unwrap();
    }
    let status = collector.until("both", |status| status["stored"] == 20 && status["duplicates"] == 20).await;
    assert_eq!(difference(&status), 0);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exporters_are_listed_with_what_they_sent() {
    let collector = Running::start("");
    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    for message in Exporter::stream(7).records(3) {
        stream.write_all(&message).await.unwrap();
    }
    let status = collector.until("records", |status| status["stored"] == 3).await;
    let exporter = &status["exporters"][0];
    assert_eq!(exporter["address"], "127.0.0.1");
    assert_eq!((&exporter["domain"], &exporter["transport"]), (&7.into(), &"tcp".into()));
    assert_eq!((&exporter["records"], &exporter["gaps"]), (&3.into(), &0.into()));
    assert_eq!(exporter["templates"], 1);
    assert_eq!(status["export_interval_seconds"], 60);
    assert_eq!(status["store"]["kind"], "embedded");
    assert_eq!(collector.text("healthz").await, "ok\n");
    assert_eq!(collector.text("readyz").await, "ready\n");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_say_what_the_status_does() {
    let collector = Running::listening(tempfile::tempdir().unwrap(), ", sessions: 2", "");
    for domain in 1..=3 {
        let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
        for message in Exporter::stream(domain).records(10) {
            stream.write_all(&message).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        let seen = u64::from(domain) * 10;
        collector.until("its records", |status| status["stored"] == seen).await;
    }
    let (status, metrics) = (collector.status().await, collector.text("metrics").await);
    let metric = |name: &str| -> i64 {
        let lines = metrics.lines().filter(|line| {
            line.strip_prefix("podflow_collector_")
                .and_then(|line| line.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum()
    };
    for (name, told) in [
        ("received_records_total", &status["received"]["records"]),
        ("received_messages_total", &status["received"]["messages"]),
        ("stored_records_total", &status["stored"]),
        ("duplicate_records_total", &status["duplicates"]),
        ("rejected_records_total", &status["rejected"]),
        ("in_flight_records", &status["in_flight"]),
        ("forgotten_exporters_total", &status["exporters_forgotten"]),
    ] {
        assert_eq!(metric(name), told.as_i64().unwrap(), "{name} in\n{metrics}");
    }
    let outcomes =
        ["stored", "duplicate", "rejected", "dropped"].map(|o| metric(&format!("{o}_records_total")));
    assert_eq!(metric("received_records_total"), outcomes.iter().sum::<i64>() + metric("in_flight_records"));
    assert_eq!(
        (metric("received_records_total"), metric("exporters"), metric("forgotten_exporters_total")),
        (30, 2, 1)
    );
    collector.stop().await;
}
