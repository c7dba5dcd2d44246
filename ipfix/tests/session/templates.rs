//! The life of templates: whose they are, how they change, when they end (RFC 7011 section 8).

use std::net::SocketAddr;
use std::sync::Arc;

use super::support::{
    NOW, limited, message, options_template, receive, records, session, set, template, text,
};
use podflow_ipfix::Limits;
use podflow_ipfix::collect::{Sequence, Transport, UdpSessions};
use podflow_ipfix::registry::Registry;

const OCTETS: (u32, u16, u16) = (0, 1, 4);
const PACKETS: (u32, u16, u16) = (0, 2, 4);

#[test]
fn template_and_data_in_one_message_in_any_order() {
    let mut collector = session(Transport::Stream);
    let sets = [set(256, [0, 0, 0, 7]), template(256, &[OCTETS]), set(256, [0, 0, 0, 8])];
    let (summary, seen) = receive(&mut collector, NOW, &message(1, 0, &sets)).unwrap();
    assert_eq!(seen, ["octetDeltaCount=7", "octetDeltaCount=8"]);
    assert_eq!((summary.sets_held, summary.records), (0, 2));
    let next = message(1, 2, &[set(256, [0; 4])]);
    assert_eq!(receive(&mut collector, NOW, &next).unwrap().0.sequence, Sequence::InOrder);
}

#[test]
fn several_templates_in_one_set_and_padding_behind_them() {
    let mut collector = session(Transport::Stream);
    let two = [
        crate::support::template_record(256, None, &[OCTETS]),
        crate::support::template_record(257, None, &[PACKETS]),
    ];
    let padded = set(2, [two.concat(), vec![0, 0, 0]].concat());
    let data = [set(257, [0, 0, 0, 2, 0, 0, 0]), set(256, [0, 0, 0, 1])];
    assert_eq!(
        records(&mut collector, &message(1, 0, &[padded, data.concat()])),
        ["packetDeltaCount=2", "octetDeltaCount=1"]
    );
}

#[test]
fn records_of_fewer_than_four_octets_and_zeros_behind_them() {
    let mut collector = session(Transport::Stream);
    records(&mut collector, &message(1, 0, &[template(256, &[(0, 4, 1)])]));
    let of = |body: &[u8]| message(1, 0, &[set(256, body)]);
    assert_eq!(records(&mut collector, &of(&[6, 0, 0, 0])), ["protocolIdentifier=6"]);
    assert_eq!(
        records(&mut collector, &of(&[6, 17, 0])).len(),
        3,
        "not on a boundary of four: a record of its own"
    );
    assert_eq!(records(&mut collector, &of(&[0])), ["protocolIdentifier=0"]);
}

#[test]
fn the_same_id_in_two_domains_does_not_mix() {
    let mut collector = session(Transport::Stream);
    records(&mut collector, &message(1, 0, &[template(256, &[OCTETS])]));
    records(&mut collector, &message(2, 0, &[template(256, &[PACKETS])]));
    let data = [set(256, [0, 0, 0, 9])];
    assert_eq!(records(&mut collector, &message(1, 0, &data)), ["octetDeltaCount=9"]);
    assert_eq!(records(&mut collector, &message(2, 0, &data)), ["packetDeltaCount=9"]);
}

#[test]
fn data_and_options_templates_share_the_ids() {
    let mut collector = session(Transport::Stream);
    records(&mut collector, &message(1, 0, &[template(256, &[OCTETS])]));
    let (summary, _) =
        receive(&mut collector, NOW, &message(1, 0, &[options_template(256, 1, &[OCTETS])])).unwrap();
    assert_eq!(summary.templates_redefined, 1);
    let (summary, _) = receive(&mut collector, NOW, &message(1, 0, &[set(256, [0; 4])])).unwrap();
    assert_eq!((summary.records, summary.options_records), (0, 1));
}

#[test]
fn a_redefinition_replaces_and_the_same_again_does_not_count() {
    for transport in [Transport::Udp, Transport::Stream] {
        let mut collector = session(transport);
        for (fields, redefined) in [(&[OCTETS], 0), (&[OCTETS], 0), (&[PACKETS], 1)] {
            let (summary, _) =
                receive(&mut collector, NOW, &message(1, 0, &[template(256, fields)])).unwrap();
            assert_eq!((summary.templates, summary.templates_redefined), (1, redefined));
        }
        assert_eq!(records(&mut collector, &message(1, 0, &[set(256, [0; 4])])), ["packetDeltaCount=0"]);
    }
}

