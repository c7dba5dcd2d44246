//! Messages and documents that were written by hand (`collector/testdata/documents`).

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use podflow_cluster::{Directory, Inventory};
use podflow_ipfix::Limits;
use podflow_ipfix::collect::{CollectingSession, Transport};

use super::names::Members;
use super::shape::{Origin, Window};
use super::tests::CLUSTER;
use super::unknown::UnknownNames;
use super::{Builder, Drafted, Lined, json};

fn folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/documents").into()
}

/// A message as its file lists it.
struct Listing {
    exporter: IpAddr,
    octets: Vec<u8>,
    export_ms: u64,
    elements: u16,
}

impl Listing {
    fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(folder().join(name)).unwrap();
        let (mut head, mut template, mut record) = (Vec::new(), Vec::new(), Vec::new());
        let (mut exporter, mut id, mut elements) = (None, Vec::new(), 0_u16);
        for line in text.lines() {
            let Some((word, rest)) = line.split_once(' ').filter(|(word, _)| *word != "#") else { continue };
            match word {
                "exporter" => exporter = Some(rest.trim().parse().unwrap()),
                "export" | "sequence" | "domain" => head.extend(octets(rest)),
                "template" => id = octets(rest),
                element => {
                    let (enterprise, number) = element.split_once('/').unwrap();
                    let (enterprise, number): (u32, u16) =
                        (enterprise.parse().unwrap(), number.parse().unwrap());
                    let (length, value) = rest.trim_start().split_once(' ').unwrap();
                    let bit = if enterprise == 0 { 0 } else { 0x8000 };
                    template.extend((number | bit).to_be_bytes());
                    template.extend(octets(length));
                    if enterprise != 0 {
                        template.extend(enterprise.to_be_bytes());
                    }
                    record.extend(octets(value));
                    elements += 1;
                }
            }
        }
        let set = |id: &[u8], body: &[u8]| {
            let length = u16::try_from(body.len() + 4).unwrap();
            [id, &length.to_be_bytes(), body].concat()
        };
        let template = set(&[0, 2], &[&id[..], &elements.to_be_bytes(), &template].concat());
        let sets = [template, set(&id, &record)].concat();
        let length = u16::try_from(16 + sets.len()).unwrap();
        let export_ms = u64::from(u32::from_be_bytes(head[..4].try_into().unwrap())) * 1000;
        let octets = [&[0, 10][..], &length.to_be_bytes(), &head, &sets].concat();
        Self { exporter: exporter.unwrap(), octets, export_ms, elements }
    }

    /// The document, made both ways.
    fn document(&self, definitions: &[PathBuf]) -> Json {
        let directory = Arc::new(Directory::default());
        directory.replace(Inventory::parse(CLUSTER).unwrap(), 0);
        let hour = Duration::from_secs(3600);
        let mut builder = Builder::new(
            directory,
            Members::new("", Vec::new()),
            Window { past: hour, future: hour },
            Arc::new(UnknownNames::default()),
        );
        let registry = crate::definitions::registry(definitions).unwrap();
        let mut session =
            CollectingSession::new(Transport::Stream, Arc::new(Limits::default()), Arc::new(registry));
        let mut document = None;
        session
            .receive(0, &self.octets, &mut |record| {
                let origin = Origin::of(&record, self.exporter, self.export_ms as i64 + 5, 0);
                let (mut straight, mut over) = (Vec::new(), Vec::new());
                let lined = builder.line(&origin, &record, &mut straight, |_, _, _| {});
                let Drafted::Ready(draft) = builder.draft(&origin, record.fields()) else {
                    panic!("not ready")
                };
                json::write(&builder.finish(draft).0, &mut over);
                assert!(lined == Lined::NotPlain || straight == over);
                document = Some(serde_json::from_slice(&over).unwrap());
            })
            .unwrap();
        document.unwrap()
    }
}

/// Octets as hex and as text in quotes, up to a `#`.
fn octets(text: &str) -> Vec<u8> {
    let (mut octets, mut characters) = (Vec::new(), text.chars());
    let mut digits = String::new();
    while let Some(character) = characters.next() {
        match character {
            '#' => break,
            '"' => loop {
                match characters.next().unwrap() {
                    '"' => break,
                    '\\' => octets.push(characters.next().unwrap() as u8),
                    letter => octets.extend(letter.to_string().as_bytes()),
                }
            },
            digit if digit.is_ascii_hexdigit() => {
                digits.push(digit);
                if digits.len() == 2 {
                    octets.push(u8::from_str_radix(&digits, 16).unwrap());
                    digits.clear();
                }
            }
            _ => assert!(digits.is_empty(), "{text}"),
        }
    }
    octets
}

/// The document that a file tells: the pipeline's, with ours over it.
fn expected(name: &str) -> Json {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let file: Json = serde_json::from_str(&text).unwrap();
    let mut document = file["pipeline"].clone();
    let fields = document["ipfix"].as_object_mut().unwrap();
    for (name, value) in file["ours"].as_object().unwrap() {
        if value.is_null() {
            assert!(fields.remove(name).is_some(), "{name}");
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    document
}

/// The document without the id of the flow, which is a hash, and that there is one.
fn without_flow_id(mut document: Json) -> Json {
    let id = document["ipfix"].as_object_mut().unwrap().remove("flowId").unwrap();
    assert!(id.as_u64().is_some_and(|id| id > 0 && id < 1 << 53), "{id}");
    document
}

#[test]
fn seconds_of_four_and_eight_octets_with_and_without_definitions() {
    let users = folder().join("antreas-ipfix.yml");
    let shipped =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../build/yamls/elk-flow-collector/logstash/ipfix.yml");
    for listing in ["v09-seconds4.txt", "v09-seconds8.txt"] {
        let listing = Listing::read(listing);
        assert_eq!(listing.elements, 23);
        for definitions in
            [vec![], vec![users.clone()], vec![shipped.into()], vec![shipped.into(), users.clone()]]
        {
            assert_eq!(
                without_flow_id(listing.document(&definitions)),
                expected("v09.json"),
                "{definitions:?}"
            );
        }
    }
}

#[test]
fn both_nodes_agents_of_antrea_make_one_set_of_bytes() {
    for release in ["v0.12", "v2"] {
        let documents = ["source", "destination"].map(|side| {
            let document = Listing::read(&format!("antrea-{release}-{side}.txt")).document(&[]);
            let document = without_flow_id(document);
            assert_eq!(document, expected(&format!("antrea-{release}-{side}.json")), "{release} {side}");
            document
        });
        let sum = |field: &str| -> u64 { documents.iter().filter_map(|d| d["ipfix"][field].as_u64()).sum() };
        assert_eq!((sum("bytes"), sum("octetDeltaCount"), sum("reverseOctetDeltaCount")), (1280, 1200, 80));
        for pair in ["podPair", "nodePair"] {
            assert_eq!(documents[0]["ipfix"][pair], documents[1]["ipfix"][pair]);
        }
    }
}

#[test]
fn a_flow_aggregators_record() {
    let listing = Listing::read("flow-aggregator.txt");
    assert!(listing.elements >= 80, "{}", listing.elements);
    assert_eq!(without_flow_id(listing.document(&[])), expected("flow-aggregator.json"));
}
