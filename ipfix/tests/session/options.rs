//! Options records that the collector itself uses: RFC 5610, RFC 7011 section 4.3, sampling.

use std::net::SocketAddr;
use std::sync::Arc;

use super::support::{
    NOW, message, options_template, receive, records, session, set, template, text, variable,
};
use podflow_ipfix::collect::{NotSent, Sampling, Transport, UdpSessions};
use podflow_ipfix::data_type::{DataType, Semantics, Units};
use podflow_ipfix::export::{
    ExportSettings, ExportingSession, reliability, reliability_template, type_information,
    type_information_template,
};
use podflow_ipfix::message::Version;
use podflow_ipfix::registry::{Element, Registry};
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;
use podflow_ipfix::{ElementKey, Limits};

const VARIABLE: u16 = 65_535;
/// privateEnterpriseNumber, informationElementId, type, semantics, name.
const TYPE_INFORMATION: [(u32, u16, u16); 5] =
    [(0, 346, 4), (0, 303, 2), (0, 339, 1), (0, 344, 1), (0, 341, VARIABLE)];

fn description(enterprise: u32, id: u16, data_type: u8, name: &str) -> Vec<u8> {
    [&enterprise.to_be_bytes()[..], &id.to_be_bytes(), &[data_type, 0], &variable(name)].concat()
}

#[test]
fn an_unknown_element_gets_its_announced_name_and_type() {
    let mut collector = session(Transport::Stream);
    let flows = [
        template(256, &[(4_711, 12, VARIABLE), (4_711, 13, 2)]),
        set(256, [&variable("ab")[..], &[1, 0]].concat()),
    ];
    assert_eq!(records(&mut collector, &message(1, 0, &flows)), ["e4711id12=6162 e4711id13=0100"]);

    let about =
        [description(4_711, 12, 13, "tenantName"), description(4_711, 13, 2, "tenantNumber")].concat();
    let sets = [options_template(300, 2, &TYPE_INFORMATION), set(300, about)];
    let (summary, _) = receive(&mut collector, NOW, &message(1, 0, &sets)).unwrap();
    assert_eq!((summary.options_records, summary.elements_learned), (2, 2));
    let data = [set(256, [&variable("cd")[..], &[1, 0]].concat())];
    assert_eq!(records(&mut collector, &message(1, 0, &data)), ["tenantName=cd tenantNumber=256"]);
}

#[test]
fn descriptions_that_would_mislead_are_refused() {
    let mut collector = session(Transport::Stream);
    let about = [
        // Another type under a name that everybody knows, and names that could not be a field's.
        description(4_711, 1, 13, "octetDeltaCount"),
        description(4_711, 2, 13, ""),
        description(4_711, 3, 13, "a.b"),
        // What is known stays as it is, without a word: our own exporters describe what we know.
        description(0, 1, 13, "myOctets"),
    ];
    let sets = [options_template(300, 2, &TYPE_INFORMATION), set(300, about.concat())];
    let (summary, _) = receive(&mut collector, NOW, &message(1, 0, &sets)).unwrap();
    assert_eq!((summary.elements_learned, summary.elements_refused), (0, 3));
    let flows = [template(256, &[(0, 1, 1), (4_711, 1, 1)]), set(256, [5, 6])];
    assert_eq!(records(&mut collector, &message(1, 0, &flows)), ["octetDeltaCount=5 e4711id1=06"]);
}

#[test]
fn reliability_statistics_are_kept() {
    let mut collector = session(Transport::Stream);
    let statistics = options_template(259, 1, &[(0, 144, 4), (0, 166, 8), (0, 167, 8), (0, 168, 8)]);
    let record =
        [&1_u32.to_be_bytes()[..], &3_u64.to_be_bytes(), &4_u64.to_be_bytes(), &5_u64.to_be_bytes()].concat();
    records(&mut collector, &message(7, 0, &[statistics, set(259, record)]));
    let options = collector.options(Version::Ipfix, 7).unwrap();
    assert_eq!(options.not_sent, Some(NotSent { flows: 3, packets: 4, octets: 5 }));
    assert!(collector.options(Version::Ipfix, 8).is_none());
}

#[test]
fn sampling_is_found_by_the_selector_of_the_record() {
    let mut collector = session(Transport::Stream);
    let selectors = options_template(260, 1, &[(0, 302, 8), (0, 304, 2), (0, 305, 4), (0, 306, 4)]);
    let selector = |id: u64, taken: u32, left: u32| {
        [&id.to_be_bytes()[..], &1_u16.to_be_bytes(), &taken.to_be_bytes(), &left.to_be_bytes()].concat()
    };
    let about = [selector(5, 1, 99), selector(6, 10, 990)].concat();
    let flows = template(256, &[(0, 302, 8), (0, 1, 4)]);
    records(&mut collector, &message(1, 0, &[selectors, set(260, about), flows]));
    let of = |id: u64| set(256, [&id.to_be_bytes()[..], &[0; 4]].concat());
    let mut seen = Vec::new();
    let data = message(1, 0, &[of(5), of(6), of(7)]);
    collector.receive(NOW, &data, &mut |record| seen.push(record.sampling())).unwrap();
    let every_hundredth = Some(Sampling { algorithm: Some(1), interval: 100 });
    assert_eq!(seen, [every_hundredth, every_hundredth, None]);
}

