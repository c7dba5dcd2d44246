//! Every bound of `Limits` at its edge: what just fits is taken, one more is refused and told, and the session goes on.

use std::net::SocketAddr;
use std::sync::Arc;

use podflow_ipfix::Limits;
use podflow_ipfix::collect::{Transport, UdpSessions};
use podflow_ipfix::registry::Registry;

use super::support::{NOW, limited, message, options_template, receive, records, set, template, variable};

/// octetDeltaCount in four octets.
const OCTETS: (u32, u16, u16) = (0, 1, 4);

fn told(limits: Limits, messages: &[Vec<u8>]) -> Option<String> {
    let mut collector = limited(Transport::Stream, limits);
    let error = messages.iter().find_map(|message| receive(&mut collector, NOW, message).err());
    // Whatever was refused, the next good message is read.
    let good = message(1, 0, &[template(999, &[OCTETS]), set(999, [0, 0, 0, 5])]);
    assert_eq!(records(&mut collector, &good), ["octetDeltaCount=5"]);
    error.map(|error| error.to_string())
}

#[test]
fn fields_of_a_template() {
    let limits = Limits { fields_per_template: 3, ..Limits::default() };
    let of = |fields: usize| message(1, 0, &[template(256, &vec![OCTETS; fields])]);
    assert_eq!(told(limits.clone(), &[of(3)]), None);
    let expected = "template 256 at byte 20: it has more fields than the limit";
    assert_eq!(told(limits, &[of(4)]).as_deref(), Some(expected));
    // The default takes what fills a quarter of a message, and no more.
    let default = Limits::default();
    assert_eq!(told(default.clone(), &[of(default.fields_per_template)]), None);
    assert!(told(default.clone(), &[of(default.fields_per_template + 1)]).is_some());
}

#[test]
fn templates_of_a_session_in_all_its_domains() {
    let limits = Limits { templates_per_session: 3, ..Limits::default() };
    let mut collector = limited(Transport::Udp, limits);
    for (domain, id) in [(1, 256), (1, 257), (2, 256)] {
        let (summary, _) =
            receive(&mut collector, NOW, &message(domain, 0, &[template(id, &[OCTETS])])).unwrap();
        assert_eq!((summary.templates, summary.templates_refused), (1, 0));
    }
    let fourth = message(2, 0, &[template(257, &[OCTETS])]);
    let (summary, _) = receive(&mut collector, NOW, &fourth).unwrap();
    assert_eq!((summary.templates, summary.templates_refused, collector.template_count()), (0, 1, 3));
    // Those that are known are refreshed all the same, and make room when they end.
    let (summary, _) = receive(&mut collector, NOW, &message(2, 0, &[template(256, &[OCTETS])])).unwrap();
    assert_eq!((summary.templates, summary.templates_refused), (1, 0));
    let later = NOW + Limits::default().template_lifetime_ms + 1_000;
    let (summary, _) = receive(&mut collector, later, &fourth).unwrap();
    assert_eq!((summary.templates, summary.templates_refused), (1, 0), "{summary:?}");
}

#[test]
fn values_of_a_message_in_lists_too() {
    // Records of two values, and lists of one-octet values within a record.
    let limits = Limits { values_per_message: 10, ..Limits::default() };
    let two = template(256, &[(0, 4, 1), (0, 5, 1)]);
    let plain = |records: usize| message(1, 0, &[two.clone(), set(256, vec![7; 2 * records])]);
    assert_eq!(told(limits.clone(), &[plain(5)]), None);
    let expected = "more than 10 values in one message, at byte 46";
    assert_eq!(told(limits.clone(), &[plain(6)]).as_deref(), Some(expected));
    let list = |values: usize| {
        let list = [&[3, 0, 4, 0, 1][..], &vec![7; values]].concat();
        message(1, 0, &[template(256, &[(0, 291, 65_535)]), set(256, variable(list))])
    };
    assert_eq!(told(limits.clone(), &[list(9)]), None);
    let refused = told(limits, &[list(10)]).unwrap();
    assert!(refused.starts_with("more than 10 values in one message"), "{refused}");
    // The longest message of all, with one octet a value, is within the default.
    let longest = message(1, 0, &[template(256, &[(0, 4, 1)]), set(256, vec![7; 65_535 - 16 - 12 - 4])]);
    assert_eq!((longest.len(), told(Limits::default(), &[longest])), (65_535, None));
}

