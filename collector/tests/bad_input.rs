//! What peers send that cannot be used: counted, told once for each exporter and kind, and everything else goes on.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

mod support;

use podflow_ipfix::ElementKey;
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;
use support::{Exporter, Running, difference, now_ms};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_datagrams_do_not_stop_the_good_ones() {
    let collector = Running::start("");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut exporter = Exporter::udp(7);
    for round in 0..3 {
        socket.send_to(b"this is no IPFIX at all", collector.udp).await.unwrap();
        for message in exporter.records(5) {
            socket.send_to(&message, collector.udp).await.unwrap();
        }
        socket.send_to(&[], collector.udp).await.unwrap();
        let stored = (round + 1) * 5;
        collector.until("the good records", |status| status["stored"] == stored).await;
    }
    collector.until_bad_input("version", 3).await;
    let status = collector.status().await;
    assert_eq!(status["received"]["dropped_messages"]["malformed"], 6);
    assert_eq!(difference(&status), 0);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_garbage_is_closed_and_others_go_on() {
    let collector = Running::start("");
    let mut good = TcpStream::connect(collector.tcp).await.unwrap();
    let mut exporter = Exporter::stream(7);
    for message in exporter.records(5) {
        good.write_all(&message).await.unwrap();
    }
    let mut bad = TcpStream::connect(collector.tcp).await.unwrap();
    bad.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    // The collector closes it; whether by FIN or RST is the kernel's affair.
    let _closed = bad.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    for message in exporter.records(5) {
        good.write_all(&message).await.unwrap();
    }
    collector.until("the good records", |status| status["stored"] == 10).await;
    collector.until_bad_input("framing", 1).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_template_is_said_and_its_data_waits() {
    let collector = Running::start("");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut exporter = Exporter::udp(7);
    let with_template = exporter.records(1).remove(0);
    let without = exporter.records(3).remove(0);
    socket.send_to(&without, collector.udp).await.unwrap();
    collector.until_bad_input("unknown_template", 1).await;
    assert_eq!(collector.status().await["stored"], 0);
    socket.send_to(&with_template, collector.udp).await.unwrap();
    collector.until("held records too", |status| status["stored"] == 4).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_message_is_dropped_whole() {
    let collector = Running::start("");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut exporter = Exporter::udp(7);
    let whole = exporter.records(4).remove(0);
    socket.send_to(&whole[..whole.len() - 3], collector.udp).await.unwrap();
    collector.until_bad_input("message_length", 1).await;
    assert_eq!(collector.status().await["received"]["records"], 0);
    socket.send_to(&whole, collector.udp).await.unwrap();
    collector.until("the whole message", |status| status["stored"] == 4).await;

    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    let message = Exporter::stream(8).records(4).remove(0);
    stream.write_all(&message[..message.len() - 3]).await.unwrap();
    drop(stream);
    collector.until_bad_input("cut_message", 1).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn octet_by_octet_or_all_at_once_a_stream_is_the_same() {
    let collector = Running::start("");
    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut exporter = Exporter::stream(7);
    for octet in exporter.records(2).concat() {
        stream.write_all(&[octet]).await.unwrap();
    }
    let many: Vec<u8> = (0..50).flat_map(|_| exporter.records(3).concat()).collect();
    stream.write_all(&many).await.unwrap();
    collector.until("every record", |status| status["stored"] == 152).await;
    collector.stop().await;
}

/// A Service's source NAT gives an exporter a new port after a silence.
#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_under_a_new_port_is_read_and_counted() {
    let collector = Running::start("");
    let mut exporter = Exporter::udp(7);
    for (round, moved) in [(1, 0), (2, 1)] {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for message in exporter.records(5) {
            socket.send_to(&message, collector.udp).await.unwrap();
        }
        collector.until("its records", |status| status["stored"] == round * 5).await;
        assert_eq!(collector.counter("moved_exporters_total").await, moved);
    }
    let status = collector.status().await;
    assert_eq!(status["exporters"][0]["gaps"], 0, "its sequence numbers went on too");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawals_over_udp_change_nothing_and_are_counted() {
    let collector = Running::start("");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut exporter = Exporter::udp(7);
    let mut withdrawal = vec![0, 10, 0, 24];
    let seconds = u32::try_from(now_ms() / 1_000).unwrap();
    withdrawal.extend([seconds, 5, 7].map(u32::to_be_bytes).concat());
    withdrawal.extend([0, 2, 0, 8, 1, 0, 0, 0]);
    for message in exporter.records(5).into_iter().chain([withdrawal]).chain(exporter.records(5)) {
        socket.send_to(&message, collector.udp).await.unwrap();
    }
    collector.until("all records", |status| status["stored"] == 10).await;
    collector.until_bad_input("withdrawals_ignored", 1).await;
    collector.stop().await;
}

/// RFC 7011 section 8.1: over TCP a template is withdrawn before its id means something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_redefinition_over_tcp_replaces_and_is_counted() {
    let collector = Running::start("");
    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    for element in [1, 2] {
        let id = TemplateId::constant(256);
        let fields = vec![FieldSpecifier::new(ElementKey::iana(element), 4)];
        let template = Template::new(id, fields).unwrap();
        let mut session =
            ExportingSession::new(ExportSettings::stream(7), vec![template], &Registry::standard()).unwrap();
        // Two records with the same octets in two messages of one number would be one record sent twice.
        session.add(now_ms(), id, [Value::Unsigned(u64::from(element) * 5)]).unwrap();
        session.flush(now_ms());
        stream.write_all(&session.next_message().unwrap().octets).await.unwrap();
    }
    let found = collector.found(2).await;
    for (name, value) in [("octetDeltaCount", 5), ("packetDeltaCount", 10)] {
        assert_eq!(found.iter().filter(|document| document["ipfix"][name] == value).count(), 1, "{name}");
    }
    collector.until_bad_input("template_redefined", 1).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf8_is_stored_with_marks_and_counted() {
    let collector = Running::start("");
    let id = TemplateId::constant(256);
    let fields = vec![FieldSpecifier::variable(ElementKey::iana(82))];
    let template = Template::new(id, fields).unwrap();
    let mut session =
        ExportingSession::new(ExportSettings::stream(7), vec![template], &Registry::standard()).unwrap();
    for octets in [&b"eth\xff0"[..], b"eth1"] {
        session.add(now_ms(), id, [Value::Octets(octets)]).unwrap();
    }
    session.flush(now_ms());
    let mut stream = TcpStream::connect(collector.tcp).await.unwrap();
    stream.write_all(&session.next_message().unwrap().octets).await.unwrap();
    collector.until("both records", |status| status["stored"] == 2).await;
    assert_eq!(collector.counter("adjusted_values_total{what=\"ill_formed_text\"}").await, 1);
    let found = collector.found(2).await;
    let names: Vec<_> = found.iter().map(|document| &document["ipfix"]["interfaceName"]).collect();
    assert!(names.contains(&&"eth\u{fffd}0".into()), "{names:?}");
    collector.stop().await;
}
