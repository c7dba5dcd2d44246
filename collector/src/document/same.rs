//! The property that the way over a document rests on and the straight way must keep: for records of all kinds, both
//! give the same octets.

use std::cell::Cell;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use podflow_cluster::{Directory, Inventory};
use podflow_flow::record::{antrea_observation_domain, observation_domain};
use podflow_ipfix::collect::{CollectingSession, Transport};
use podflow_ipfix::data_type::DataType;
use podflow_ipfix::element::{ANTREA, ANTREA_LEGACY, REVERSE};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::{ElementKey, Limits};

use super::names::Members;
use super::role::Role;
use super::shape::{Origin, Window};
use super::unknown::UnknownNames;
use super::{Builder, Drafted, Lined, json};

const EXPORT: u32 = 1_795_377_600;

const CLUSTER: &str = "
nodes:
  - {name: node-a, addresses: [172.18.0.2, 'fd00::2'], podCIDRs: [10.10.0.0/24]}
  - {name: node-b, addresses: [172.18.0.3], podCIDRs: [10.10.1.0/24]}
pods:
  - {namespace: shop, name: cart-7d9, node: node-a, ips: [10.10.0.5, 'fd01::5']}
  - {namespace: shop, name: db-0, node: node-b, ips: [10.10.1.9]}
  - {namespace: shop, name: late, node: node-b, ips: [10.10.1.10], startedMs: 1795377599000}
services:
  - {namespace: shop, name: db, clusterIPs: [10.96.0.20, 'fd02::20'], ports: [{name: sql, port: 5432, protocol: TCP}]}
";

/// A field of a random template, and the octets of its values.
#[derive(Clone, Debug)]
struct RandomField {
    key: ElementKey,
    length: u16,
    octets: Vec<Vec<u8>>,
}

fn element() -> impl Strategy<Value = ElementKey> {
    let iana = prop_oneof![
        Just(1),
        Just(2),
        Just(4),
        Just(7),
        Just(8),
        Just(11),
        Just(12),
        Just(27),
        Just(28),
        Just(85),
        Just(86),
        Just(136),
        Just(148),
        Just(150),
        Just(151),
        Just(152),
        Just(153),
        Just(154),
        Just(210),
        Just(56),
        Just(225),
        Just(292),
        Just(276),
        1..340_u16,
    ];
    prop_oneof![
        10 => iana.prop_map(ElementKey::iana),
        2 => prop_oneof![Just(1_u16), Just(2), Just(85), Just(86)].prop_map(ElementKey::reverse),
        8 => (100..110_u16).prop_map(|id| ElementKey::new(ANTREA_LEGACY, id)),
        6 => prop_oneof![100..176_u16, Just(137), Just(115)].prop_map(|id| ElementKey::new(ANTREA, id)),
        1 => (1..5_u16).prop_map(|id| ElementKey::new(99_999, id)),
        1 => (1..400_u16).prop_map(|id| ElementKey::new(REVERSE, id)),
    ]
}

