//! Messages written by hand, octet by octet with a word on each (`testdata/golden`), and what they say as JSON: reading
//! gives the one from the other, and exporting the other from the one.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

use std::path::PathBuf;
use std::sync::Arc;

use podflow_ipfix::collect::{CollectingSession, DataRecord, Transport};
use podflow_ipfix::data_type::{DataType, Semantics, Units};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::message::Version;
use podflow_ipfix::registry::{Element, Registry};
use podflow_ipfix::template::{CompiledTemplate, FieldSpecifier, Template, TemplateField, TemplateId};
use podflow_ipfix::value::{List, ListContent, ListRecord, ListSemantic, Value};
use podflow_ipfix::{ElementKey, Limits};
use serde_json::{Value as Json, json};

#[test]
fn every_type_of_value() {
    read("types");
    write("types");
}

#[test]
fn structured_data() {
    read("lists");
    write("lists");
}

#[test]
fn options_with_type_information_and_statistics() {
    read("options");
    write("options");
}

#[test]
fn netflow_9() {
    read("netflow9");
}

#[test]
fn netflow_5() {
    read("netflow5");
}

/// The message as it is read is what its JSON says.
fn read(name: &str) {
    let (octets, golden) = (octets(name), golden(name));
    let registry = registry(&[&golden["elements"]]);
    let mut session = CollectingSession::new(Transport::Udp, Arc::new(Limits::default()), Arc::new(registry));
    let mut records = Vec::new();
    let mut header = None;
    let received = session.receive(0, &octets, &mut |record| {
        header = Some(*record.header());
        records.push(record_json(&record));
    });
    assert!(received.is_ok_and(|summary| summary.sets_held == 0), "{name}");
    let header = header.expect("a record");
    let expected = ["version", "exportTime", "sequence", "domain"].map(|key| golden[key].as_u64().unwrap());
    let seen = [header.version.number().into(), header.export_time, header.sequence, header.domain];
    assert_eq!(seen.map(u64::from), expected, "{name}");
    assert_eq!(records.len(), golden["records"].as_array().unwrap().len());
    for (record, golden) in records.iter().zip(golden["records"].as_array().unwrap()) {
        assert_eq!(record, golden, "{name}");
    }
}

/// The message that is exported of its JSON has its octets.
fn write(name: &str) {
    let golden = golden(name);
    let registry = Arc::new(registry(&[&golden["elements"], &golden["described"]]));
    let number = |of: &Json, key: &str| u32::try_from(of[key].as_u64().unwrap()).unwrap();
    let inner: Vec<Template> =
        golden["inner"].as_array().unwrap().iter().map(|it| template(it, &registry)).collect();
    let records = golden["records"].as_array().unwrap();
    let mut templates = inner.clone();
    for record in records {
        let template = template(record, &registry);
        if !templates.iter().any(|known| known.id() == template.id()) {
            templates.push(template);
        }
    }
    let mut settings = ExportSettings::stream(number(&golden, "domain"));
    settings.pad_sets = golden["padded"] == true;
    let mut session = ExportingSession::new(settings, templates.clone(), &registry).unwrap();
    let now_ms = u64::from(number(&golden, "exportTime")) * 1_000;
    let lists = Lists { templates: inner, registry: Arc::clone(&registry) };
    let values: Vec<(TemplateId, Vec<Value<'_>>)> = records
        .iter()
        .map(|record| {
            let template = template(record, &registry);
            let compiled = CompiledTemplate::new(template, Version::Ipfix, &registry);
            let fields = compiled.fields().iter().zip(record["fields"].as_array().unwrap());
            (compiled.id(), fields.map(|(field, golden)| lists.value(field, &golden[2])).collect())
        })
        .collect();
    for (template, values) in values {
        session.add(now_ms, template, values).unwrap();
    }
    session.flush(now_ms);
    let mut message = session.next_message().unwrap().octets;
    assert!(session.next_message().is_none());
    // A session begins at 0; the golden messages are from its midst.
    message[8..12].copy_from_slice(&number(&golden, "sequence").to_be_bytes());
    assert_eq!(hex(&message), hex(&octets(name)), "{name}");
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/golden").join(name)
}

/// The octets of a file of hex, whatever stands behind a `#` left out.
fn octets(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(path(&format!("{name}.txt"))).unwrap();
    let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(octets, _)| octets));
    octets_of(&lines.collect::<String>())
}