#[test]
fn observation_domains_of_a_session() {
    let limits = Limits { domains_per_session: 2, ..Limits::default() };
    let of = |domain| message(domain, 0, &[]);
    assert_eq!(told(limits.clone(), &[of(1), of(2), of(1)]), None);
    let refused = told(limits, &[of(1), of(2), of(3)]);
    assert_eq!(refused.as_deref(), Some("observation domain 3 is beyond the limit of 2 in one session"));
}

#[test]
fn elements_that_an_exporter_describes() {
    const VARIABLE: u16 = 65_535;
    let fields = [(0, 346, 4), (0, 303, 2), (0, 339, 1), (0, 344, 1), (0, 341, VARIABLE)];
    let about =
        |id: u8| [&4_711_u32.to_be_bytes()[..], &[0, id, 1, 0], &variable(format!("tenant{id}"))].concat();
    let limits = Limits { announced_elements: 2, ..Limits::default() };
    let mut collector = limited(Transport::Stream, limits);
    let sets = [options_template(300, 2, &fields), set(300, [about(1), about(2), about(3)].concat())];
    let (summary, _) = receive(&mut collector, NOW, &message(1, 0, &sets)).unwrap();
    assert_eq!((summary.elements_learned, summary.elements_refused), (2, 1));
    let flows = [template(256, &[(4_711, 2, 1), (4_711, 3, 1)]), set(256, [5, 6])];
    assert_eq!(records(&mut collector, &message(1, 0, &flows)), ["tenant2=5 e4711id3=06"]);
}

#[test]
fn data_that_waits_for_its_template() {
    let data = |octets: usize| message(1, 0, &[set(256, vec![0; octets])]);
    let limits = Limits { held_octets: 8, held_age_ms: 1_000, ..Limits::default() };
    let mut collector = limited(Transport::Udp, limits);
    let (summary, _) = receive(&mut collector, NOW, &data(9)).unwrap();
    assert_eq!((summary.sets_held, summary.sets_lost), (1, 1), "it alone is too much");
    let (summary, _) = receive(&mut collector, NOW, &data(8)).unwrap();
    assert_eq!((summary.sets_held, summary.sets_lost), (1, 0));
    // Within its age, and beyond it; ages are looked at once a second.
    assert_eq!(receive(&mut collector, NOW + 1_000, &message(1, 0, &[])).unwrap().0.sets_lost, 0);
    assert_eq!(receive(&mut collector, NOW + 2_001, &message(1, 0, &[])).unwrap().0.sets_lost, 1);
    assert_eq!(collector.held_sets(), 0);
}

#[test]
fn sessions_of_a_socket_and_their_silence() {
    let limits = Limits { udp_sessions: 3, udp_session_idle_ms: 1_000, ..Limits::default() };
    let mut sessions = UdpSessions::new(Arc::new(limits), Arc::new(Registry::standard()));
    let mut hear = |port: u16, now_ms: u64| {
        let from = SocketAddr::from(([10, 0, 0, 1], port));
        sessions.receive(now_ms, from, &message(1, 0, &[]), &mut |_| {}).unwrap().sessions_evicted
    };
    assert_eq!([hear(1, NOW), hear(2, NOW + 1), hear(3, NOW + 2), hear(1, NOW + 3)], [0; 4]);
    assert_eq!(hear(4, NOW + 4), 1, "the one that is silent longest gives way");
    let mut ports: Vec<u16> = sessions.sessions().map(|(address, ..)| address.port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, [1, 3, 4]);
    assert_eq!([sessions.expire(NOW + 1_002), sessions.expire(NOW + 1_003)], [0, 1]);
}
