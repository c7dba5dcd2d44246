//! nfcapd collects what we export, and nfdump shows the values that we sent, of the elements that it knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use podflow_e2e::nfcapd::{Collected, collect};
use podflow_e2e::readings::{self, Reading};
use podflow_e2e::{programs, recording};
use podflow_flow::{Counters, FlowEndReason, FlowRecord, FlowType, Profile};
use podflow_ipfix::element::REVERSE;
use podflow_ipfix::export::ExportSettings;
use podflow_ipfix::template::TemplateId;
use serde_json::Value;

/// Flow records of each profile.
const RECORDS: u32 = 200;

#[test]
fn nfdump_shows_every_record_of_the_full_profile() {
    agree(Profile::Full);
}

#[test]
fn nfdump_shows_every_record_of_the_v0_9_profile() {
    agree(Profile::V09);
}

/// The agents' export of real traffic, each Node's in its own observation domain.
#[test]
fn nfdump_shows_what_the_agents_exported() {
    let recording = recording::recording();
    let rows = programs::tshark(&recording.capture, recording.udp_port, "", &["cflow.od_id", "udp.payload"])
        .unwrap();
    let datagrams: Vec<Vec<u8>> = rows.iter().map(|row| readings::octets(&row[1])).collect();
    let ours: Vec<Reading> = readings::by_key(&rows)
        .into_values()
        .flat_map(|stream| readings::ours(&stream).unwrap().flows)
        .collect();
    compare(Profile::Full, &ours, &collect(&datagrams).unwrap());
}

fn agree(profile: Profile) {
    let mut session = podflow_flow::session(profile, 4, ExportSettings::udp(7, 1_400)).unwrap();
    for number in 0..RECORDS {
        let record = record(number);
        let id = if record.is_ipv4() { 256 } else { 257 };
        session.add(NOW, TemplateId::constant(id), profile.values(&record)).unwrap();
    }
    session.flush(NOW);
    let datagrams: Vec<Vec<u8>> =
        std::iter::from_fn(|| session.next_message()).map(|message| message.octets).collect();
    assert!(datagrams.len() > 10, "several datagrams");
    let ours = readings::ours(&datagrams.concat()).unwrap().flows;
    assert_eq!(ours.len(), RECORDS as usize);
    compare(profile, &ours, &collect(&datagrams).unwrap());
}

fn compare(profile: Profile, ours: &[Reading], collected: &Collected) {
    let Collected { flows, summary } = collected;
    assert!(summary.ends_with("Sequence Errors: 0, Bad Packets: 0"), "{summary}");
    let mut ours: Vec<String> = ours.iter().map(|flow| our_line(profile, flow)).collect();
    let mut theirs: Vec<String> = flows.iter().map(|flow| their_line(profile, flow)).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

/// What both know of a flow, as one line.
fn our_line(profile: Profile, flow: &Reading) -> String {
    let value = |ids: &[(u32, u16)]| ids.iter().find_map(|id| flow.get(id)).cloned().unwrap_or_default();
    let both = |v4: u16, v6: u16| value(&[(0, v4), (0, v6)]);
    let protocol = value(&[(0, 4)]);
    let is_icmp = protocol == "1" || protocol == "58";
    let mut parts = vec![both(8, 27), both(12, 28), protocol];
    if !is_icmp {
        parts.extend([value(&[(0, 7)]), value(&[(0, 11)])]);
    }
    parts.extend([(0, 2), (0, 1), (REVERSE, 2), (REVERSE, 1)].map(|id| value(&[id])));
    // It knows neither flowStartSeconds nor flowEndSeconds.
    if profile == Profile::Full {
        parts.extend([both(152, 152), both(153, 153)].map(|time| milliseconds(&time.replace(' ', "T"))));
        // Nor the translated address of IPv6 (281).
        parts.extend([value(&[(0, 225)]), value(&[(0, 227)])]);
        if is_icmp {
            let number: u16 = both(32, 139).parse().unwrap();
            parts.extend(number.to_be_bytes().map(|octet| octet.to_string()));
        }
    }
    parts.join(" ")
}

fn their_line(profile: Profile, flow: &Value) -> String {
    let value = |names: &[&str]| {
        let value = names.iter().map(|name| &flow[*name]).find(|value| !value.is_null());
        value
            .map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let protocol = value(&["proto"]);
    let is_icmp = protocol == "1" || protocol == "58";
    let mut parts = vec![value(&["src4_addr", "src6_addr"]), value(&["dst4_addr", "dst6_addr"]), protocol];
    if !is_icmp {
        parts.extend([value(&["src_port"]), value(&["dst_port"])]);
    }
    parts.extend(["in_packets", "in_bytes", "out_packets", "out_bytes"].map(|name| value(&[name])));
    if profile == Profile::Full {
        parts.extend(["first", "last"].map(|name| milliseconds(&value(&[name]))));
        parts.extend([value(&["src4_xlt_ip"]), value(&["src_xlt_port"])]);
        if is_icmp {
            parts.extend(["icmp_type", "icmp_code"].map(|name| value(&[name])));
        }
    }
    parts.join(" ")
}

fn milliseconds(date: &str) -> String {
    format!("{date}Z")
        .parse::<Timestamp>()
        .unwrap_or_else(|error| panic!("{date}: {error}"))
        .as_millisecond()
        .to_string()
}

/// Records of both families; TCP, UDP and ICMP; some translated.
fn record(number: u32) -> FlowRecord<'static> {
    let [.., high, low] = number.to_be_bytes();
    let is_v4 = number.is_multiple_of(2);
    let address = |v4: [u8; 4], v6: u16| -> IpAddr {
        if is_v4 {
            Ipv4Addr::from(v4).into()
        } else {
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, v6, low.into()).into()
        }
    };
    let protocol = match number % 3 {
        0 => 6,
        1 => 17,
        _ if is_v4 => 1,
        _ => 58,
    };
    let has_ports = number % 3 < 2;
    let is_translated = number % 5 == 1;
    let port = |port: u16| if has_ports { port + u16::from(low) } else { 0 };
    let counters = |factor: u64| Counters {
        packets_total: factor * 10 + u64::from(number),
        octets_total: (factor << 33) + u64::from(number),
        packets_delta: factor + u64::from(number),
        octets_delta: (factor << 32) + u64::from(number),
    };
    FlowRecord {
        source: address([10, 1, high, low], 1),
        destination: address([10, 2, high, low], 2),
        source_port: port(40_000),
        destination_port: port(400),
        protocol,
        icmp_type_code: if has_ports { 0 } else { 0x0803 },
        start_ms: NOW - 60_000 + u64::from(number),
        end_ms: NOW - 1_000 + u64::from(number),
        end_reason: FlowEndReason::ActiveTimeout,
        flow_id: u64::from(number) + 1,
        forward: counters(3),
        reverse: counters(5),
        source_pod_namespace: "shop",
        source_pod_name: "cart-ü",
        source_node_name: "node-a",
        destination_pod_namespace: "",
        destination_pod_name: "",
        destination_node_name: "",
        cluster_ip: is_v4.then(|| [10, 96, 0, 20].into()),
        service_port: 80,
        service_port_name: "shop/cart:http",
        tcp_state: "",
        flow_type: FlowType::InterNode,
        throughput: 0,
        reverse_throughput: 0,
        post_nat_source: is_translated.then(|| address([172, 18, 0, low], 3)),
        post_nat_source_port: if is_translated && has_ports { 50_000 } else { 0 },
        dialled: None,
    }
}

/// 1 October 2026.
const NOW: u64 = 1_790_812_800_000;