#[test]
fn an_exporter_describes_itself_behind_its_templates() {
    let tenant = Element {
        key: ElementKey::new(4_711, 12),
        name: "tenantName".into(),
        data_type: DataType::String,
        semantics: Semantics::Default,
        units: Units::None,
    };
    let mut registry = Registry::standard();
    registry.add(tenant.clone());
    let [flows, types, statistics] = [256, 258, 259].map(|id| TemplateId::try_from(id).unwrap());
    let fields = vec![FieldSpecifier::variable(tenant.key)];
    let templates = vec![
        Template::new(flows, fields).unwrap(),
        type_information_template(types).unwrap(),
        reliability_template(statistics).unwrap(),
    ];
    let mut exporter = ExportingSession::new(ExportSettings::udp(7, 484), templates, &registry).unwrap();
    exporter.set_standing(types, [type_information(&tenant)]).unwrap();
    let not_sent = NotSent { flows: 1, packets: 2, octets: 3 };
    exporter.set_standing(statistics, [reliability(0, not_sent)]).unwrap();

    // Ours is told nothing of the element beforehand.
    let mut collector = session(Transport::Udp);
    let mut expected = 0;
    let mut seen = Vec::new();
    for (now, name) in [(NOW, "a"), (NOW + 1_000, "b"), (NOW + 31_000, "c")] {
        exporter.add(now, flows, [Value::text(name)]).unwrap();
        exporter.flush(now);
        while let Some(message) = exporter.next_message() {
            let (summary, records) = receive(&mut collector, now, &message.octets).unwrap();
            assert_eq!(summary.header.unwrap().sequence, expected, "options records count, templates do not");
            assert_eq!(
                (summary.records, summary.options_records),
                (message.records, message.options_records)
            );
            expected += message.records + message.options_records;
            seen.extend(
                records
                    .into_iter()
                    .filter(|record| record.contains("tenantName=") || record.contains("e4711")),
            );
        }
    }
    // The first record came in the message that brought the description, and is named by it.
    assert_eq!(seen, ["tenantName=a", "tenantName=b", "tenantName=c"]);
    assert_eq!(expected, 3 + 4, "twice two options records: at first and after 30 seconds");
    assert_eq!(collector.options(Version::Ipfix, 7).unwrap().not_sent, Some(not_sent));
}

#[test]
fn described_elements_are_known_after_a_restart() {
    let limits = Limits { announced_elements: 2, template_lifetime_ms: 60_000, ..Limits::default() };
    let sessions = || UdpSessions::new(Arc::new(limits.clone()), Arc::new(Registry::standard()));
    let [lively, silent] =
        ["[fd00::1]:1000", "10.0.0.1:1000"].map(|text| text.parse::<SocketAddr>().unwrap());
    let about = [
        description(4_711, 12, 13, "tenantName"),
        description(4_711, 13, 2, "tenantNumber"),
        description(4_711, 14, 2, "beyondTheLimit"),
    ];
    let flows = template(256, &[(4_711, 12, VARIABLE), (4_711, 13, 2), (4_711, 14, 2)]);
    let sets = [options_template(300, 2, &TYPE_INFORMATION), set(300, about.concat()), flows];
    let mut before = sessions();
    for (from, at) in [(silent, 5_000), (lively, 30_000)] {
        let summary = before.receive(at, from, &message(7, 0, &sets), &mut |_| {}).unwrap().summary;
        assert_eq!((summary.elements_learned, summary.elements_refused), (2, 1));
    }
    let saved = before.save(40_000, NOW);

    // 30 seconds later the templates of one exporter have died, and with them what it said.
    let mut after = sessions();
    let restored = after.restore(0, NOW + 30_000, &saved, |_| true);
    assert_eq!((restored.templates, restored.expired, restored.elements), (2, 2, 2));
    let mut seen = Vec::new();
    let data = message(7, 9, &[set(256, [&variable("ab")[..], &[1, 0, 0, 9]].concat())]);
    after.receive(10, lively, &data, &mut |record| seen.push(text(&record))).unwrap();
    assert_eq!(seen, ["tenantName=ab tenantNumber=256 e4711id14=0009"]);
    // The bound holds over the restart, under a new port too.
    let more = message(7, 10, &[set(300, description(4_711, 14, 2, "beyondTheLimit"))]);
    assert_eq!(after.receive(20, lively, &more, &mut |_| {}).unwrap().summary.elements_refused, 1);
    let moved = SocketAddr::new(lively.ip(), 2_000);
    let received = after.receive(30, moved, &more, &mut |_| {}).unwrap();
    assert_eq!((received.templates_taken_over, received.summary.elements_refused), (true, 1));

    // What our own definitions have come to say meanwhile goes before; damage loses only what stands behind it.
    let mut registry = Registry::standard();
    registry.add(Element {
        key: ElementKey::new(4_711, 12),
        name: "renter".into(),
        data_type: DataType::String,
        semantics: Semantics::Default,
        units: Units::None,
    });
    let mut defined = UdpSessions::new(Arc::new(limits.clone()), Arc::new(registry));
    assert_eq!(defined.restore(0, NOW, &saved, |_| true).elements, 2, "one of each exporter");
    let again = sessions().restore(0, NOW, &defined.save(0, NOW), |_| true);
    assert_eq!((again.templates, again.elements), (4, 2), "definitions are not saved");
    let damaged = sessions().restore(0, NOW, &saved[..saved.len() - 1], |_| true);
    assert_eq!((damaged.templates, damaged.elements), (4, 3));
    assert!(damaged.damage.is_some());
}
