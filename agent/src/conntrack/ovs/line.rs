//! One line of `dpctl/dump-conntrack -m -s`.
//!
//! ```text
//!  tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=46684,dport=80,packets=9,bytes=700),reply=(src=…),
//!  start=2026-01-02T03:04:05.678,id=0,zone=65520,status=SEEN_REPLY|ASSURED,timeout=86399,
//!  protoinfo=(state_orig=ESTABLISHED,state_reply=ESTABLISHED,wscale_orig=10,…)
//! ```
//! Which of these there are depends on the datapath and on the release. What is not known is stepped over; only a
//! line without a protocol and two whole tuples is refused.

use std::net::IpAddr;

use jiff::civil::DateTime;
use podflow_flow::protocol;

use crate::conntrack::entry::{Counters, Entry, Layer4, ProtocolState, Status, Tuple, Zones};

/// Reads a line.
pub(super) fn parse(line: &str) -> Option<Entry> {
    let line = line.trim();
    let (name, rest) = line.split_once(',')?;
    let protocol = protocol::number(name).or_else(|| name.parse().ok())?;
    let (mut original, mut reply) = (None, None);
    let (mut id, mut zone, mut status) = (0, 0, 0);
    let (mut start_ns, mut timeout_seconds, mut state) = (None, None, ProtocolState::None);
    for (key, value) in Fields(rest) {
        match key {
            "orig" => original = direction(protocol, value),
            "reply" => reply = direction(protocol, value),
            "id" => id = value.parse().unwrap_or(0),
            "zone" => zone = value.parse().ok()?,
            "status" => status = status_bits(value),
            "start" => start_ns = nanoseconds(value),
            "timeout" => timeout_seconds = value.parse().ok(),
            "protoinfo" => state = tcp_state(protocol, value),
            _ => {}
        }
    }
    let ((original, forward), (reply, backward)) = (original?, reply?);
    let counters = forward.zip(backward).map(|((packets, octets), (reverse_packets, reverse_octets))| {
        Counters { packets, octets, reverse_packets, reverse_octets }
    });
    Some(Entry {
        zones: Zones { original: zone, reply: zone },
        original,
        reply,
        id,
        status: Status(status),
        counters,
        start_ns,
        stop_ns: None,
        timeout_seconds,
        state,
    })
}

/// `key=value` pairs between commas; a value in brackets may hold commas and brackets itself.
struct Fields<'a>(&'a str);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.0.is_empty() {
                return None;
            }
            let mut depth = 0_u32;
            let end = self.0.find(|c| {
                match c {
                    '(' => depth += 1,
                    ')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                c == ',' && depth == 0
            });
            let (field, rest) = end.map_or((self.0, ""), |end| {
                let (field, rest) = self.0.split_at(end);
                (field, rest.get(1..).unwrap_or_default())
            });
            self.0 = rest;
            if let Some((key, value)) = field.split_once('=') {
                let inner = value.strip_prefix('(').and_then(|value| value.strip_suffix(')'));
                return Some((key, inner.unwrap_or(value)));
            }
        }
    }
}

type Counted = Option<(u64, u64)>;

fn direction(protocol: u8, text: &str) -> Option<(Tuple, Counted)> {
    let value = |wanted: &str| Fields(text).find(|(key, _)| *key == wanted).map(|(_, value)| value);
    let address = |key| value(key).and_then(|text| text.parse::<IpAddr>().ok());
    let number = |key| value(key).and_then(|text| text.parse::<u64>().ok());
    let port = |key| number(key).and_then(|number| u16::try_from(number).ok());
    let octet = |key| number(key).and_then(|number| u8::try_from(number).ok());
    let layer4 = match (port("sport").zip(port("dport")), port("id").zip(octet("type")).zip(octet("code"))) {
        (Some((source, destination)), _) => Layer4::Ports { source, destination },
        (None, Some(((id, kind), code))) => Layer4::Icmp { id, kind, code },
        (None, None) => Layer4::None,
    };
    let tuple = Tuple { source: address("src")?, destination: address("dst")?, protocol, layer4 };
    Some((tuple, number("packets").zip(number("bytes"))))
}

