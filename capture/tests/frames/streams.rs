//! TCP connections, as they are seen on a network that loses, repeats and reorders.

use crate::files::{Happened, MESSAGES, read};

/// The octets and the gaps of a stream: `Ok` octets up to the next gap, and whether it ended.
fn parts(name: &str, serial: u64) -> (Vec<Vec<u8>>, usize) {
    let (mut parts, mut ends) = (vec![Vec::new()], 0);
    for (_, happened) in read(name).streams.into_iter().filter(|(stream, _)| *stream == serial) {
        match happened {
            Happened::Octets(octets) => parts.last_mut().expect("there is always one").extend(octets),
            Happened::Gap => parts.push(Vec::new()),
            Happened::End => ends += 1,
        }
    }
    (parts, ends)
}

#[test]
fn the_stream_is_the_same_whatever_the_network_did() {
    let cases = [
        "tcp",
        "tcp-wrap",
        "tcp-repeated",
        "tcp-repeated-later",
        "tcp-mixed",
        "tcp-overlapping",
        "tcp-vlan",
        "tcp-fragments",
        "tcp-both-ways",
    ];
    for name in cases {
        assert_eq!(parts(name, 1), (vec![MESSAGES.concat()], 1), "{name}");
        let streams = read(name).streams.iter().map(|(stream, _)| *stream).max();
        assert_eq!(streams, Some(if name == "tcp-both-ways" { 2 } else { 1 }), "{name}");
    }
    // The other direction, whose beginning is not in the file.
    assert_eq!(parts("tcp-both-ways", 2), (vec![Vec::new(), b"back".to_vec()], 1));
}

#[test]
fn what_was_not_captured_is_a_gap() {
    let whole = MESSAGES.concat();
    // The fourth segment of 300 octets is missing; and the first, with what told that the connection begins.
    assert_eq!(parts("tcp-gap", 1), (vec![whole[..900].to_vec(), whole[1_200..].to_vec()], 1));
    assert_eq!(parts("tcp-middle", 1), (vec![Vec::new(), whole[300..].to_vec()], 1));
    assert_eq!(parts("tcp-reset", 1), (vec![whole[..600].to_vec()], 1));
}

#[test]
fn the_same_ports_again_are_another_stream() {
    assert_eq!(parts("tcp-ports-again", 1), (vec![MESSAGES.concat()], 1));
    assert_eq!(parts("tcp-ports-again", 2), (vec![MESSAGES.concat()], 1));
}