/// Octets that are likely for an element: addresses and names of the cluster, small numbers, and anything.
fn octets(key: ElementKey, records: usize) -> impl Strategy<Value = (u16, Vec<Vec<u8>>)> {
    let data_type = Registry::standard().lookup(key).map(|element| element.data_type);
    let fixed = |lengths: BoxedStrategy<usize>, likely: BoxedStrategy<Vec<u8>>| {
        lengths
            .prop_flat_map(move |length| {
                let anything = prop::collection::vec(any::<u8>(), length);
                let likely = likely.clone().prop_map(move |octets| {
                    let mut wide = vec![0; length.saturating_sub(octets.len())];
                    wide.extend_from_slice(&octets[octets.len().saturating_sub(length)..]);
                    wide
                });
                let octets = prop_oneof![40 => likely, 1 => anything];
                (Just(short(length)), prop::collection::vec(octets, records))
            })
            .boxed()
    };
    let number = prop_oneof![
        any::<u8>().prop_map(u64::from),
        Just(2),
        Just(5432),
        any::<u64>().prop_map(|number| number >> 9)
    ]
    .prop_map(|number| number.to_be_bytes().to_vec());
    let second = prop_oneof![Just(EXPORT - 60), Just(EXPORT), any::<u32>()];
    let text = prop_oneof![
        Just(String::new()),
        Just("node-a".to_owned()),
        Just("node-b".to_owned()),
        Just("cart \"7d9\"\\\u{1}é".to_owned()),
        ".{0,30}",
    ];
    match data_type {
        Some(DataType::Ipv4Address) => {
            let address = prop::sample::select(vec![
                "10.10.0.5",
                "10.10.1.9",
                "10.10.1.10",
                "10.10.1.77",
                "10.96.0.20",
                "172.18.0.3",
                "0.0.0.0",
                "192.0.2.1",
            ]);
            let address =
                address.prop_map(|text| text.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec());
            fixed(prop_oneof![40 => Just(4), 1 => 1..6_usize].boxed(), address.boxed())
        }
        Some(DataType::Ipv6Address) => {
            let address = prop::sample::select(vec!["fd01::5", "fd00::2", "fd02::20", "::", "2001:db8::1"]);
            let address =
                address.prop_map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec());
            fixed(Just(16).boxed(), address.boxed())
        }
        Some(DataType::String) => {
            let text = prop_oneof![40 => text.prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..20)];
            (Just(65_535), prop::collection::vec(text, records)).boxed()
        }
        Some(DataType::DateTimeSeconds) => fixed(
            prop_oneof![Just(4), Just(8)].boxed(),
            second.prop_map(|s| u64::from(s).to_be_bytes().to_vec()).boxed(),
        ),
        Some(DataType::DateTimeMilliseconds) => fixed(
            Just(8).boxed(),
            second.prop_map(|s| (u64::from(s) * 1000 + 7).to_be_bytes().to_vec()).boxed(),
        ),
        Some(data_type) => {
            let natural =
                usize::from(data_type.natural_length().filter(|length| *length != 65_535).unwrap_or(3));
            fixed(prop_oneof![20 => Just(natural), 1 => 1..10_usize].boxed(), number.boxed())
        }
        None => fixed((1..10_usize).boxed(), number.boxed()),
    }
}

const RECORDS: usize = 3;

fn field() -> impl Strategy<Value = RandomField> {
    element().prop_flat_map(|key| {
        octets(key, RECORDS).prop_map(move |(length, octets)| RandomField { key, length, octets })
    })
}

fn short(length: usize) -> u16 {
    length.try_into().unwrap()
}

/// One message: a template and its records.
fn message(domain: u32, fields: &[RandomField]) -> Vec<u8> {
    let mut template = vec![];
    for field in fields {
        let id = if field.key.enterprise == 0 { field.key.id } else { field.key.id | 0x8000 };
        template.extend(id.to_be_bytes());
        template.extend(field.length.to_be_bytes());
        if field.key.enterprise != 0 {
            template.extend(field.key.enterprise.to_be_bytes());
        }
    }
    let mut data = vec![];
    for record in 0..RECORDS {
        for field in fields {
            let octets = &field.octets[record];
            if field.length == 65_535 {
                data.push(255);
                data.extend(short(octets.len()).to_be_bytes());
            }
            data.extend(octets);
        }
    }
    let mut message = vec![0, 10, 0, 0];
    for number in [EXPORT, 7, domain] {
        message.extend(number.to_be_bytes());
    }
    message.extend([0, 2]);
    message.extend(short(template.len() + 8).to_be_bytes());
    message.extend([1, 0]);
    message.extend(short(fields.len()).to_be_bytes());
    message.extend(template);
    message.extend([1, 0]);
    message.extend(short(data.len() + 4).to_be_bytes());
    message.extend(data);
    let length = short(message.len());
    message[2..4].copy_from_slice(&length.to_be_bytes());
    message
}

fn builder(directory: &Arc<Directory>) -> Builder {
    let window = Window { past: Duration::from_secs(3600), future: Duration::from_secs(60) };
    let members = Members::new("blue", Vec::new());
    Builder::new(Arc::clone(directory), members, window, Arc::new(UnknownNames::default()))
}