#[test]
fn withdrawal_of_one_of_all_data_and_of_all_options() {
    let all = [template(256, &[OCTETS]), template(257, &[PACKETS]), options_template(258, 1, &[OCTETS])];
    let withdraw = |set_id: u16, id: u8| message(1, 0, &[set(set_id, [1, id, 0, 0])]);
    for (withdrawal, left) in [
        (withdraw(2, 0), 2),
        (message(1, 0, &[set(2, [0, 2, 0, 0])]), 1),
        (message(1, 0, &[set(3, [0, 3, 0, 0])]), 2),
    ] {
        let mut collector = session(Transport::Stream);
        records(&mut collector, &message(1, 0, &all));
        let (summary, _) = receive(&mut collector, NOW, &withdrawal).unwrap();
        assert_eq!(
            (collector.template_count(), summary.templates_withdrawn),
            (left, 3 - u32::try_from(left).unwrap())
        );

        let mut collector = session(Transport::Udp);
        records(&mut collector, &message(1, 0, &all));
        let (summary, _) = receive(&mut collector, NOW, &withdrawal).unwrap();
        assert_eq!((collector.template_count(), summary.withdrawals_ignored), (3, 1), "not over UDP");
    }
}

#[test]
fn after_a_withdrawal_data_waits_for_the_new_template() {
    let mut collector = session(Transport::Stream);
    records(&mut collector, &message(1, 0, &[template(256, &[OCTETS])]));
    let sets = [set(2, [1, 0, 0, 0]), set(256, [0, 0, 0, 1]), template(256, &[PACKETS])];
    assert_eq!(records(&mut collector, &message(1, 0, &sets)), ["packetDeltaCount=1"]);
}

#[test]
fn a_udp_template_dies_without_a_refresh() {
    let limits = Limits { template_lifetime_ms: 90_000, ..Limits::default() };
    let mut collector = limited(Transport::Udp, limits.clone());
    let data = message(1, 0, &[set(256, [0; 4])]);
    receive(&mut collector, NOW, &message(1, 0, &[template(256, &[OCTETS])])).unwrap();
    assert_eq!(receive(&mut collector, NOW + 90_000, &data).unwrap().0.records, 1);
    let (summary, _) = receive(&mut collector, NOW + 91_001, &data).unwrap();
    assert_eq!((summary.templates_expired, summary.records, summary.sets_held), (1, 0, 1));

    let mut collector = limited(Transport::Stream, limits);
    receive(&mut collector, NOW, &message(1, 0, &[template(256, &[OCTETS])])).unwrap();
    assert_eq!(receive(&mut collector, NOW + 10_000_000, &data).unwrap().0.records, 1, "not over a stream");
}

/// Data of a template that died for want of a refresh waits for that template, and is not read with another.
#[test]
fn waiting_data_of_a_dead_template_is_not_read_with_its_successor() {
    let limits = Limits { template_lifetime_ms: 10_000, held_age_ms: 60_000, ..Limits::default() };
    for (next, given, lost) in [(OCTETS, 1, 0), (PACKETS, 0, 1)] {
        let mut collector = limited(Transport::Udp, limits.clone());
        receive(&mut collector, NOW, &message(1, 0, &[template(256, &[OCTETS])])).unwrap();
        let data = message(1, 0, &[set(256, [0, 0, 0, 7])]);
        let (summary, _) = receive(&mut collector, NOW + 20_000, &data).unwrap();
        assert_eq!((summary.templates_expired, summary.sets_held), (1, 1));
        let (summary, seen) =
            receive(&mut collector, NOW + 21_000, &message(1, 1, &[template(256, &[next])])).unwrap();
        assert_eq!((seen.len(), summary.sets_lost, collector.held_sets()), (given, lost, 0));
        // The new one holds from then on.
        let (summary, _) = receive(&mut collector, NOW + 22_000, &data).unwrap();
        assert_eq!(summary.records, 1);
    }
}

#[test]
fn waiting_data_is_bounded_in_octets_and_age() {
    let limits = Limits { held_octets: 20, held_age_ms: 5_000, ..Limits::default() };
    let mut collector = limited(Transport::Udp, limits);
    let data = |value: u8| message(1, 0, &[set(256, [0, 0, 0, value, 0, 0, 0, value])]);
    assert_eq!(receive(&mut collector, NOW, &data(1)).unwrap().0.sets_lost, 0);
    assert_eq!(receive(&mut collector, NOW + 3_000, &data(2)).unwrap().0.sets_lost, 0);
    assert_eq!(
        receive(&mut collector, NOW + 3_500, &data(3)).unwrap().0.sets_lost,
        1,
        "24 octets, 20 allowed"
    );
    let (summary, _) = receive(&mut collector, NOW + 8_100, &message(1, 0, &[])).unwrap();
    assert_eq!((summary.sets_lost, collector.held_sets()), (1, 1), "the second is too old");
    let (_, seen) =
        receive(&mut collector, NOW + 8_400, &message(1, 0, &[template(256, &[OCTETS])])).unwrap();
    assert_eq!(seen, ["octetDeltaCount=3", "octetDeltaCount=3"]);
}

