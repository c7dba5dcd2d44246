//! Datagrams in every kind of frame, whole and in fragments.

use std::net::SocketAddr;

use podflow_capture::Losses;

use crate::files::{MESSAGES, all, read};

#[test]
fn every_kind_of_frame_gives_the_same_datagrams() {
    let ipv4 = ["10.1.0.1:50000", "10.1.0.9:4739"];
    let ipv6 = ["[fd00::1]:50000", "[fd00::9]:4739"];
    let cases = [
        ("ethernet", ipv4),
        ("vlan", ipv4),
        ("qinq", ipv4),
        ("old-qinq", ipv4),
        ("three-vlans", ipv4),
        ("cooked", ipv4),
        ("cooked-vlan", ipv4),
        ("cooked2", ipv4),
        ("cooked2-vlan", ipv4),
        ("raw", ipv4),
        ("raw-ipv4", ipv4),
        ("raw-ipv6", ipv6),
        ("loopback", ipv4),
        ("ethernet-ipv6", ipv6),
        ("ipv6-extensions", ipv6),
        ("cooked-ipv6", ipv6),
        ("ip-options", ipv4),
        ("among-others", ipv4),
    ];
    for (name, addresses) in cases {
        assert_all(name, addresses);
    }
}

#[test]
fn fragments_in_any_order_repeated_and_overlapping_give_the_same_datagrams() {
    let ipv4 = ["10.1.0.1:50000", "10.1.0.9:4739"];
    let ipv6 = ["[fd00::1]:50000", "[fd00::9]:4739"];
    let cases = [
        ("fragments", ipv4),
        ("fragments-reversed", ipv4),
        ("fragments-twice", ipv4),
        ("fragments-overlapping", ipv4),
        ("fragments-vlan", ipv4),
        ("fragments6", ipv6),
        ("fragments6-reversed", ipv6),
    ];
    for (name, addresses) in cases {
        assert_all(name, addresses);
    }
    // Mixed, the datagrams end in another order.
    let mixed = read("fragments-mixed");
    let mut messages = mixed.messages();
    messages.sort_unstable();
    assert_eq!(messages, all());
    assert_eq!(mixed.losses, Losses::default());
}

#[test]
fn a_datagram_with_a_missing_or_contradicting_fragment_is_counted_once_and_the_others_are_read() {
    // The last message is so short that it is not fragmented.
    let long = MESSAGES.len() - 1;
    assert!(MESSAGES[long].len() < 240 && MESSAGES[..long].iter().all(|message| message.len() > 1_000));
    let long_lost = Losses { fragments: long as u64, ..Losses::default() };
    for name in ["fragments-missing", "fragments-contradicting", "fragments6-missing"] {
        let seen = read(name);
        assert_eq!((seen.messages(), seen.losses), (vec![Some(long)], long_lost), "{name}");
    }
}

fn assert_all(name: &str, addresses: [&str; 2]) {
    let seen = read(name);
    assert_eq!(seen.messages(), all(), "{name}");
    assert_eq!(seen.losses, Losses::default(), "{name}");
    let [from, to]: [SocketAddr; 2] = addresses.map(|address| address.parse().expect("an address"));
    for datagram in &seen.datagrams {
        assert_eq!((datagram.from, datagram.to, datagram.cut), (from, to, false), "{name}");
    }
}