/// `IPS_…` bits by their names; numbers stand for those without one.
fn status_bits(text: &str) -> u32 {
    text.split('|').fold(0, |bits, word| {
        bits | STATUS.iter().find(|(name, _)| *name == word).map_or(0, |(_, bit)| 1 << bit)
    })
}

/// The datapath's clock is taken for UTC, which is what Nodes run on.
fn nanoseconds(text: &str) -> Option<u64> {
    let time: DateTime = text.parse().ok()?;
    let stamp = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    u64::try_from(stamp.as_nanosecond()).ok().filter(|nanoseconds| *nanoseconds != 0)
}

/// The state of a connection from those of its two ends, in the kernel's numbers.
fn tcp_state(protocol: u8, text: &str) -> ProtocolState {
    if protocol != protocol::TCP {
        return ProtocolState::None;
    }
    let state = |wanted: &str| {
        let (_, name) = Fields(text).find(|(key, _)| *key == wanted)?;
        TCP_STATES.iter().find(|(word, _)| *word == name).map(|(_, number)| *number)
    };
    let both = [state("state"), state("state_orig"), state("state_reply")].into_iter().flatten();
    // An end that has not said anything yet is CLOSED, too, so the other one tells.
    let further = both.clone().filter(|number| *number != CLOSE).max();
    further.or_else(|| both.max()).map_or(ProtocolState::None, ProtocolState::Tcp)
}

const CLOSE: u8 = 8;

/// Open vSwitch's names, and `enum tcp_conntrack`.
const TCP_STATES: [(&str, u8); 11] = [
    ("LISTEN", 0),
    ("SYN_SENT", 1),
    ("SYN_RECV", 2),
    ("ESTABLISHED", 3),
    ("FIN_WAIT_1", 4),
    ("FIN_WAIT_2", 4),
    ("CLOSE_WAIT", 5),
    ("LAST_ACK", 6),
    ("CLOSING", 6),
    ("TIME_WAIT", 7),
    ("CLOSED", CLOSE),
];

