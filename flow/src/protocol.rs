//! IP protocol numbers by name (`ipfix.protocol`): IANA's keywords of the protocols one meets on a Node.

/// The name of an IP protocol number, or `None` for one that has no everyday name (documents then carry the
/// number alone, in `protocolIdentifier`).
pub fn name(number: u8) -> Option<&'static str> {
    NAMES.iter().find(|(n, _)| *n == number).map(|(_, name)| *name)
}

/// The number of a protocol name, in any case.
pub fn number(name: &str) -> Option<u8> {
    NAMES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(number, _)| *number)
}

/// ICMP.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// GRE.
pub const GRE: u8 = 47;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// SCTP.
pub const SCTP: u8 = 132;

// The most frequent first: the look-up walks the table.
const NAMES: [(u8, &str); 19] = [
    (TCP, "TCP"),
    (UDP, "UDP"),
    (ICMP, "ICMP"),
    (ICMPV6, "ICMPv6"),
    (SCTP, "SCTP"),
    (GRE, "GRE"),
    (2, "IGMP"),
    (4, "IPv4"),
    (33, "DCCP"),
    (41, "IPv6"),
    (46, "RSVP"),
    (50, "ESP"),
    (51, "AH"),
    (88, "EIGRP"),
    (89, "OSPF"),
    (103, "PIM"),
    (112, "VRRP"),
    (115, "L2TP"),
    (136, "UDPLite"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (n, word) in NAMES {
            assert_eq!(name(n), Some(word));
            assert_eq!(number(&word.to_lowercase()), Some(n));
        }
        assert_eq!(name(253), None);
        assert_eq!(number("no such"), None);
    }
}
