//! A thousand exporters at once: each record is read with its own exporter's template, and memory stays bounded.

use std::net::SocketAddr;
use std::sync::Arc;

use podflow_ipfix::Limits;
use podflow_ipfix::collect::{CollectingSession, Transport, UdpSessions};
use podflow_ipfix::registry::Registry;

use super::support::{NOW, message, set, template, text};

const EXPORTERS: u16 = 1_000;
const TEMPLATES: u16 = 10;

/// Elements of four octets that take turns: the same template id means another one for each exporter.
const ELEMENTS: [(u16, &str); 7] = [
    (1, "octetDeltaCount"),
    (2, "packetDeltaCount"),
    (10, "ingressInterface"),
    (14, "egressInterface"),
    (85, "octetTotalCount"),
    (86, "packetTotalCount"),
    (16, "bgpSourceAsNumber"),
];

fn element(exporter: u16, place: u16) -> (u16, &'static str) {
    ELEMENTS[usize::from(exporter * 3 + place) % ELEMENTS.len()]
}

/// Ten templates of twenty fields, of which the first is the exporter's own choice.
fn templates(exporter: u16) -> Vec<u8> {
    let one = |place| {
        let mut fields = vec![(0, element(exporter, place).0, 4)];
        fields.extend((300..319).map(|id| (0, id, 1)));
        template(256 + place, &fields)
    };
    message(7, 0, &(0..TEMPLATES).map(one).collect::<Vec<_>>())
}

fn data(exporter: u16, place: u16) -> Vec<u8> {
    let record = [&[0, 0][..], &exporter.to_be_bytes(), &[0; 19]].concat();
    message(7, u32::from(place), &[set(256 + place, record)])
}

fn expected(exporter: u16, place: u16) -> String {
    format!("{}={exporter} ", element(exporter, place).1)
}

/// Octets of memory that the process holds.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("resident pages");
    pages * 4_096
}

#[test]
fn a_thousand_exporters_on_one_udp_socket() {
    let before = resident();
    let mut sessions = UdpSessions::new(Arc::default(), Arc::new(Registry::standard()));
    // All from one address, and all with the same domain and template ids: only the port tells them apart.
    let from = |exporter: u16| SocketAddr::from(([10, 0, 0, 1], 1_000 + exporter));
    for exporter in 0..EXPORTERS {
        sessions.receive(NOW, from(exporter), &templates(exporter), &mut |_| {}).unwrap();
    }
    for place in 0..TEMPLATES {
        for exporter in 0..EXPORTERS {
            let mut seen = Vec::new();
            let take = &mut |record: podflow_ipfix::collect::DataRecord<'_>| seen.push(text(&record));
            sessions.receive(NOW, from(exporter), &data(exporter, place), take).unwrap();
            assert_eq!(seen.len(), 1);
            assert!(seen[0].starts_with(&expected(exporter, place)), "{exporter} {place}: {}", seen[0]);
        }
    }
    assert_eq!(sessions.len(), usize::from(EXPORTERS));
    let grown = resident().saturating_sub(before) / 1_000_000;
    println!("1,000 UDP exporters with 10 templates of 20 fields each: {grown} MB");
    assert!(grown < 200, "{grown} MB");
}

#[test]
fn a_thousand_tcp_connections() {
    let before = resident();
    let (limits, registry) = (Arc::new(Limits::default()), Arc::new(Registry::standard()));
    let session = || CollectingSession::new(Transport::Stream, Arc::clone(&limits), Arc::clone(&registry));
    let mut sessions: Vec<CollectingSession> = (0..EXPORTERS).map(|_| session()).collect();
    for (exporter, session) in (0..EXPORTERS).zip(&mut sessions) {
        session.receive(NOW, &templates(exporter), &mut |_| {}).unwrap();
    }
    for place in 0..TEMPLATES {
        for (exporter, session) in (0..EXPORTERS).zip(&mut sessions) {
            let mut seen = Vec::new();
            session.receive(NOW, &data(exporter, place), &mut |record| seen.push(text(&record))).unwrap();
            assert!(seen[0].starts_with(&expected(exporter, place)), "{exporter} {place}: {}", seen[0]);
        }
    }
    let grown = resident().saturating_sub(before) / 1_000_000;
    println!("1,000 TCP connections with 10 templates of 20 fields each: {grown} MB");
    assert!(grown < 200, "{grown} MB");
}
