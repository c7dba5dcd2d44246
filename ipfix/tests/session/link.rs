//! The two sessions over a link that loses, repeats and reorders, with a clock that is a number.

use std::collections::BTreeSet;

use podflow_ipfix::ElementKey;
use podflow_ipfix::collect::{Sequence, Transport};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;
use proptest::collection::vec;
use proptest::prelude::{any, proptest};

use super::support::{NOW, session};

const FLOWS: TemplateId = TemplateId::constant(256);

/// Each second one record, in a message of its own.
fn messages(seconds: u64) -> Vec<(u64, Vec<u8>)> {
    let template =
        Template::new(FLOWS, vec![FieldSpecifier::new(ElementKey::iana(148), 8)]).expect("a template");
    let mut exporter =
        ExportingSession::new(ExportSettings::udp(3, 1_400), vec![template], &Registry::standard())
            .expect("a session");
    let mut messages = Vec::new();
    for second in 0..seconds {
        let now = NOW + second * 1_000;
        exporter.add(now, FLOWS, [Value::Unsigned(second)]).expect("a record");
        exporter.flush(now);
        messages.extend(std::iter::from_fn(|| exporter.next_message()).map(|message| (now, message.octets)));
    }
    messages
}

proptest! {
    #[test]
    fn what_arrives_is_decoded_once_a_template_has_come(
        fates in vec((any::<bool>(), 0..4_u64, 0..5_u8), 120),
    ) {
        let mut arriving = Vec::new();
        for ((sent, octets), (lost, late, again)) in messages(120).into_iter().zip(fates) {
            if lost {
                continue;
            }
            arriving.push((sent + late * 1_000, octets.clone()));
            if again == 0 {
                arriving.push((sent + late * 1_000 + 500, octets));
            }
        }
        arriving.sort_by_key(|(at, _)| *at);

        let mut collector = session(Transport::Udp);
        let (mut decoded, mut delivered, mut missing) = (BTreeSet::new(), BTreeSet::new(), 0_i64);
        let (mut held, mut claimed, mut lost) = (0, 0, 0);
        for (at, octets) in &arriving {
            let summary = collector
                .receive(*at, octets, &mut |record| {
                    let number = record.fields().next().and_then(|(_, value)| value.as_unsigned());
                    decoded.extend(number);
                })
                .unwrap();
            // The record's number is the last octet of each message.
            delivered.insert(u64::from(*octets.last().unwrap()));
            held += summary.sets_held;
            claimed += summary.sets_claimed;
            lost += summary.sets_lost;
            missing += match summary.sequence {
                Sequence::Gap(units) => i64::from(units),
                Sequence::Late(units) => -i64::from(units),
                _ => 0,
            };
        }
        // Every set that was held was claimed, given up, or still waits: none is forgotten.
        assert_eq!(held, claimed + lost + u32::try_from(collector.held_sets()).unwrap());
        assert!(missing >= 0);
        assert!(decoded.is_subset(&delivered));
        if collector.template_count() > 0 && lost == 0 {
            assert_eq!(decoded, delivered, "whatever came is decoded");
        }
    }
}

/// Every third message begins with the templates: not the second, not the fourth.
#[test]
fn templates_are_sent_again_after_so_many_messages() {
    let template =
        Template::new(FLOWS, vec![FieldSpecifier::new(ElementKey::iana(148), 8)]).expect("a template");
    let sent = |settings: ExportSettings, messages: u32, records: u64| {
        let mut exporter = ExportingSession::new(settings, vec![template.clone()], &Registry::standard())
            .expect("a session");
        let mut collector = session(Transport::Udp);
        let mut with_templates = Vec::new();
        for message in 0..messages {
            for number in 0..records {
                exporter.add(NOW, FLOWS, [Value::Unsigned(number)]).expect("a record");
            }
            exporter.flush(NOW);
            let octets = exporter.next_message().expect("a message").octets;
            let summary = collector.receive(NOW, &octets, &mut |_| {}).expect("well formed");
            assert_eq!(u64::from(summary.records), records, "templates come before the records");
            if summary.templates > 0 {
                with_templates.push(message);
            }
        }
        with_templates
    };
    let udp = ExportSettings { refresh_messages: 3, ..ExportSettings::udp(3, 1_400) };
    assert_eq!(sent(udp, 10, 1), [0, 3, 6, 9]);
    assert_eq!(sent(udp, 10, 20), [0, 3, 6, 9], "however many records a message has");
    assert_eq!(sent(ExportSettings { refresh_messages: 1, ..udp }, 3, 1), [0, 1, 2]);
    let stream = ExportSettings { refresh_messages: 3, ..ExportSettings::stream(3) };
    assert_eq!(sent(stream, 10, 1), [0], "a stream needs them once");
}

#[test]
fn a_template_lost_is_made_up_for_by_the_next_refresh() {
    let mut collector = session(Transport::Udp);
    let (mut decoded, mut first_seen) = (0, None);
    for (at, octets) in messages(40).into_iter().skip(1) {
        let summary = collector.receive(at, &octets, &mut |_| decoded += 1).unwrap();
        if summary.sets_claimed > 0 {
            first_seen = Some((at - NOW) / 1_000);
        }
    }
    assert_eq!(
        (first_seen, decoded),
        (Some(30), 39),
        "all that was held comes out at the refresh after 30 s"
    );
}