/// Octets written in hex, with spaces anywhere.
fn octets_of(text: &str) -> Vec<u8> {
    let digits = text.chars().filter(|digit| !digit.is_whitespace());
    let digits: Vec<u32> = digits.map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn golden(name: &str) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path(&format!("{name}.json"))).unwrap()).unwrap()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The standard elements, and in lists of enterprise, id, name and type those that the reader is told of beforehand, and
/// those that the message describes itself.
fn registry(lists: &[&Json]) -> Registry {
    let mut registry = Registry::standard();
    for element in lists.iter().flat_map(|list| list.as_array().unwrap()) {
        let number = |place: usize| u32::try_from(element[place].as_u64().unwrap()).unwrap();
        registry.add(Element {
            key: ElementKey::new(number(0), number(1).try_into().unwrap()),
            name: element[2].as_str().unwrap().to_owned().into(),
            data_type: DataType::from_name(element[3].as_str().unwrap()).unwrap(),
            semantics: Semantics::Default,
            units: Units::None,
        });
    }
    registry
}

fn record_json(record: &DataRecord<'_>) -> Json {
    let fields = record.fields().map(|(field, value)| {
        let mut entry = vec![json!(field.name), json!(field.length), value_json(&value)];
        // Several enterprises have elements of one name.
        entry.extend((field.key.enterprise != 0).then(|| json!(field.key.to_string())));
        entry
    });
    let template = record.template();
    json!({
        "template": template.id().number(),
        "scope": template.wire().scope_fields(),
        "fields": fields.collect::<Vec<_>>(),
    })
}

