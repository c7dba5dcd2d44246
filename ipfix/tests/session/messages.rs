//! Messages and sets as wholes: their lengths, and sets that mean nothing to us (RFC 7011 section 3.1 and 3.3).

use super::support::{NOW, message, receive, records, session, set, template, variable};
use podflow_ipfix::DecodeError;
use podflow_ipfix::collect::Transport;

const STRING: (u32, u16, u16) = (0, 82, 65_535);

#[test]
fn a_message_may_have_65_535_octets() {
    // Header 16, template set 12, header of the data set 4, length of the string 3.
    let text = "x".repeat(65_535 - 16 - 12 - 4 - 3);
    let whole = message(1, 0, &[template(256, &[STRING]), set(256, variable(&text))]);
    assert_eq!(whole.len(), 65_535);
    assert_eq!(records(&mut session(Transport::Stream), &whole), [format!("interfaceName={text}")]);
}

#[test]
fn a_message_of_another_length_than_its_header_says_is_dropped() {
    let good = message(1, 0, &[template(256, &[STRING]), set(256, variable("a"))]);
    for (octets, received) in
        [(&good[..good.len() - 1], good.len() - 1), (&[&good[..], &[0]].concat(), good.len() + 1)]
    {
        let mut collector = session(Transport::Udp);
        let error = receive(&mut collector, NOW, octets).unwrap_err();
        assert_eq!(error, DecodeError::MessageLength { header: good.len(), received });
        assert_eq!((error.reason(), error.offset(), collector.template_count()), ("message_length", 2, 0));
        assert_eq!(records(&mut collector, &good), ["interfaceName=a"], "the session goes on");
    }
}

#[test]
fn sets_with_reserved_ids_are_skipped_by_their_length() {
    let mut collector = session(Transport::Stream);
    let reserved = [0, 1, 4, 255].map(|id| set(id, [0xff; 5]));
    let sets = [template(256, &[STRING]), reserved.concat(), set(256, variable("a"))];
    let (summary, seen) = receive(&mut collector, NOW, &message(1, 0, &sets)).unwrap();
    assert_eq!((summary.sets_reserved, seen), (4, vec!["interfaceName=a".to_owned()]));
}

#[test]
fn a_set_that_ends_beyond_the_message_or_before_itself_is_told_with_its_place() {
    for length in [3_u16, 9] {
        let mut bad = message(1, 0, &[template(256, &[STRING]), set(256, variable("abc"))]);
        bad[30..32].copy_from_slice(&length.to_be_bytes());
        let error = receive(&mut session(Transport::Stream), NOW, &bad).unwrap_err();
        assert_eq!((error.reason(), error.offset()), ("set_length", 28), "{error}");
    }
}
