//! Both sessions joined in memory: what one exports the other collects.

use std::net::Ipv4Addr;
use std::sync::Arc;

use podflow_ipfix::collect::{CollectingSession, DataRecord, MessageSummary, Transport};
use podflow_ipfix::element::{ANTREA_LEGACY, ElementKey};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::framing::Framer;
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;
use podflow_ipfix::{DecodeError, Limits};

const FLOWS: TemplateId = TemplateId::constant(256);
const NOW: u64 = 1_763_000_000_000;

fn template() -> Template {
    let fields = vec![
        FieldSpecifier::new(ElementKey::iana(150), 4),
        FieldSpecifier::new(ElementKey::iana(8), 4),
        FieldSpecifier::new(ElementKey::iana(85), 8),
        FieldSpecifier::new(ElementKey::reverse(1), 8),
        FieldSpecifier::variable(ElementKey::new(ANTREA_LEGACY, 101)),
        FieldSpecifier::variable(ElementKey::new(ANTREA_LEGACY, 103)),
    ];
    Template::new(FLOWS, fields).expect("a good template")
}

fn values<'a>(source: &'a str, destination: &'a str) -> [Value<'a>; 6] {
    [
        Value::Seconds(1_763_000_000),
        Value::Ipv4(Ipv4Addr::new(10, 10, 0, 5)),
        Value::Unsigned(u64::MAX),
        Value::Unsigned(80),
        Value::text(source),
        Value::text(destination),
    ]
}

fn exporter(settings: ExportSettings) -> ExportingSession {
    ExportingSession::new(settings, vec![template()], &Registry::standard()).expect("a good session")
}

fn collector(transport: Transport) -> CollectingSession {
    CollectingSession::new(transport, Arc::new(Limits::default()), Arc::new(Registry::standard()))
}

/// A record as text: `name=value` of each field.
fn text(record: DataRecord<'_>) -> String {
    record.fields().map(|(field, value)| format!("{}={value}", field.name)).collect::<Vec<_>>().join(" ")
}

fn receive(
    session: &mut CollectingSession,
    now: u64,
    message: &[u8],
) -> Result<(MessageSummary, Vec<String>), DecodeError> {
    let mut records = Vec::new();
    let summary = session.receive(now, message, &mut |record| records.push(text(record)))?;
    Ok((summary, records))
}

#[test]
fn a_stream_carries_strings_of_every_length() {
    let mut exporter = exporter(ExportSettings::stream(7));
    let lengths = [0, 1, 254, 255, 256, 60_000, 65_000];
    for length in lengths {
        let added = exporter.add(NOW, FLOWS, values("", &"x".repeat(length))).unwrap();
        assert!(!added.strings_cut, "{length}");
    }
    exporter.flush(NOW);

    let mut stream = Vec::new();
    while let Some(message) = exporter.next_message() {
        stream.extend(message.octets);
    }
    let (mut framer, mut collector, mut seen) = (Framer::new(), collector(Transport::Stream), Vec::new());
    for piece in stream.chunks(1_000) {
        framer.push(piece);
        while let Some(message) = framer.next_message().unwrap() {
            let (_, records) = receive(&mut collector, NOW, message).unwrap();
            seen.extend(records);
        }
    }
    let expected = lengths.map(|length| {
        format!(
            "flowStartSeconds=1763000000 sourceIPv4Address=10.10.0.5 octetTotalCount=18446744073709551615 \
             reverseOctetDeltaCount=80 sourcePodName= destinationPodName={}",
            "x".repeat(length)
        )
    });
    assert_eq!(seen, expected);
}

#[test]
fn sequence_numbers_count_records_and_domains_are_kept_apart() {
    let mut exporter = exporter(ExportSettings::udp(9, 484));
    for _ in 0..100 {
        exporter.add(NOW, FLOWS, values("cart-7d9", "db-0")).unwrap();
    }
    exporter.flush(NOW);
    let mut collector = collector(Transport::Udp);
    let (mut expected, mut total) = (0, 0);
    while let Some(message) = exporter.next_message() {
        assert!(message.octets.len() <= 484);
        let (summary, records) = receive(&mut collector, NOW, &message.octets).unwrap();
        let header = summary.header.unwrap();
        assert_eq!((header.sequence, header.domain, header.export_time), (expected, 9, 1_763_000_000));
        assert_eq!(usize::try_from(message.records).unwrap(), records.len());
        expected += message.records;
        total += records.len();
    }
    assert_eq!(total, 100);
}

#[test]
fn a_record_that_exceeds_a_datagram_has_its_longest_string_cut_between_characters() {
    let mut exporter = exporter(ExportSettings::udp(1, 200));
    let added = exporter.add(NOW, FLOWS, values("short", &"ä".repeat(300))).unwrap();
    assert!(added.strings_cut);
    exporter.flush(NOW);
    let mut collector = collector(Transport::Udp);
    let mut seen = Vec::new();
    while let Some(message) = exporter.next_message() {
        assert!(message.octets.len() <= 200);
        seen.extend(receive(&mut collector, NOW, &message.octets).unwrap().1);
    }
    let [record] = &seen[..] else { panic!("one record wanted: {seen:?}") };
    let (before, cut) = record.split_once(" destinationPodName=").unwrap();
    assert!(before.ends_with("sourcePodName=short"));
    assert!(cut.chars().all(|letter| letter == 'ä') && cut.chars().count() > 50, "{cut}");
}

#[test]
fn data_before_its_template_is_held_and_then_given_out() {
    let mut exporter = exporter(ExportSettings::udp(1, 1_400));
    exporter.send_templates(NOW);
    exporter.flush(NOW);
    exporter.add(NOW, FLOWS, values("a", "b")).unwrap();
    exporter.flush(NOW);
    let (templates, data) = (exporter.next_message().unwrap(), exporter.next_message().unwrap());

    let mut collector = collector(Transport::Udp);
    let (summary, records) = receive(&mut collector, NOW, &data.octets).unwrap();
    assert_eq!((summary.sets_held, summary.unknown_template, records.len()), (1, Some(256), 0));
    let (summary, records) = receive(&mut collector, NOW, &templates.octets).unwrap();
    assert_eq!((summary.sets_claimed, summary.records, records.len()), (1, 1, 1));
    assert!(records[0].ends_with("sourcePodName=a destinationPodName=b"));
}

#[test]
fn a_malformed_message_is_dropped_whole_and_the_session_goes_on() {
    let mut exporter = exporter(ExportSettings::stream(1));
    exporter.add(NOW, FLOWS, values("a", "b")).unwrap();
    exporter.flush(NOW);
    let good = exporter.next_message().unwrap().octets;
    let mut bad = good.clone();
    // The last string claims more octets than there are.
    let length_of_last = bad.len() - 2;
    bad[length_of_last] = 200;

    let mut collector = collector(Transport::Stream);
    let error = receive(&mut collector, NOW, &bad).unwrap_err();
    assert_eq!(error.to_string(), format!("field at byte {} wants 200 octets, 1 are left", good.len() - 1));
    assert_eq!(error.reason(), "truncated");
    assert_eq!(collector.template_count(), 0, "the template of a malformed message does not count either");
    let (summary, records) = receive(&mut collector, NOW, &good).unwrap();
    assert_eq!((summary.templates, records.len()), (1, 1));
}
