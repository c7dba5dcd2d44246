//! Records as exporters send them, through session and builder, to the JSON that is stored.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use podflow_cluster::{Directory, Inventory};
use podflow_flow::record::{antrea_observation_domain, observation_domain};
use podflow_flow::{Counters, FIELDS, FlowEndReason, FlowRecord, FlowType, Profile};
use podflow_ipfix::collect::{CollectingSession, Transport};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value as Wire;
use podflow_ipfix::{ElementKey, Limits};

use super::names::Members;
use super::shape::{Origin, Window};
use super::unknown::UnknownNames;
use super::{Builder, Drafted, Lined, json};

/// 2026-11-22T20:00:00Z in milliseconds.
const EXPORT_MS: u64 = 1_795_377_600_000;

pub(super) const CLUSTER: &str = "
nodes:
  - {name: node-a, addresses: [172.18.0.2], podCIDRs: [10.10.0.0/24]}
  - {name: node-b, addresses: [172.18.0.3], podCIDRs: [10.10.1.0/24]}
pods:
  - {namespace: shop, name: cart-7d9, node: node-a, ips: [10.10.0.5]}
  - {namespace: shop, name: db-0, node: node-b, ips: [10.10.1.9]}
services:
  - {namespace: shop, name: db, clusterIPs: [10.96.0.20], ports: [{name: sql, port: 5432, protocol: TCP}]}
";

fn builder() -> Builder {
    let directory = Arc::new(Directory::default());
    directory.replace(Inventory::parse(CLUSTER).unwrap(), 0);
    let day = Duration::from_secs(86_400);
    Builder::new(
        directory,
        Members::new("blue", Vec::new()),
        Window { past: day, future: day },
        Arc::new(UnknownNames::default()),
    )
}

