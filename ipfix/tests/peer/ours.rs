//! What we export in these tests: flows of every type of value, our own elements' descriptions, and lists.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use podflow_ipfix::ElementKey;
use podflow_ipfix::collect::NotSent;
use podflow_ipfix::data_type::{DataType, Semantics, Units};
use podflow_ipfix::element::ANTREA_LEGACY;
use podflow_ipfix::export::{
    ExportSettings, ExportingSession, Message, reliability, reliability_template, type_information,
    type_information_template,
};
use podflow_ipfix::message::Version;
use podflow_ipfix::registry::{Element, Registry};
use podflow_ipfix::template::{CompiledTemplate, FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::{List, ListContent, ListRecord, ListSemantic, Value};

pub(crate) const FLOWS: TemplateId = TemplateId::constant(256);
const INNER: TemplateId = TemplateId::constant(300);
const LISTS: TemplateId = TemplateId::constant(301);
const TYPES: TemplateId = TemplateId::constant(258);
const STATISTICS: TemplateId = TemplateId::constant(259);
/// The time of every message, milliseconds since 1970.
pub(crate) const NOW: u64 = 1_763_000_000_000;
/// How many flow records there are.
pub(crate) const RECORDS: u32 = 100;

/// An element that no other program knows beforehand.
pub(crate) fn tenant() -> Element {
    Element {
        key: ElementKey::new(4_711, 12),
        name: "tenantName".into(),
        data_type: DataType::String,
        semantics: Semantics::Default,
        units: Units::None,
    }
}

/// The standard elements and [`tenant`].
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::standard();
    registry.add(tenant());
    registry
}

/// The flow record of a number.
pub(crate) fn flow(number: u32) -> Vec<Value<'static>> {
    let port = u64::from(number) + 1_000;
    let [.., low] = number.to_be_bytes();
    vec![
        Value::Seconds(1_762_999_000 + u64::from(number)),
        Value::Milliseconds(1_762_999_500_123 + u64::from(number)),
        Value::Ipv4(Ipv4Addr::new(10, 1, 0, low)),
        Value::Ipv6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(low))),
        Value::Unsigned(port),
        Value::Unsigned(6),
        Value::Unsigned(1 << 40 | u64::from(number)),
        Value::Unsigned(u64::from(number) * 3),
        Value::Unsigned(u64::from(number) * 7),
        Value::Mac([2, 0, 0, 0, 0, low]),
        Value::Boolean(number.is_multiple_of(2)),
        Value::Float(f64::from(number) / 4.0),
        Value::String(format!("eth{}", "é".repeat(number as usize)).into()),
        Value::String(format!("pod-{number}").into()),
        Value::String(
            if number.is_multiple_of(3) { String::new() } else { format!("tenant {number}") }.into(),
        ),
    ]
}

/// The fields of [`flow`].
pub(crate) fn flow_fields() -> Vec<FieldSpecifier> {
    let fixed = |(id, length)| FieldSpecifier::new(ElementKey::iana(id), length);
    let mut fields: Vec<FieldSpecifier> =
        [(150, 4), (152, 8), (8, 4), (27, 16), (7, 2), (4, 1), (1, 8), (2, 4)].map(fixed).to_vec();
    fields.push(FieldSpecifier::new(ElementKey::reverse(1), 8));
    fields.extend([(56, 6), (276, 1), (320, 8)].map(fixed));
    fields.push(FieldSpecifier::variable(ElementKey::iana(82)));
    fields.push(FieldSpecifier::variable(ElementKey::new(ANTREA_LEGACY, 101)));
    fields.push(FieldSpecifier::variable(tenant().key));
    fields
}

/// The messages of all flow records.
pub(crate) fn flows(settings: ExportSettings) -> Vec<Message> {
    let mut exporter = exporter(settings, vec![Template::new(FLOWS, flow_fields()).expect("a template")]);
    let ours = Registry::standard();
    let pod = ours.lookup(ElementKey::new(ANTREA_LEGACY, 101)).expect("a known element");
    exporter
        .set_standing(TYPES, [type_information(&tenant()), type_information(pod)])
        .expect("type information");
    let not_sent = NotSent { flows: 1, packets: 2, octets: 3 };
    exporter.set_standing(STATISTICS, [reliability(5, not_sent)]).expect("statistics");
    for number in 0..RECORDS {
        exporter.add(NOW, FLOWS, flow(number)).expect("a record");
    }
    messages(exporter)
}

/// One message with a basicList, a subTemplateList and a subTemplateMultiList.
pub(crate) fn lists() -> Vec<Message> {
    let registry = registry();
    let inner_fields =
        vec![FieldSpecifier::new(ElementKey::iana(1), 8), FieldSpecifier::variable(ElementKey::iana(82))];
    let inner = Template::new(INNER, inner_fields).expect("a template");
    let specifiers = [291, 292, 293].map(|id| FieldSpecifier::variable(ElementKey::iana(id))).to_vec();
    let mut exporter = exporter(
        ExportSettings::stream(7),
        vec![inner.clone(), Template::new(LISTS, specifiers).expect("a template")],
    );
    let inner = Arc::new(CompiledTemplate::new(inner, Version::Ipfix, &registry));
    let name = inner.fields()[1].clone();
    let record = |octets: u64, name: &'static str| ListRecord {
        template: Arc::clone(&inner),
        values: vec![Value::Unsigned(octets), Value::text(name)],
    };
    let list = |semantic, content| Value::List(Box::new(List { semantic, content }));
    let values = [
        list(
            ListSemantic::AllOf,
            ListContent::Basic { field: name, values: vec![Value::text("a"), Value::text("bc")] },
        ),
        list(
            ListSemantic::Ordered,
            ListContent::SubTemplate { template: INNER, records: vec![record(5, "x"), record(6, "")] },
        ),
        list(ListSemantic::ExactlyOneOf, ListContent::Multi(vec![record(7, "y")])),
    ];
    exporter.add(NOW, LISTS, values).expect("a record");
    messages(exporter)
}

fn exporter(settings: ExportSettings, mut templates: Vec<Template>) -> ExportingSession {
    templates.push(type_information_template(TYPES).expect("a template"));
    templates.push(reliability_template(STATISTICS).expect("a template"));
    ExportingSession::new(settings, templates, &registry()).expect("a session")
}

fn messages(mut exporter: ExportingSession) -> Vec<Message> {
    exporter.flush(NOW);
    std::iter::from_fn(|| exporter.next_message()).collect()
}
