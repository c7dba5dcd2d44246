//! From a frame to the IP packet in it: Ethernet with VLAN tags, Linux cooked captures, raw IP, loopback.

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket};

/// What the first octets of a frame are: the link types of the pcap formats that can carry IP here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkType {
    /// 1: Ethernet.
    Ethernet,
    /// 113: Linux cooked capture, 16 octets.
    LinuxCooked,
    /// 276: Linux cooked capture version 2, 20 octets.
    LinuxCooked2,
    /// 12, 14, 101, 228, 229: an IP packet without anything before it.
    RawIp,
    /// 0, 108: four octets of address family.
    Loopback,
    /// Any other: not read, counted.
    Other(u32),
    /// The file does not say: a pcapng packet of an interface that was not described. Not read, counted.
    Undescribed,
}

impl LinkType {
    /// The link type of its number in the file.
    pub const fn of(number: u32) -> Self {
        match number {
            1 => Self::Ethernet,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCooked2,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            0 | 108 => Self::Loopback,
            other => Self::Other(other),
        }
    }
}

/// The IP packet in a frame; none where there is none.
pub(crate) fn ip_packet(link: LinkType, frame: &[u8]) -> Option<LaxNetSlice<'_>> {
    let packet = match link {
        LinkType::Ethernet => LaxSlicedPacket::from_ethernet(frame).ok()?,
        LinkType::LinuxCooked => LaxSlicedPacket::from_ether_type(ether_type(frame, 14)?, frame.get(16..)?),
        LinkType::LinuxCooked2 => LaxSlicedPacket::from_ether_type(ether_type(frame, 0)?, frame.get(20..)?),
        LinkType::RawIp => LaxSlicedPacket::from_ip(frame).ok()?,
        LinkType::Loopback => LaxSlicedPacket::from_ip(frame.get(4..)?).ok()?,
        LinkType::Other(_) | LinkType::Undescribed => return None,
    };
    packet.net
}

fn ether_type(frame: &[u8], offset: usize) -> Option<EtherType> {
    frame.get(offset..)?.first_chunk::<2>().map(|octets| EtherType(u16::from_be_bytes(*octets)))
}