/// What an exporter sends: template fields with their wire length, and a value each.
fn message(domain: u32, fields: &[(ElementKey, u16, Wire<'_>)]) -> Vec<u8> {
    let specifiers =
        fields.iter().map(|(element, length, _)| FieldSpecifier { element: *element, length: *length });
    let id = TemplateId::try_from(256).unwrap();
    let template = Template::new(id, specifiers.collect()).unwrap();
    let mut session =
        ExportingSession::new(ExportSettings::stream(domain), vec![template], &Registry::standard()).unwrap();
    session.add(EXPORT_MS, id, fields.iter().map(|(_, _, value)| value.clone())).unwrap();
    session.flush(EXPORT_MS);
    std::iter::from_fn(|| session.next_message()).flat_map(|message| message.octets).collect()
}

/// What our agent sends.
fn agents_message(profile: Profile, domain: u32, record: &FlowRecord<'_>) -> Vec<u8> {
    let fields: Vec<_> = profile
        .fields(record.is_ipv4())
        .map(|(field, element)| (element, field.length, (field.value)(record)))
        .collect();
    message(domain, &fields)
}

/// Every document of a stream of messages; `None` where the copy of the other side was dropped.
fn documents(builder: &mut Builder, exporter: &str, stream: &[u8]) -> Vec<Option<Json>> {
    let mut session =
        CollectingSession::new(Transport::File, Arc::new(Limits::default()), Arc::new(Registry::standard()));
    let exporter: IpAddr = exporter.parse().unwrap();
    let mut framer = podflow_ipfix::framing::Framer::new();
    framer.push(stream);
    let mut documents = Vec::new();
    while let Some(message) = framer.next_message().unwrap() {
        session
            .receive(0, message, &mut |record| {
                let origin = Origin::of(&record, exporter, EXPORT_MS as i64 + 5, 0);
                let draft = match builder.draft(&origin, record.fields()) {
                    Drafted::Ready(draft) | Drafted::Unnamed(draft) => draft,
                    Drafted::OtherSide => return documents.push(None),
                };
                let (document, _) = builder.finish(draft);
                let mut line = Vec::new();
                json::write(&document, &mut line);
                documents.push(Some(serde_json::from_slice(&line).unwrap()));
            })
            .unwrap();
    }
    documents
}

fn one(stream: &[u8]) -> Json {
    documents(&mut builder(), "172.18.0.2", stream).remove(0).unwrap()
}

/// From cart-7d9 on node-a to db-0 on node-b through the Service db, as node-a's agent names it.
fn flow<'a>() -> FlowRecord<'a> {
    FlowRecord {
        source: "10.10.0.5".parse().unwrap(),
        destination: "10.10.1.9".parse().unwrap(),
        source_port: 40_000,
        destination_port: 5432,
        protocol: 6,
        icmp_type_code: 0,
        start_ms: EXPORT_MS - 60_000,
        end_ms: EXPORT_MS - 1_500,
        end_reason: FlowEndReason::ActiveTimeout,
        flow_id: 77,
        forward: Counters { packets_total: 30, octets_total: 3000, packets_delta: 3, octets_delta: 1200 },
        reverse: Counters { packets_total: 20, octets_total: 2000, packets_delta: 2, octets_delta: 80 },
        source_pod_namespace: "shop",
        source_pod_name: "cart-7d9",
        source_node_name: "node-a",
        destination_pod_namespace: "",
        destination_pod_name: "",
        destination_node_name: "",
        cluster_ip: Some("10.96.0.20".parse().unwrap()),
        service_port: 5432,
        service_port_name: "shop/db:sql",
        tcp_state: "ESTABLISHED",
        flow_type: FlowType::InterNode,
        throughput: 160,
        reverse_throughput: 10,
        post_nat_source: None,
        post_nat_source_port: 0,
        dialled: Some("10.96.0.20".parse().unwrap()),
    }
}

#[test]
fn the_v09_template_gives_the_document_of_the_design() {
    let stream = agents_message(Profile::V09, observation_domain("blue", "node-a"), &flow());
    let mut document = one(&stream);
    let made = document["ipfix"].as_object_mut().unwrap().remove("flowId").unwrap();
    assert!(made.as_u64().is_some_and(|id| id > 0), "{made}");
    let expected: Json = serde_json::from_str(V09_DOCUMENT).unwrap();
    assert_eq!(document, expected);
}

const V09_DOCUMENT: &str = r#"{
    "@timestamp": "2026-11-22T20:00:00.000Z", "@version": "1", "type": "ipfix", "host": "172.18.0.2",
    "ipfix": {
        "version": 10, "flowset_id": 256,
        "flowStartSeconds": "2026-11-22T19:59:00.000Z", "flowEndSeconds": "2026-11-22T19:59:58.000Z",
        "sourceIPv4Address": "10.10.0.5", "destinationIPv4Address": "10.10.1.9",
        "sourceTransportPort": 40000, "destinationTransportPort": 5432, "protocolIdentifier": 6,
        "packetTotalCount": 30, "octetTotalCount": 3000, "packetDeltaCount": 3, "octetDeltaCount": 1200,
        "reversePacketTotalCount": 20, "reverseOctetTotalCount": 2000,
        "reversePacketDeltaCount": 2, "reverseOctetDeltaCount": 80,
        "sourcePodName": "cart-7d9", "sourcePodNamespace": "shop", "sourceNodeName": "node-a",
        "destinationPodName": "db-0", "destinationPodNamespace": "shop", "destinationNodeName": "node-b",
        "destinationClusterIP": "10.96.0.20", "destinationServicePortName": "shop/db:sql",
        "bytes": 1280, "packets": 5, "sourceIP": "10.10.0.5", "destinationIP": "10.10.1.9",
        "protocol": "TCP", "flowKind": "Pod-to-Service", "flowTypeStr": "Inter-Node",
        "flowKey": "shop/cart-7d9:40000→shop/db-0:5432 TCP",
        "sourceName": "shop/cart-7d9", "destinationName": "shop/db-0",
        "podPair": "shop/cart-7d9 → shop/db-0", "servicePair": "shop/cart-7d9 → shop/db:sql",
        "nodePair": "node-a → node-b", "exporterNode": "node-a"
    }
}"#;

#[test]
fn the_full_template_adds_its_elements_and_leaves_out_what_does_not_apply() {
    let document = one(&agents_message(Profile::Full, observation_domain("blue", "node-a"), &flow()));
    let ipfix = &document["ipfix"];
    for (name, value) in [
        ("flowEndReason", json!(2)),
        ("flowStartMilliseconds", json!("2026-11-22T19:59:00.000Z")),
        ("flowEndMilliseconds", json!("2026-11-22T19:59:58.500Z")),
        ("flowId", json!(77)),
        ("destinationServicePort", json!(5432)),
        ("tcpState", json!("ESTABLISHED")),
        ("flowType", json!(2)),
        ("throughput", json!(160)),
        ("destinationServiceIPv4", json!("10.96.0.20")),
    ] {
        assert_eq!(ipfix[name], value, "{name}");
    }
    assert!(ipfix.get("postNATSourceIPv4Address").is_none(), "0.0.0.0 says that it does not apply");
    for field in FIELDS {
        let applies = ipfix.get(field.name).is_some();
        let of_ipv6 = field.name.contains("IPv6");
        assert!(applies != of_ipv6 || field.name == "postNATSourceIPv4Address", "{}", field.name);
    }
}

#[test]
fn exporters_of_other_clusters_are_not_given_our_names() {
    let document = one(&agents_message(Profile::V09, observation_domain("green", "node-a"), &flow()));
    let ipfix = &document["ipfix"];
    assert_eq!(ipfix["destinationPodName"], "");
    assert_eq!(ipfix["destinationName"], "10.10.1.9");
    assert!(ipfix.get("exporterNode").is_none());
    assert_eq!(ipfix["sourceName"], "shop/cart-7d9", "what the record says stays");
}

#[test]
fn a_service_without_a_name_is_found_by_what_was_dialled() {
    let record = FlowRecord { service_port_name: "", ..flow() };
    let document = one(&agents_message(Profile::Full, observation_domain("blue", "node-a"), &record));
    assert_eq!(document["ipfix"]["destinationServicePortName"], "shop/db:sql");
    assert_eq!(document["ipfix"]["flowKind"], "Pod-to-Service");
}

#[test]
fn the_copy_of_the_other_side_is_dropped() {
    let record = FlowRecord { source_pod_name: "", source_pod_namespace: "", source_node_name: "", ..flow() };
    let mut builder = builder();
    let from = |node| agents_message(Profile::Full, observation_domain("blue", node), &record);
    assert_eq!(documents(&mut builder, "172.18.0.3", &from("node-b")), [None]);
    let own = documents(&mut builder, "172.18.0.2", &from("node-a")).remove(0).unwrap();
    assert_eq!(own["ipfix"]["sourcePodName"], "cart-7d9");
}

#[test]
fn antreas_copy_of_the_destination_is_never_summed() {
    // An agent of Antrea v0.12 and later: elements under 56506, no flowId, the destination's names only.
    let record = FlowRecord {
        source_pod_name: "",
        source_pod_namespace: "",
        source_node_name: "",
        destination_pod_name: "db-0",
        destination_pod_namespace: "shop",
        destination_node_name: "node-b",
        ..flow()
    };
    let fields: Vec<_> = Profile::Antrea
        .fields(true)
        .filter(|(field, _)| field.name != "flowId")
        .map(|(field, element)| (element, field.length, (field.value)(&record)))
        .collect();
    let document = one(&message(antrea_observation_domain("node-b"), &fields));
    let ipfix = &document["ipfix"];
    for (name, value) in [
        ("octetDeltaCountFromDestinationNode", json!(1200)),
        ("reverseOctetDeltaCountFromDestinationNode", json!(80)),
        ("packetTotalCountFromDestinationNode", json!(30)),
        ("throughputFromDestinationNode", json!(160)),
        ("sourcePodName", json!("cart-7d9")),
        ("destinationPodName", json!("db-0")),
        ("exporterNode", json!("node-b")),
    ] {
        assert_eq!(ipfix[name], value, "{name}");
    }
    for name in ["octetDeltaCount", "reverseOctetDeltaCount", "bytes", "packets", "throughput"] {
        assert!(ipfix.get(name).is_none(), "{name} would be summed twice");
    }
}

#[test]
fn what_cannot_be_a_document_is_adjusted() {
    let own = ElementKey::new(99_999, 7);
    let document = one(&message(
        7,
        &[
            (ElementKey::iana(1), 8, Wire::Unsigned(u64::MAX)),
            (ElementKey::iana(8), 4, Wire::Ipv4("10.10.0.5".parse().unwrap())),
            (ElementKey::iana(12), 4, Wire::Ipv4("8.8.8.8".parse().unwrap())),
            (ElementKey::iana(56), 6, Wire::Mac([2, 0, 0, 0, 0, 10])),
            (ElementKey::iana(82), 65_535, Wire::String("eth0".into())),
            (ElementKey::iana(82), 65_535, Wire::String("eth1".into())),
            (own, 3, Wire::Octets(&[1, 2, 255])),
        ],
    ));
    let ipfix = &document["ipfix"];
    assert_eq!(ipfix["octetDeltaCount"], json!(i64::MAX));
    assert_eq!(ipfix["sourceMacAddress"], "02:00:00:00:00:0a");
    assert_eq!(ipfix["interfaceName"], json!(["eth0", "eth1"]));
    assert_eq!(ipfix["e99999id7"], "0102ff");
    assert!(ipfix.get("flowKind").is_none(), "nobody is known, and the exporter is none of ours");
    assert_eq!(ipfix["flowKey"], "10.10.0.5→8.8.8.8");
    assert_eq!(ipfix["podPair"], "10.10.0.5 → 8.8.8.8");
}

#[test]
fn an_export_time_outside_the_window_gives_way_to_the_receive_time() {
    let mut builder = builder();
    let stream = message(7, &[(ElementKey::iana(1), 8, Wire::Unsigned(1))]);
    let mut session =
        CollectingSession::new(Transport::File, Arc::new(Limits::default()), Arc::new(Registry::standard()));
    let two_days = 2 * 86_400_000;
    for (received, replaced) in
        [(EXPORT_MS as i64, false), (EXPORT_MS as i64 + two_days, true), (EXPORT_MS as i64 - two_days, true)]
    {
        session
            .receive(0, &stream, &mut |record| {
                let origin = Origin::of(&record, "172.18.0.2".parse().unwrap(), received, 0);
                let Drafted::Ready(draft) = builder.draft(&origin, record.fields()) else {
                    panic!("not ready")
                };
                let (document, adjustments) = builder.finish(draft);
                assert_eq!(document.timestamp, received);
                assert_eq!(adjustments.outside_window, u32::from(replaced));
                assert_eq!(document.field("exportTime").is_some(), replaced);
            })
            .unwrap();
    }
}

#[test]
fn ids_depend_on_the_record_and_not_on_its_way() {
    let id = |stream: &[u8], exporter: &str| {
        let mut session = CollectingSession::new(
            Transport::File,
            Arc::new(Limits::default()),
            Arc::new(Registry::standard()),
        );
        let mut id = None;
        session
            .receive(0, stream, &mut |record| {
                let origin = Origin::of(&record, exporter.parse().unwrap(), EXPORT_MS as i64, 0);
                if let Drafted::Ready(draft) = builder().draft(&origin, record.fields()) {
                    id = Some(draft.document.id);
                }
            })
            .unwrap();
        id.unwrap()
    };
    let domain = observation_domain("blue", "node-a");
    let full = agents_message(Profile::Full, domain, &flow());
    assert_eq!(id(&full, "172.18.0.2"), id(&full, "10.0.0.77"), "ours: the exporter's address may change");
    let later = agents_message(Profile::Full, domain, &FlowRecord { end_ms: EXPORT_MS, ..flow() });
    assert_ne!(id(&full, "172.18.0.2"), id(&later, "172.18.0.2"));
    let old = agents_message(Profile::V09, domain, &flow());
    assert_ne!(id(&old, "172.18.0.2"), id(&old, "10.0.0.77"), "others: the place on the wire");
}

/// A template that names a selector, what the exporter says of two selectors, and a record of each and of a third.
#[test]
fn an_announced_sampling_rate_stands_beside_counters_as_they_are() {
    let [flows, selectors] = [256, 257].map(TemplateId::constant);
    let fields = |list: &[(u16, u16)]| {
        list.iter().map(|(id, length)| FieldSpecifier::new(ElementKey::iana(*id), *length)).collect()
    };
    let templates = vec![
        Template::new(flows, fields(&[(302, 1), (1, 4)])).unwrap(),
        Template::options(selectors, 1, fields(&[(302, 1), (305, 4), (306, 4)])).unwrap(),
    ];
    let mut session =
        ExportingSession::new(ExportSettings::stream(7), templates, &Registry::standard()).unwrap();
    for (selector, left_out) in [(1, 99), (2, 9)] {
        session.add(EXPORT_MS, selectors, [selector, 1, left_out].map(Wire::Unsigned)).unwrap();
    }
    for selector in 1..=3 {
        session.add(EXPORT_MS, flows, [selector, 1500].map(Wire::Unsigned)).unwrap();
    }
    session.flush(EXPORT_MS);
    let message = session.next_message().unwrap().octets;
    let documents = documents(&mut builder(), "10.9.9.9", &message);
    let seen: Vec<(&Json, &Json)> = documents[2..]
        .iter()
        .flatten()
        .map(|document| (&document["ipfix"]["samplingInterval"], &document["ipfix"]["bytes"]))
        .collect();
    assert_eq!(seen, [(&json!(100), &json!(1500)), (&json!(10), &json!(1500)), (&Json::Null, &json!(1500))]);
}

#[test]
fn names_are_looked_up_at_the_time_that_the_exporters_clock_meant() {
    // Its clock is ten minutes behind: what it says began at 19:59 began at 20:09, when the address had changed hands.
    let directory = Arc::new(Directory::default());
    let pods = "
  - {namespace: shop, name: early, node: node-b, ips: [10.10.1.9], startedMs: 0, endedMs: 1795377700000}
  - {namespace: shop, name: late, node: node-b, ips: [10.10.1.9], startedMs: 1795377800000}
";
    let (head, _) = CLUSTER.split_once("pods:").unwrap();
    directory.replace(Inventory::parse(&format!("{head}pods:{pods}")).unwrap(), 0);
    let day = Duration::from_secs(86_400);
    let mut builder = Builder::new(
        directory,
        Members::new("blue", Vec::new()),
        Window { past: day, future: day },
        Arc::new(UnknownNames::default()),
    );
    let stream = agents_message(Profile::Full, observation_domain("blue", "node-a"), &flow());
    for (skew, expected) in [(0, "early"), (600_000, "late")] {
        let mut session = CollectingSession::new(
            Transport::File,
            Arc::new(Limits::default()),
            Arc::new(Registry::standard()),
        );
        session
            .receive(0, &stream, &mut |record| {
                let origin =
                    Origin::of(&record, "172.18.0.2".parse().unwrap(), EXPORT_MS as i64 + skew, skew);
                let mut line = Vec::new();
                assert!(matches!(builder.line(&origin, &record, &mut line, |_, _, _| {}), Lined::Written(_)));
                let document: Json = serde_json::from_slice(&line).unwrap();
                assert_eq!(document["ipfix"]["destinationPodName"], expected, "{skew}");
                assert_eq!(document["@timestamp"], "2026-11-22T20:00:00.000Z", "what it said stays");
            })
            .unwrap();
    }
}