/// The names of the bits, as Open vSwitch writes them.
const STATUS: [(&str, u32); 13] = [
    ("EXPECTED", 0),
    ("SEEN_REPLY", 1),
    ("ASSURED", 2),
    ("CONFIRMED", 3),
    ("SRC_NAT", 4),
    ("DST_NAT", 5),
    ("SEQ_ADJUST", 6),
    ("SRC_NAT_DONE", 7),
    ("DST_NAT_DONE", 8),
    ("DYING", 9),
    ("FIXED_TIMEOUT", 10),
    ("TEMPLATE", 11),
    ("UNTRACKED", 12),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As version 3.1 prints it for its userspace datapath.
    const USERSPACE: &str = "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=46684,dport=80),reply=(src=10.0.0.2,dst=10.0.0.1,\
        sport=80,dport=46684),id=0,zone=65520,status=0,timeout=86399,protoinfo=(state_orig=ESTABLISHED,\
        state_reply=ESTABLISHED,wscale_orig=10,wscale_reply=10,flags_orig=WINDOW_SCALE,flags_reply=WINDOW_SCALE)";

    /// As it is written for the kernel's table, with everything.
    const KERNEL: &str = "tcp,orig=(src=fd00::1,dst=fd00::9,sport=1,dport=2,packets=3,bytes=400),reply=(src=fd00::2,\
        dst=fd00::1,sport=2,dport=1,packets=5,bytes=600),start=1970-01-02T00:00:01.500,id=3750535678,zone=5,\
        status=SEEN_REPLY|ASSURED|0x80000000,timeout=7,mark=1,labels=0x1,helper=ftp,protoinfo=(state_orig=FIN_WAIT_1,\
        state_reply=TIME_WAIT),parent=(tcp,orig=(src=1.1.1.1,dst=2.2.2.2,sport=9,dport=9))";

    #[test]
    fn a_line_of_the_userspace_datapath() {
        let entry = parse(USERSPACE).unwrap();
        assert_eq!(entry.original.source, "10.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!((entry.original.source_port(), entry.reply.source_port()), (46_684, 80));
        assert_eq!((entry.original.protocol, entry.zones.original, entry.zones.reply), (6, 65_520, 65_520));
        assert_eq!((entry.counters, entry.start_ns, entry.id), (None, None, 0));
        assert_eq!((entry.state, entry.timeout_seconds), (ProtocolState::Tcp(3), Some(86_399)));
    }

    #[test]
    fn a_line_with_everything() {
        let entry = parse(KERNEL).unwrap();
        let counters = Counters { packets: 3, octets: 400, reverse_packets: 5, reverse_octets: 600 };
        assert_eq!(entry.counters, Some(counters));
        assert_eq!(entry.start_ns, Some(86_401_500_000_000));
        assert_eq!((entry.id, entry.status), (3_750_535_678, Status(0b110)));
        assert_eq!(entry.state, ProtocolState::Tcp(7), "the end that is further");
        assert_eq!(entry.reply.source, "fd00::2".parse::<IpAddr>().unwrap());
        assert_eq!(entry.original.source_port(), 1, "not the parent's");
    }

    #[test]
    fn icmp_and_protocols_without_ports() {
        let echo = parse(
            "icmp,orig=(src=10.0.0.1,dst=10.0.0.2,id=7,type=8,code=0),reply=(src=10.0.0.2,dst=10.0.0.1,id=7,type=0,\
             code=0),id=0,status=0,timeout=29",
        )
        .unwrap();
        assert_eq!(echo.original.layer4, Layer4::Icmp { id: 7, kind: 8, code: 0 });
        let plain =
            parse("253,orig=(src=10.0.0.1,dst=10.0.0.2),reply=(src=10.0.0.2,dst=10.0.0.1),id=0").unwrap();
        assert_eq!((plain.original.protocol, plain.original.layer4), (253, Layer4::None));
    }

    #[test]
    fn states_of_both_ends() {
        let with = |orig, reply| {
            let states = format!("state_orig={orig},state_reply={reply}");
            tcp_state(6, &states)
        };
        for (orig, reply, state) in [
            ("SYN_SENT", "CLOSED", 1),
            ("ESTABLISHED", "SYN_SENT", 3),
            ("FIN_WAIT_2", "ESTABLISHED", 4),
            ("TIME_WAIT", "TIME_WAIT", 7),
            ("CLOSED", "CLOSED", 8),
        ] {
            assert_eq!(with(orig, reply), ProtocolState::Tcp(state), "{orig} {reply}");
        }
        assert_eq!(with("NEW_WORD", "OTHER"), ProtocolState::None);
        assert_eq!(tcp_state(17, "state=MULTIPLE"), ProtocolState::None);
        assert_eq!(tcp_state(6, "state=ESTABLISHED"), ProtocolState::Tcp(3));
    }

    #[test]
    fn what_is_no_connection_is_refused() {
        for line in [
            "",
            "tcp",
            "tcp,",
            "nonsense,orig=(src=1.1.1.1,dst=2.2.2.2),reply=(src=2.2.2.2,dst=1.1.1.1)",
            "tcp,orig=(src=1.1.1.1,dst=2.2.2.2,sport=1,dport=2)",
            "tcp,orig=(src=1.1.1,dst=2.2.2.2),reply=(src=2.2.2.2,dst=1.1.1.1)",
            "tcp,orig=(src=1.1.1.1,dst=2.2.2.2),reply=(src=2.2.2.2,dst=1.1.1.1),zone=70000",
            "tcp,orig=(((((,reply=)))",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(line in "[a-z0-9=(),.:|_ é-]{0,120}") {
            let _ = parse(&line);
        }

        #[test]
        fn a_line_that_is_cut_or_damaged_is_read_or_refused(cut in 0..KERNEL.len(), octet in "[,=()x9]") {
            let _ = parse(&KERNEL[..cut]);
            let _ = parse(&format!("{}{octet}{}", &KERNEL[..cut], &KERNEL[cut + 1..]));
        }
    }
}
