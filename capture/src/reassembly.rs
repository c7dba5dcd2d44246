//! Frames to datagrams and stream octets.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv6ExtensionSlice, LaxNetSlice, TcpSlice, UdpSlice};

use crate::file::Frame;
use crate::fragments::{Fragment, FragmentKey, Fragments};
use crate::link::{LinkType, ip_packet};
use crate::streams::{Segment, StreamEvent, StreamId, Streams};

/// What a collector would have seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// A UDP datagram.
    Datagram {
        /// When, nanoseconds since 1970.
        time_ns: u64,
        /// Who sent it.
        from: SocketAddr,
        /// To whom.
        to: SocketAddr,
        /// Its payload.
        octets: &'a [u8],
        /// Whether the capture holds less of it than was sent.
        cut: bool,
    },
    /// The next octets of a TCP stream.
    Octets {
        /// When, nanoseconds since 1970.
        time_ns: u64,
        /// Which stream.
        stream: StreamId,
        /// The octets.
        octets: &'a [u8],
    },
    /// Octets of a TCP stream are missing here, or before its first.
    Gap {
        /// Which stream.
        stream: StreamId,
    },
    /// A TCP stream ended, or the file did.
    End {
        /// Which stream.
        stream: StreamId,
    },
}

/// What of a capture file could not be used, each frame or packet once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// Frames of a link type that is not read.
    pub link_type: u64,
    /// Packets of which fragments are not in the file, or contradict each other.
    pub fragments: u64,
    /// Frames of which too little was captured to tell what is in them.
    pub cut: u64,
}

/// The state between frames.
#[derive(Debug, Default)]
pub struct Reassembly {
    fragments: Fragments,
    streams: Streams,
    losses: Losses,
    time_ns: u64,
}

impl Reassembly {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a frame and says what it completes.
    pub fn take(&mut self, frame: &Frame, on_event: &mut dyn FnMut(Event<'_>)) {
        self.time_ns = frame.time_ns;
        if matches!(frame.link, LinkType::Other(_) | LinkType::Undescribed) {
            self.losses.link_type += 1;
        } else if !self.packet(frame, on_event) && frame.cut > 0 {
            self.losses.cut += 1;
        }
    }

    /// The file is over: says how the open streams end, and what was lost.
    pub fn finish(mut self, on_event: &mut dyn FnMut(Event<'_>)) -> Losses {
        let time_ns = self.time_ns;
        self.streams.finish(&mut |stream, event| on_event(told(time_ns, stream, event)));
        self.losses.fragments += self.fragments.incomplete() as u64;
        self.losses
    }

    /// Whether the frame holds an IP packet whose headers are whole.
    fn packet(&mut self, frame: &Frame, on_event: &mut dyn FnMut(Event<'_>)) -> bool {
        let Some(packet) = ip_packet(frame.link, &frame.octets) else { return false };
        let Some(addresses) = addresses(&packet) else { return false };
        let Some(payload) = packet.ip_payload_ref() else { return false };
        let (protocol, whole) = (payload.ip_number, payload.payload);
        let cut = frame.cut > 0 && payload.incomplete;
        if !payload.fragmented {
            return self.transport(protocol, addresses, whole, cut, on_event);
        }
        let Some(fragment) = fragment(&packet, addresses, protocol, whole, payload.incomplete) else {
            return false;
        };
        if let Some(whole) = self.fragments.take(&fragment, &mut self.losses.fragments) {
            self.transport(protocol, addresses, &whole, false, on_event);
        }
        true
    }

    /// Whether the segment's or datagram's header is whole, or it is of another protocol.
    fn transport(
        &mut self,
        protocol: IpNumber,
        (source, destination): (IpAddr, IpAddr),
        octets: &[u8],
        cut: bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> bool {
        let time_ns = self.time_ns;
        match protocol {
            IpNumber::UDP => {
                let Ok(datagram) = UdpSlice::from_slice_lax(octets) else { return false };
                let cut = cut || usize::from(datagram.length()) > octets.len();
                let from = SocketAddr::new(source, datagram.source_port());
                let to = SocketAddr::new(destination, datagram.destination_port());
                on_event(Event::Datagram { time_ns, from, to, octets: datagram.payload(), cut });
            }
            IpNumber::TCP => {
                let Ok(segment) = TcpSlice::from_slice(octets) else { return false };
                let segment = Segment {
                    from: SocketAddr::new(source, segment.source_port()),
                    to: SocketAddr::new(destination, segment.destination_port()),
                    sequence: segment.sequence_number(),
                    begins: segment.syn(),
                    ends: segment.fin() || segment.rst(),
                    payload: segment.payload(),
                };
                self.streams.take(&segment, &mut |stream, event| on_event(told(time_ns, stream, event)));
            }
            _ => {}
        }
        true
    }
}

fn told(time_ns: u64, stream: StreamId, event: StreamEvent<'_>) -> Event<'_> {
    match event {
        StreamEvent::Octets(octets) => Event::Octets { time_ns, stream, octets },
        StreamEvent::Gap => Event::Gap { stream },
        StreamEvent::End => Event::End { stream },
    }
}

fn addresses(packet: &LaxNetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match packet {
        LaxNetSlice::Ipv4(ip) => {
            Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
        }
        LaxNetSlice::Ipv6(ip) => {
            Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

fn fragment<'a>(
    packet: &LaxNetSlice<'a>,
    (source, destination): (IpAddr, IpAddr),
    protocol: IpNumber,
    payload: &'a [u8],
    cut: bool,
) -> Option<Fragment<'a>> {
    let (identification, offset, more) = match packet {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            (u32::from(header.identification()), header.fragments_offset(), header.more_fragments())
        }
        LaxNetSlice::Ipv6(ip) => {
            ip.extensions().clone().into_iter().find_map(|extension| match extension {
                Ipv6ExtensionSlice::Fragment(header) => {
                    Some((header.identification(), header.fragment_offset(), header.more_fragments()))
                }
                _ => None,
            })?
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let key = FragmentKey { source, destination, identification, protocol: protocol.0 };
    Some(Fragment { key, offset, more, payload, cut })
}