/// Both ways of every record; how many went the straight one.
fn compare(message: &[u8], received_ms: i64) -> usize {
    let directory = Arc::new(Directory::default());
    directory.replace(Inventory::parse(CLUSTER).unwrap(), 0);
    let (mut straight, mut over_document) = (builder(&directory), builder(&directory));
    let mut session =
        CollectingSession::new(Transport::File, Arc::new(Limits::default()), Arc::new(Registry::standard()));
    let exporter: IpAddr = "172.18.0.2".parse().unwrap();
    let mut straightly = 0;
    let received = session.receive(0, message, &mut |record| {
        let mut origin = Origin::of(&record, exporter, received_ms, 0);
        origin.sampling = (received_ms % 2 == 0).then_some(100);
        let mut line = b"before".to_vec();
        let mut told = None;
        let lined = straight.line(&origin, &record, &mut line, |timestamp, id, _| {
            told = Some((timestamp, id));
        });
        let mut other = b"before".to_vec();
        match (lined, over_document.draft(&origin, record.fields())) {
            (Lined::Written(adjustments), Drafted::Ready(draft)) => {
                let (document, expected) = over_document.finish(draft);
                json::write(&document, &mut other);
                assert_eq!(String::from_utf8_lossy(&line), String::from_utf8_lossy(&other));
                assert_eq!(told, Some((document.timestamp, document.id)));
                assert_eq!(adjustments, expected);
                straightly += 1;
            }
            (Lined::OtherSide, Drafted::OtherSide) => assert_eq!(line, b"before"),
            (Lined::NotPlain, _) => assert_eq!(line, b"before"),
            (lined, drafted) => panic!("{lined:?}, but {drafted:?}"),
        }
    });
    // Lists are checked before any record is given out: a message with a bad one has none.
    assert!(received.is_ok() || straightly == 0);
    straightly
}

/// Fields of which none stands in the way of a plan.
fn tidied(fields: Vec<RandomField>) -> Vec<RandomField> {
    let registry = Registry::standard();
    let (mut names, mut roles) = (HashSet::new(), HashSet::new());
    let is_plain = |field: &RandomField| {
        let Some(element) = registry.lookup(field.key) else { return false };
        let role = Role::of(field.key);
        let time =
            matches!(element.data_type, DataType::DateTimeMicroseconds | DataType::DateTimeNanoseconds);
        !(element.data_type.is_structured() || time && role.is_some())
            && names.insert(element.name.to_string())
            && role.is_none_or(|role| roles.insert(role as u8))
    };
    let mut is_plain = is_plain;
    fields.into_iter().filter(|field| is_plain(field)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_give_the_same_octets(
        fields in prop::collection::vec(field(), 1..30),
        domain in prop::sample::select(vec![observation_domain("blue", "node-a"), antrea_observation_domain("node-b"), 7]),
        received in prop::sample::select(vec![0, 86_400_000_i64]),
    ) {
        compare(&message(domain, &fields), i64::from(EXPORT) * 1000 + received);
    }
}

#[test]
fn both_ways_give_the_same_octets_for_plain_records() {
    let strategy = (
        prop::collection::vec(field(), 20..60),
        prop::sample::select(vec![observation_domain("blue", "node-a"), antrea_observation_domain("node-b")]),
    );
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    let straight = Cell::new(0);
    runner
        .run(&strategy, |(fields, domain)| {
            let fields = tidied(fields);
            if !fields.is_empty() {
                straight.set(straight.get() + compare(&message(domain, &fields), i64::from(EXPORT) * 1000));
            }
            Ok(())
        })
        .unwrap();
    assert!(straight.get() > 256, "of 768 records {} went the straight way", straight.get());
}

#[test]
fn records_of_our_agents_and_of_antreas_go_the_straight_way() {
    let field = |(enterprise, id): (u32, u16)| {
        let key = ElementKey::new(enterprise, id);
        let data_type = Registry::standard().lookup(key).unwrap().data_type;
        let length = data_type.natural_length().unwrap_or(65_535);
        let octets = if length == 65_535 { b"shop/x".to_vec() } else { vec![0; length.into()] };
        RandomField { key, length, octets: vec![octets; RECORDS] }
    };
    for profile in [podflow_flow::Profile::V09, podflow_flow::Profile::Full, podflow_flow::Profile::Antrea] {
        for ipv4 in [true, false] {
            let fields: Vec<_> =
                profile.fields(ipv4).map(|(_, key)| field((key.enterprise, key.id))).collect();
            assert_eq!(compare(&message(7, &fields), i64::from(EXPORT) * 1000), RECORDS, "{profile:?}");
        }
    }
    let antreas = (100..150).map(|id| (ANTREA, id)).filter(|(enterprise, id)| {
        Registry::standard().lookup(ElementKey::new(*enterprise, *id)).is_some() && *id != 107
    });
    let fields: Vec<_> = antreas.map(field).collect();
    assert!(fields.len() > 30);
    assert_eq!(compare(&message(7, &fields), i64::from(EXPORT) * 1000), RECORDS);
}
