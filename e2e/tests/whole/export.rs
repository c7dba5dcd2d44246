//! What our agents send is read by other people's programs, without a complaint and with the same values.

use podflow_e2e::readings;
use podflow_flow::{Counters, FlowEndReason, FlowRecord, FlowType, Profile};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::TemplateId;

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
    let templates = vec![Profile::Full.template(true).unwrap(), Profile::Full.template(false).unwrap()];
    let mut session =
        ExportingSession::new(ExportSettings::stream(7), templates, &Registry::standard()).unwrap();
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
    assert_eq!((dumped.flows.len(), dumped.data_records), (1, 1));
}