#[test]
fn the_number_of_templates_and_domains_is_bounded() {
    let limits = Limits { templates_per_session: 2, domains_per_session: 2, ..Limits::default() };
    let mut collector = limited(Transport::Stream, limits);
    let sets = [template(256, &[OCTETS]), template(257, &[OCTETS]), template(258, &[OCTETS])];
    let (summary, _) = receive(&mut collector, NOW, &message(1, 0, &sets)).unwrap();
    assert_eq!((summary.templates, summary.templates_refused, collector.template_count()), (2, 1, 2));
    receive(&mut collector, NOW, &message(2, 0, &[])).unwrap();
    let error = receive(&mut collector, NOW, &message(3, 0, &[])).unwrap_err();
    assert_eq!(error.to_string(), "observation domain 3 is beyond the limit of 2 in one session");
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn an_exporter_under_a_new_port_keeps_its_templates_and_sequence() {
    let mut sessions = UdpSessions::new(Arc::default(), Arc::new(Registry::standard()));
    let mut seen = Vec::new();
    let mut take = |from: &str, message: &[u8]| {
        sessions.receive(NOW, address(from), message, &mut |record| seen.push(text(&record))).unwrap()
    };
    take("10.0.0.1:1000", &message(7, 0, &[template(256, &[OCTETS]), set(256, [0, 0, 0, 1])]));
    // Another exporter with the same domain and template id, at another address.
    take("10.0.0.2:1000", &message(7, 0, &[template(256, &[PACKETS])]));

    let moved = take("10.0.0.1:2000", &message(7, 1, &[set(256, [0, 0, 0, 2])]));
    assert!(moved.new_session && moved.templates_taken_over);
    assert_eq!(moved.summary.sequence, Sequence::InOrder);
    // Two live sessions of this address and domain: a third port could be either's.
    let third = take("10.0.0.1:3000", &message(7, 2, &[set(256, [0, 0, 0, 3])]));
    assert!(!third.templates_taken_over);
    assert_eq!(third.summary.sets_held, 1);
    // Another domain is another exporter.
    assert!(!take("10.0.0.2:2000", &message(8, 0, &[set(256, [0, 0, 0, 4])])).templates_taken_over);
    assert_eq!(seen, ["octetDeltaCount=1", "octetDeltaCount=2"]);
}

#[test]
fn sessions_of_a_socket_are_bounded_and_end() {
    let limits = Limits { udp_sessions: 32, udp_session_idle_ms: 1_000, ..Limits::default() };
    let mut sessions = UdpSessions::new(Arc::new(limits), Arc::new(Registry::standard()));
    let mut evicted = 0;
    for port in 1..=40 {
        let from = SocketAddr::from(([10, 0, 0, 1], port));
        let received =
            sessions.receive(NOW + u64::from(port), from, &message(1, 0, &[]), &mut |_| {}).unwrap();
        evicted += received.sessions_evicted;
        assert!(sessions.len() <= 32);
    }
    assert_eq!(usize::try_from(evicted).unwrap() + sessions.len(), 40);
    assert!(
        sessions.sessions().all(|(address, ..)| address.port() > u16::try_from(evicted).unwrap()),
        "the oldest go"
    );
    assert!(sessions.receive(NOW, address("10.9.9.9:1"), b"garbage", &mut |_| {}).is_err());
    assert!(
        sessions.sessions().all(|(address, ..)| address != self::address("10.9.9.9:1")),
        "garbage makes no session"
    );
    assert!(sessions.expire(NOW + 5_000) > 0);
    assert!(sessions.is_empty());
}

#[test]
fn saved_templates_are_known_after_a_restart() {
    let limits = Limits { template_lifetime_ms: 60_000, ..Limits::default() };
    let sessions = || UdpSessions::new(Arc::new(limits.clone()), Arc::new(Registry::standard()));
    let mut before = sessions();
    for (from, at) in [("10.0.0.1:1000", 5_000), ("[fd00::1]:1000", 30_000)] {
        let sets = [template(256, &[OCTETS, (55_829, 101, 65_535)]), options_template(257, 1, &[PACKETS])];
        before.receive(at, address(from), &message(7, 0, &sets), &mut |_| {}).unwrap();
    }
    let saved = before.save(40_000, NOW);

    // 30 seconds later; the new process's clock begins at 0. The first exporter's templates are 65 seconds old.
    let mut after = sessions();
    let restored = after.restore(0, NOW + 30_000, &saved, |_| true);
    assert_eq!((restored.templates, restored.expired, restored.damage), (2, 2, None));
    let mut seen = Vec::new();
    let data = message(7, 9, &[set(256, [0, 0, 0, 5, 1, b'a'])]);
    let mut take = |sessions: &mut UdpSessions, from: &str| {
        sessions
            .receive(10, address(from), &data, &mut |record| seen.push(text(&record)))
            .unwrap()
            .summary
            .sets_held
    };
    assert_eq!((take(&mut after, "[fd00::1]:1000"), take(&mut after, "10.0.0.1:1000")), (0, 1));
    assert_eq!(seen, ["octetDeltaCount=5 sourcePodName=a"]);

    // Another decoder's exporters, a damaged file, another file.
    assert_eq!(sessions().restore(0, NOW, &saved, |from| from.is_ipv4()).templates, 2);
    let damaged = sessions().restore(0, NOW, &saved[..saved.len() - 3], |_| true);
    assert_eq!(damaged.templates, 3);
    assert!(damaged.damage.is_some());
    assert!(sessions().restore(0, NOW, b"something else", |_| true).damage.is_some());
}
