//! What our agents send is read by other people's programs, without a complaint and with the same values.

use std::collections::{HashMap, HashSet};

use podflow_e2e::recording::{CONNECTIONS, recording};
use podflow_e2e::{programs, readings};
use podflow_flow::{Counters, FlowEndReason, FlowRecord, FlowType, Profile};
use podflow_ipfix::element::{ANTREA, ANTREA_LEGACY};
use podflow_ipfix::export::ExportSettings;
use podflow_ipfix::template::TemplateId;
use podflow_testbed::plan;

#[test]
fn tshark_finds_no_fault_in_the_udp_export() {
    let recording = recording();
    let tshark = |filter: &str, fields: &[&str]| {
        programs::tshark(&recording.capture, recording.udp_port, filter, fields)
    };

    let versions = tshark("", &["cflow.version"]).unwrap();
    assert_eq!(versions.len(), recording.datagrams, "every datagram received was captured");
    assert!(versions.iter().all(|row| row == &["10"]), "{versions:?}");

    let faults = "_ws.malformed || _ws.expert.severity >= 4194304 || cflow.no_template_found || cflow.flowsets.impossible";
    assert_eq!(tshark(faults, &["frame.number", "_ws.expert.message"]).unwrap(), Vec::<Vec<String>>::new());
    let sequence = "cflow.unexpected_sequence_number";
    assert_eq!(tshark(sequence, &["frame.number", "cflow.sequence"]).unwrap(), Vec::<Vec<String>>::new());
}

/// The number in each header is that of the data records before it in its observation domain, counted here from what
/// tshark took off the wire.
#[test]
fn udp_sequence_numbers_count_the_records_before() {
    let recording = recording();
    let fields = ["cflow.od_id", "cflow.sequence", "udp.payload"];
    let rows = programs::tshark(&recording.capture, recording.udp_port, "", &fields).unwrap();
    let mut streams: HashMap<&str, Vec<u8>> = HashMap::new();
    for row in &rows {
        let before = streams.entry(&row[0]).or_default();
        let records = readings::ours(before).unwrap().data_records;
        assert_eq!(row[1], records.to_string(), "sequence number in domain {}", row[0]);
        before.extend(readings::octets(&row[2]));
    }
    assert_eq!(streams.len(), recording.streams.len(), "one domain for each Node");
    assert!(streams.values().all(|stream| !readings::ours(stream).unwrap().flows.is_empty()));
}

#[test]
fn ipfix_dump_reads_the_tcp_export_value_by_value() {
    let mut flows = 0;
    for stream in &recording().streams {
        let (dumped, ours) = (readings::ipfix_dump(stream).unwrap(), readings::ours(stream).unwrap());
        assert_eq!(dumped, ours);
        flows += ours.flows.len();
    }
    // One of them outlived several exports.
    assert!(flows > CONNECTIONS, "{flows} flow records");
}

/// Two agents of one Node, one over TCP and one over UDP, saw the same connections and say the same of them.
#[test]
fn both_transports_carry_the_same_flows() {
    let recording = recording();
    let rows = programs::tshark(&recording.capture, recording.udp_port, "", &["cflow.od_id", "udp.payload"])
        .unwrap();
    let udp = last_totals(readings::by_key(&rows).values());
    assert_eq!(udp, last_totals(&recording.streams));
    assert_eq!(udp.len(), CONNECTIONS);
}

/// By flowId, the greatest octetTotalCount and its reverse: what the flow came to. Each agent leaves out its own
/// export and reports the other's, so flows to the collector are none of the comparison.
fn last_totals<'a>(streams: impl IntoIterator<Item = &'a Vec<u8>>) -> HashMap<String, (u64, u64)> {
    let mut totals: HashMap<String, (u64, u64)> = HashMap::new();
    let collector = plan::collector().v4.to_string();
    let flows = streams.into_iter().flat_map(|stream| readings::ours(stream).unwrap().flows);
    for flow in flows.filter(|flow| flow.get(&(0, 12)) != Some(&collector)) {
        let number = |key: (u32, u16)| flow[&key].parse::<u64>().unwrap();
        let total = totals.entry(flow[&(0, 148)].clone()).or_default();
        *total = (total.0.max(number((0, 85))), total.1.max(number((29_305, 85))));
    }
    totals
}

/// The comparison itself, on one record whose every text is known.
#[test]
fn ipfix_dump_reads_a_record_as_it_was_written() {
    let forward = Counters { packets_total: 3, octets_total: 1500, packets_delta: 2, octets_delta: 1200 };
    let record = FlowRecord {
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
        source_port: 40_000,
        destination_port: 80,
        protocol: 6,
        icmp_type_code: 0,
        start_ms: 1_790_000_000_123,
        end_ms: 1_790_000_003_456,
        end_reason: FlowEndReason::EndOfFlow,
        flow_id: (1 << 53) - 1,
        forward,
        reverse: forward,
        source_pod_namespace: "shop",
        source_pod_name: "cart-ü",
        source_node_name: "node-a",
        destination_pod_namespace: "",
        destination_pod_name: "",
        destination_node_name: "",
        cluster_ip: Some([10, 96, 0, 20].into()),
        service_port: 80,
        service_port_name: "shop/cart:http",
        tcp_state: "TIME_WAIT",
        flow_type: FlowType::from_wire(2),
        throughput: 9_000_000_000,
        reverse_throughput: 8,
        post_nat_source: None,
        post_nat_source_port: 0,
        dialled: Some([10, 96, 0, 20].into()),
    };
    let mut session = podflow_flow::session(Profile::Full, 4, ExportSettings::stream(7)).unwrap();
    session.add(0, TemplateId::constant(256), Profile::Full.values(&record)).unwrap();
    session.flush(0);
    let stream: Vec<u8> =
        std::iter::from_fn(|| session.next_message()).flat_map(|message| message.octets).collect();

    let dumped = readings::ipfix_dump(&stream).unwrap();
    assert_eq!(dumped, readings::ours(&stream).unwrap());
    let flow = &dumped.flows[0];
    assert_eq!(flow[&(0, 152)], "2026-09-21 14:13:20.123");
    assert_eq!(flow[&(29_305, 1)], "1200");
    assert_eq!(flow[&(55_829, 101)], "cart-ü");
    assert_eq!(flow[&(55_829, 103)], "");
    assert_eq!(flow[&(56_506, 145)], "9000000000");
    let described = Profile::Full.fields(true).chain(Profile::Full.fields(false));
    let described: HashSet<_> = described
        .map(|(_, element)| element)
        .filter(|element| [ANTREA, ANTREA_LEGACY].contains(&element.enterprise))
        .collect();
    assert_eq!((dumped.flows.len(), dumped.data_records), (1, 1 + described.len() as u64));
}