fn value_json(value: &Value<'_>) -> Json {
    match value {
        Value::Unsigned(number)
        | Value::Seconds(number)
        | Value::Milliseconds(number)
        | Value::Microseconds(number)
        | Value::Nanoseconds(number) => json!(number),
        Value::Signed(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
        Value::List(list) => list_json(list),
        Value::Mac(_) | Value::Octets(_) | Value::String(_) | Value::Ipv4(_) | Value::Ipv6(_) => {
            json!(value.to_string())
        }
    }
}

fn list_json(list: &List<'_>) -> Json {
    let semantic = list.semantic.number();
    let values = |record: &ListRecord<'_>| record.values.iter().map(value_json).collect::<Vec<_>>();
    match &list.content {
        ListContent::Basic { field, values } => json!({
            "semantic": semantic, "element": [field.name, field.length],
            "values": values.iter().map(value_json).collect::<Vec<_>>(),
        }),
        ListContent::SubTemplate { template, records } => json!({
            "semantic": semantic, "template": template.number(),
            "records": records.iter().map(values).collect::<Vec<_>>(),
        }),
        ListContent::Multi(records) => json!({
            "semantic": semantic,
            "records": records.iter().map(|it| json!([it.template.id().number(), values(it)])).collect::<Vec<_>>(),
        }),
    }
}

/// The template of a record, or of records in lists: fields are `[name, length, …]`.
fn template(golden: &Json, registry: &Registry) -> Template {
    let fields =
        golden["fields"].as_array().unwrap().iter().map(|field| specifier(field, registry)).collect();
    let id = template_id(if golden["template"].is_u64() { &golden["template"] } else { &golden["id"] });
    match golden["scope"].as_u64().unwrap_or(0) {
        0 => Template::new(id, fields).unwrap(),
        scope => Template::options(id, u16::try_from(scope).unwrap(), fields).unwrap(),
    }
}

fn template_id(number: &Json) -> TemplateId {
    u16::try_from(number.as_u64().unwrap()).unwrap().try_into().unwrap()
}

/// A field: `[name, length, …]`, and behind the value the key of an element that is not IANA's.
fn specifier(golden: &Json, registry: &Registry) -> FieldSpecifier {
    let name = golden[0].as_str().unwrap();
    let key = match golden[3].as_str().and_then(|key| key.split_once('/')) {
        Some((enterprise, id)) => ElementKey::new(enterprise.parse().unwrap(), id.parse().unwrap()),
        None => registry.by_name(0, name).unwrap_or_else(|| panic!("no element {name}")).key,
    };
    FieldSpecifier::new(key, u16::try_from(golden[1].as_u64().unwrap()).unwrap())
}

/// What values of lists are made with.
struct Lists {
    templates: Vec<Template>,
    registry: Arc<Registry>,
}

impl Lists {
    fn value<'g>(&self, field: &TemplateField, golden: &'g Json) -> Value<'g> {
        let text = || golden.as_str().unwrap();
        let number = || golden.as_u64().unwrap();
        match field.data_type {
            DataType::Signed8 | DataType::Signed16 | DataType::Signed32 | DataType::Signed64 => {
                Value::Signed(golden.as_i64().unwrap())
            }
            DataType::Float32 | DataType::Float64 => Value::Float(golden.as_f64().unwrap()),
            DataType::Boolean => Value::Boolean(golden.as_bool().unwrap()),
            DataType::MacAddress => {
                let octets: Vec<u8> =
                    text().split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
                Value::Mac(octets.try_into().unwrap())
            }
            DataType::Ipv4Address => Value::Ipv4(text().parse().unwrap()),
            DataType::Ipv6Address => Value::Ipv6(text().parse().unwrap()),
            DataType::String => Value::text(text()),
            DataType::DateTimeSeconds => Value::Seconds(number()),
            DataType::DateTimeMilliseconds => Value::Milliseconds(number()),
            DataType::DateTimeMicroseconds => Value::Microseconds(number()),
            DataType::DateTimeNanoseconds => Value::Nanoseconds(number()),
            DataType::OctetArray | DataType::Unsigned256 => Value::Octets(octets_of(text()).leak()),
            DataType::BasicList | DataType::SubTemplateList | DataType::SubTemplateMultiList => {
                Value::List(Box::new(self.list(golden)))
            }
            _ => Value::Unsigned(number()),
        }
    }

    fn list<'g>(&self, golden: &'g Json) -> List<'g> {
        let entries = |key: &str| golden[key].as_array().into_iter().flatten();
        let content = if golden["element"].is_array() {
            let specifier = specifier(&golden["element"], &self.registry);
            let of_one = Template::new(TemplateId::constant(256), vec![specifier]).unwrap();
            let compiled = CompiledTemplate::new(of_one, Version::Ipfix, &self.registry);
            let field = compiled.fields()[0].clone();
            let values = entries("values").map(|value| self.value(&field, value)).collect();
            ListContent::Basic { field, values }
        } else if golden["template"].is_u64() {
            let records = entries("records").map(|values| self.record(&golden["template"], values));
            ListContent::SubTemplate {
                template: template_id(&golden["template"]),
                records: records.collect(),
            }
        } else {
            ListContent::Multi(entries("records").map(|record| self.record(&record[0], &record[1])).collect())
        };
        let semantics = [
            ListSemantic::NoneOf,
            ListSemantic::ExactlyOneOf,
            ListSemantic::OneOrMoreOf,
            ListSemantic::AllOf,
            ListSemantic::Ordered,
            ListSemantic::Undefined,
        ];
        let semantic = semantics.into_iter().find(|semantic| golden["semantic"] == semantic.number());
        List { semantic: semantic.unwrap(), content }
    }

    fn record<'g>(&self, template: &Json, values: &'g Json) -> ListRecord<'g> {
        let wanted = template_id(template);
        let template = self.templates.iter().find(|known| known.id() == wanted).unwrap();
        let template = Arc::new(CompiledTemplate::new(template.clone(), Version::Ipfix, &self.registry));
        let values = template.fields().iter().zip(values.as_array().unwrap());
        let values = values.map(|(field, value)| self.value(field, value)).collect();
        ListRecord { template, values }
    }
}
