//! What has a bound: connections, silence, half-open peers, and what waits before a server that takes nothing.

use podflow_ipfix::ElementKey;
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::server::{Script, config};
use crate::support::{Exporter, Running, certificates};

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_than_allowed_and_the_next_when_one_ends() {
    let collector = Running::listening(tempfile::tempdir().unwrap(), ", connections: 2", "");
    let mut first = TcpStream::connect(collector.tcp).await.unwrap();
    let mut second = TcpStream::connect(collector.tcp).await.unwrap();
    for (domain, stream) in [(1, &mut first), (2, &mut second)] {
        stream.write_all(&Exporter::stream(domain).records(5).concat()).await.unwrap();
    }
    collector.until("both are read", |status| status["stored"] == 10).await;
    let mut third = TcpStream::connect(collector.tcp).await.unwrap();
    assert!(is_closed(&mut third).await);
    collector.until_bad_input("connection_limit", 1).await;

    drop(first);
    let mut exporter = Exporter::stream(3);
    let mut stored = 10;
    while stored < 15 {
        // Until the end of the first one is noticed, this one is refused too.
        let mut next = TcpStream::connect(collector.tcp).await.unwrap();
        exporter.reconnect();
        let message = exporter.records(5).concat();
        let _refused = next.write_all(&message).await;
        let _refused = next.shutdown().await;
        assert!(is_closed(&mut next).await);
        let settled = |status: &serde_json::Value| status["in_flight"] == 0;
        stored = collector.until("the end", settled).await["stored"].as_u64().unwrap();
    }
    second.write_all(&Exporter::stream(2).records(1).concat()).await.unwrap();
    collector.until("the second, still", |status| status["stored"] == stored + 1).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_silent_or_only_half_there_is_let_go() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().display();
    certificates(files.path());
    let listen = format!(
        ", idleTimeout: 1s, tls: ['127.0.0.1:0'], tlsCertificate: '{path}/cert.pem', tlsKey: '{path}/key.pem'"
    );
    let collector = Running::listening(tempfile::tempdir().unwrap(), &listen, "");
    let mut half_open = TcpStream::connect(collector.tls.unwrap()).await.unwrap();
    let mut silent = TcpStream::connect(collector.tcp).await.unwrap();
    assert!(is_closed(&mut silent).await);
    collector.until_bad_input("idle", 1).await;
    assert!(is_closed(&mut half_open).await);
    collector.until_bad_input("tls_handshake", 1).await;
    collector.stop().await;
}

/// A TCP exporter is made to wait, and loses nothing; datagrams beyond the bound are dropped and counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_pipeline_stops_streams_and_counts_datagrams() {
    const RECORDS: u64 = 16_000;
    let (script, server) = Script::start(&[]).await;
    script.be_down(true);
    let folder = tempfile::tempdir().unwrap();
    let extra = format!("spool: {{path: 'off'}}\ndeadLetters: {{path: '{}'}}", folder.path().display());
    let tight = config(server, &extra).replace("batch: {", "batch: {queue: 1, ");
    let collector = Running::start(&tight);
    let (tcp, udp) = (collector.tcp, collector.udp);
    let sender = tokio::spawn(async move {
        let mut stream = TcpStream::connect(tcp).await.unwrap();
        let mut exporter = long_texts(ExportSettings::stream(7));
        for message in texts(&mut exporter, RECORDS) {
            stream.write_all(&message).await.unwrap();
        }
        stream.shutdown().await.unwrap();
    });
    // 128 MB are more than the queue before the decoder and the sockets' buffers hold, so some of them stay outside.
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut exporter = long_texts(ExportSettings::udp(8, 9_000));
    let mut sent = 0;
    loop {
        for message in texts(&mut exporter, 100) {
            socket.send_to(&message, udp).await.unwrap();
            sent += 1;
        }
        let status = collector.status().await;
        assert_eq!(status["stored"], 0, "{status}");
        if status["received"]["dropped_messages"]["queue_full"].as_u64() > Some(0) {
            break;
        }
        assert!(sent < 100_000, "{status}");
    }
    assert!(!sender.is_finished());

    script.be_down(false);
    sender.await.unwrap();
    let of_domain = |status: &serde_json::Value, domain: u64| {
        let exporters = status["exporters"].as_array().unwrap();
        let of = exporters.iter().find(|exporter| exporter["domain"] == domain);
        of.map_or(0, |exporter| exporter["records"].as_u64().unwrap())
    };
    let all_of_the_stream = |status: &serde_json::Value| {
        of_domain(status, 7) == RECORDS
            && status["in_flight"] == 0
            && status["stored"].as_u64() >= Some(RECORDS)
    };
    let status = collector.until("every record of the stream", all_of_the_stream).await;
    assert_eq!(status["stored"], RECORDS + of_domain(&status, 8), "{status}");
    collector.stop().await;
}

const ID: TemplateId = TemplateId::constant(256);

/// An exporter of octetDeltaCount and interfaceDescription.
fn long_texts(settings: ExportSettings) -> ExportingSession {
    let fields =
        vec![FieldSpecifier::new(ElementKey::iana(1), 8), FieldSpecifier::new(ElementKey::iana(83), 65_535)];
    let template = Template::new(ID, fields).unwrap();
    ExportingSession::new(settings, vec![template], &Registry::standard()).unwrap()
}

/// Messages with so many records of 8 kB.
fn texts(exporter: &mut ExportingSession, records: u64) -> Vec<Vec<u8>> {
    let now = crate::support::now_ms();
    for number in 0..records {
        let text = format!("{number:08000}");
        exporter.add(now, ID, [Value::Unsigned(number), Value::String(text.as_str().into())]).unwrap();
    }
    exporter.flush(now);
    std::iter::from_fn(|| exporter.next_message()).map(|message| message.octets).collect()
}

/// Whether the other side closes it, sooner or later.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
}
