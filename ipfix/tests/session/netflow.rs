//! NetFlow v9 (RFC 3954) and v5 messages, octet by octet.

use super::support::{NOW, receive, session, set, text};
use podflow_ipfix::collect::{Sequence, Transport};

/// Uptime 10,000 ms at 1,763,000,000 s; source id 3.
fn v9(sequence: u32, flowsets: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![0, 9, 0, 1];
    message.extend(10_000_u32.to_be_bytes());
    message.extend(1_763_000_000_u32.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend(3_u32.to_be_bytes());
    message.extend(flowsets.concat());
    message
}

fn fields(list: &[(u16, u16)]) -> Vec<u8> {
    list.iter().flat_map(|(kind, length)| [kind.to_be_bytes(), length.to_be_bytes()].concat()).collect()
}

#[test]
fn v9_times_become_dates_and_the_sequence_counts_messages() {
    let mut collector = session(Transport::Udp);
    let list = [(8, 4), (12, 4), (1, 4), (22, 4), (21, 4), (4, 1)];
    let template = set(0, [&[1, 0, 0, 6][..], &fields(&list)].concat());
    let record = [
        &[10, 0, 0, 1, 10, 0, 0, 2][..],
        &1_500_u32.to_be_bytes(),
        &4_000_u32.to_be_bytes(),
        &9_000_u32.to_be_bytes(),
        &[6],
    ]
    .concat();
    let data = set(256, [record.clone(), record, vec![0, 0]].concat());
    let (summary, seen) = receive(&mut collector, NOW, &v9(41, &[template, data.clone()])).unwrap();
    let expected = "sourceIPv4Address=10.0.0.1 destinationIPv4Address=10.0.0.2 octetDeltaCount=1500 \
                    flowStartMilliseconds=1762999994000 flowEndMilliseconds=1762999999000 protocolIdentifier=6";
    assert_eq!(seen, [expected, expected]);
    assert_eq!((summary.records, summary.templates), (2, 1));
    let (summary, _) = receive(&mut collector, NOW, &v9(42, std::slice::from_ref(&data))).unwrap();
    assert_eq!(summary.sequence, Sequence::InOrder);
    let (summary, _) = receive(&mut collector, NOW, &v9(45, &[data])).unwrap();
    assert_eq!(summary.sequence, Sequence::Gap(2));
}

#[test]
fn v9_options_with_a_scope_and_octets_behind_the_last_flowset() {
    let mut collector = session(Transport::Udp);
    let body = [&[1, 1, 0, 4, 0, 8][..], &fields(&[(1, 4), (34, 4), (35, 1)]), &[0, 0]].concat();
    let record = [&7_u32.to_be_bytes()[..], &100_u32.to_be_bytes(), &[1]].concat();
    let mut message = v9(0, &[set(1, body), set(257, record)]);
    message.extend([0, 0]);
    let mut seen = Vec::new();
    let summary = collector
        .receive(NOW, &message, &mut |record| seen.push((record.is_options(), text(&record))))
        .unwrap();
    let expected = "exportingProcessId=7 samplingInterval=100 samplingAlgorithm=1";
    assert_eq!(seen, [(true, expected.to_owned())]);
    assert_eq!(summary.options_records, 1);
}

#[test]
fn v9_and_ipfix_of_one_domain_do_not_share_templates() {
    let mut collector = session(Transport::Udp);
    receive(&mut collector, NOW, &v9(0, &[set(0, [&[1, 0, 0, 1][..], &fields(&[(1, 4)])].concat())]))
        .unwrap();
    let (summary, _) =
        receive(&mut collector, NOW, &crate::support::message(3, 0, &[set(256, [0; 4])])).unwrap();
    assert_eq!((summary.records, summary.sets_held), (0, 1));
}

fn v5(sequence: u32, records: &[[u8; 48]]) -> Vec<u8> {
    let mut message = vec![0, 5];
    message.extend(u16::try_from(records.len()).expect("few records").to_be_bytes());
    message.extend(10_000_u32.to_be_bytes());
    message.extend(1_763_000_000_u32.to_be_bytes());
    message.extend(500_000_000_u32.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    // Engine type 1, id 2; sampling mode 1, one of 100.
    message.extend([1, 2, 0x40, 100]);
    message.extend(records.concat());
    message
}

#[test]
fn v5_records_carry_their_dates_and_the_engine() {
    let mut record = [0; 48];
    record[..8].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    record[12..16].copy_from_slice(&[0, 3, 0, 4]);
    record[16..24].copy_from_slice(&[0, 0, 0, 5, 0, 0, 5, 220]);
    record[24..32].copy_from_slice(&[0, 0, 15, 160, 0, 0, 35, 40]);
    record[32..40].copy_from_slice(&[0, 80, 1, 187, 0, 24, 6, 8]);
    let mut collector = session(Transport::Udp);
    let (summary, seen) = receive(&mut collector, NOW, &v5(9, &[record, record])).unwrap();
    assert_eq!((summary.records, seen.len()), (2, 2));
    let header = summary.header.unwrap();
    assert_eq!((header.domain, header.sequence), (0x0102, 9));
    for expected in [
        "sourceIPv4Address=10.0.0.1 destinationIPv4Address=10.0.0.2",
        "ingressInterface=3 egressInterface=4 packetDeltaCount=5 octetDeltaCount=1500",
        "flowStartMilliseconds=1762999994500 flowEndMilliseconds=1762999999500",
        "sourceTransportPort=80 destinationTransportPort=443",
        "tcpControlBits=24 protocolIdentifier=6 ipClassOfService=8",
        "engineType=1 engineId=2 samplingAlgorithm=1 samplingInterval=100",
    ] {
        assert!(seen[0].contains(expected), "{expected} in {}", seen[0]);
    }
    assert_eq!(receive(&mut collector, NOW, &v5(11, &[record])).unwrap().0.sequence, Sequence::InOrder);
    assert_eq!(receive(&mut collector, NOW, &v5(20, &[record])).unwrap().0.sequence, Sequence::Gap(8));
    let cut = &v5(21, &[record])[..60];
    assert_eq!(receive(&mut collector, NOW, cut).unwrap_err().reason(), "message_length");
}
