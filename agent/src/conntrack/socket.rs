//! The two netlink sockets: one asks for dumps, one hears of entries that end.
//!
//! A socket belongs to the network namespace of the thread that opens it. Nothing is interpreted here beyond what a
//! dump or an overrun needs; `message` reads the octets.

use std::io;

use netlink_packet_core::NLMSG_DONE;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::sys::socket::{setsockopt, sockopt};
use thiserror::Error;

use crate::conntrack::entry::{Entry, Zones};
use crate::conntrack::message::{Message, Messages};
use crate::conntrack::request;

/// Why the table could not be read.
#[derive(Debug, Error)]
pub(crate) enum ConntrackError {
    /// The capability is missing.
    #[error("reading the connection tracking table needs CAP_NET_ADMIN in this network namespace")]
    NotPermitted(#[source] io::Error),
    /// The kernel has no conntrack netlink.
    #[error("this kernel has no conntrack netlink; load it with: modprobe nf_conntrack_netlink")]
    Unsupported(#[source] io::Error),
    /// Anything else, with what was being done.
    #[error("{0}")]
    Io(&'static str, #[source] io::Error),
    /// Open vSwitch does not answer, or not with a dump.
    #[error("asking Open vSwitch at {socket} for its connections")]
    Ovs {
        /// The socket, or the file that names it.
        socket: String,
        /// What came back.
        source: io::Error,
    },
}

impl ConntrackError {
    /// Gives the errno its likely cause, at the spot where it is in hand.
    fn from_io(doing: &'static str, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted(error),
            Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => Self::Unsupported(error),
            _ => Self::Io(doing, error),
        }
    }
}

/// How one dump went. Only a complete one says anything about entries that it does not contain.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Dump {
    /// Entries given on.
    pub(crate) entries: u64,
    /// Entries of zones that were not asked for, which a kernel before 6.8 sends all the same.
    pub(crate) foreign: u64,
    /// Messages that could not be read.
    pub(crate) unreadable: u64,
    /// The kernel said it was done, and that nothing moved under it.
    pub(crate) complete: bool,
}

/// Asks for dumps. One at a time.
pub(crate) struct DumpSocket {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

impl DumpSocket {
    /// Opens the socket in the network namespace of this thread.
    pub(crate) fn open() -> Result<Self, ConntrackError> {
        let socket = open("opening the conntrack dump socket")?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM], sequence: 0 })
    }

    /// Reads the whole table, or one zone of it, and gives every entry to `on_entry`. Blocks until the kernel is done.
    pub(crate) fn dump(
        &mut self,
        zone: Option<u16>,
        on_entry: &mut dyn FnMut(&Entry),
    ) -> Result<Dump, ConntrackError> {
        let mut dump = Dump::default();
        let mut interrupted = false;
        self.receive(zone, &mut |datagram| {
            let mut messages = Messages::new(datagram);
            let mut ended = None;
            for message in messages.by_ref() {
                match message {
                    Message::Entry(entry) if zone.is_none_or(|zone| in_zone(entry.zones, zone)) => {
                        dump.entries += 1;
                        on_entry(&entry);
                    }
                    Message::Entry(_) => dump.foreign += 1,
                    Message::Destroyed(..) | Message::Unreadable => dump.unreadable += 1,
                    Message::Done(0) => ended = Some(Ok(())),
                    Message::Done(errno) => ended = Some(Err(errno.saturating_neg())),
                    Message::Error(0) => {}
                    Message::Error(errno) => ended = Some(Err(errno)),
                }
            }
            interrupted |= messages.was_interrupted();
            ended
        })?;
        dump.complete = !interrupted;
        Ok(dump)
    }

    /// Reads a dump without looking at it, beyond where it ends; gives back its octets.
    pub(crate) fn discard(&mut self, zone: Option<u16>) -> Result<u64, ConntrackError> {
        let mut octets = 0;
        self.receive(zone, &mut |datagram| {
            octets += datagram.len() as u64;
            // The last message alone is looked at: that of the end has 20 octets, its type in the fifth and sixth.
            let last = datagram.last_chunk::<20>();
            let ended = last.is_some_and(|octets| u16::from_ne_bytes([octets[4], octets[5]]) == NLMSG_DONE);
            let is_whole = last.is_some_and(|octets| octets.starts_with(&20_u32.to_ne_bytes()));
            (ended && is_whole).then_some(Ok(()))
        })?;
        Ok(octets)
    }

    /// Sends the request and hands on datagrams until `on_datagram` says that the dump has ended, and how.
    fn receive(
        &mut self,
        zone: Option<u16>,
        on_datagram: &mut dyn FnMut(&[u8]) -> Option<End>,
    ) -> Result<(), ConntrackError> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request::dump(zone, self.sequence);
        self.socket
            .send(&request, 0)
            .map_err(|error| ConntrackError::from_io("asking for a conntrack dump", error))?;
        loop {
            let length = match self.socket.recv(&mut &mut self.buffer[..], libc::MSG_TRUNC) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ConntrackError::from_io("receiving a conntrack dump", error)),
            };
            let Some(datagram) = self.buffer.get(..length) else {
                return Err(ConntrackError::Io(
                    "receiving a conntrack dump: a datagram longer than the buffer",
                    io::ErrorKind::InvalidData.into(),
                ));
            };
            match on_datagram(datagram) {
                None => {}
                Some(Ok(())) => return Ok(()),
                Some(Err(errno)) => {
                    let error = io::Error::from_raw_os_error(errno);
                    return Err(ConntrackError::from_io("dumping the conntrack table", error));
                }
            }
        }
    }
}

/// How the kernel ended a dump: well, or with an errno.
type End = Result<(), i32>;

/// What was waiting on the event socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Drained {
    /// Destroy events given on.
    pub(crate) events: u64,
    /// Messages that could not be read.
    pub(crate) unreadable: u64,
    /// The socket's buffer overflowed: an unknown number of events is lost.
    pub(crate) overruns: u64,
}

/// Hears of entries that end, with their last counters.
pub(crate) struct EventSocket {
    socket: Socket,
    buffer: Vec<u8>,
}

impl EventSocket {
    /// Opens the socket in the network namespace of this thread and joins the destroy group. From here on, entries
    /// that are born will report their end.
    pub(crate) fn open() -> Result<Self, ConntrackError> {
        let socket = open("opening the conntrack event socket")?;
        // Forced, past net.core.rmem_max: a burst of ends arrives while a large dump is read.
        if setsockopt(&socket, sockopt::RcvBufForce, &EVENT_BUFFER).is_err() {
            socket
                .set_rx_buf_sz(EVENT_BUFFER)
                .map_err(|error| ConntrackError::from_io("sizing the conntrack event socket", error))?;
        }
        socket
            .set_non_blocking(true)
            .and_then(|()| socket.add_membership(NFNLGRP_CONNTRACK_DESTROY))
            .map_err(|error| ConntrackError::from_io("subscribing to conntrack destroy events", error))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM] })
    }

    /// Gives on every event that is waiting, with the port id of whoever deleted the entry, and returns at once.
    pub(crate) fn drain(
        &mut self,
        on_destroyed: &mut dyn FnMut(&Entry, u32),
    ) -> Result<Drained, ConntrackError> {
        let mut drained = Drained::default();
        loop {
            let length = match self.socket.recv(&mut &mut self.buffer[..], libc::MSG_TRUNC) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(drained),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    drained.overruns += 1;
                    continue;
                }
                Err(error) => return Err(ConntrackError::from_io("receiving conntrack events", error)),
            };
            for message in Messages::new(self.buffer.get(..length).unwrap_or_default()) {
                match message {
                    Message::Destroyed(entry, port_id) => {
                        drained.events += 1;
                        on_destroyed(&entry, port_id);
                    }
                    Message::Entry(_) | Message::Done(_) | Message::Error(_) => {}
                    Message::Unreadable => drained.unreadable += 1,
                }
            }
        }
    }

    /// The socket, to wait on until something can be read.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }
}

fn open(doing: &'static str) -> Result<Socket, ConntrackError> {
    let mut socket = Socket::new(NETLINK_NETFILTER).map_err(|error| ConntrackError::from_io(doing, error))?;
    socket
        .bind_auto()
        .and_then(|_| socket.connect(&SocketAddr::new(0, 0)))
        .map_err(|error| ConntrackError::from_io(doing, error))?;
    Ok(socket)
}

/// An entry belongs to a zone when either direction does, as the kernel's filter sees it.
fn in_zone(zones: Zones, zone: u16) -> bool {
    zones.original == zone || zones.reply == zone
}

/// The kernel fills at most 32 KiB for each `recv` of a dump; events are far smaller.
const DATAGRAM: usize = 64 * 1024;

/// Asked of the kernel for events: some 30,000 ends that nobody has read yet.
const EVENT_BUFFER: usize = 32 * 1024 * 1024;

/// `NFNLGRP_CONNTRACK_DESTROY`.
const NFNLGRP_CONNTRACK_DESTROY: u32 = 3;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netlink_packet_core::{DefaultNla, NetlinkMessage, NetlinkPayload, Nla};
    use netlink_packet_netfilter::conntrack::{
        ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Tuple,
    };
    use netlink_packet_netfilter::{NetfilterMessage, NetfilterMessageInner};
    use podflow_testbed::traffic::{datagrams, requests};
    use podflow_testbed::{Shape, Testbed, ZONE_IPV4, ZONE_IPV6};

    use super::*;
    use crate::conntrack::attributes::Attributes;
    use crate::conntrack::entry::ProtocolState;
    use crate::conntrack::switches;

    /// A Node with traffic of both families in its table.
    fn bed() -> Testbed {
        let bed =
            Testbed::start(Shape { nodes: 1, pods_per_node: 2, ipv6: true, ..Shape::default() }).unwrap();
        bed.node(0).space.enter(|| switches::switch_on(&switches::directory())).unwrap();
        let (client, server) = (bed.pod(0, 0), bed.pod(0, 1));
        for ip in &server.ips {
            let address = std::net::SocketAddr::new(*ip, server.port);
            requests(&client.space, address, 20, 100).unwrap();
            datagrams(&client.space, address, 3, 100).unwrap();
        }
        bed
    }

    fn datagrams_of(bed: &Testbed, zone: Option<u16>) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let work = || {
            DumpSocket::open().unwrap().receive(zone, &mut |datagram| {
                all.push(datagram.to_vec());
                Messages::new(datagram).any(|message| message == Message::Done(0)).then_some(Ok(()))
            })
        };
        bed.node(0).space.enter(work).unwrap().unwrap();
        all
    }

    #[test]
    fn the_kernel_filters_zones() {
        let bed = bed();
        let count = |zone| {
            let mut entries = Vec::new();
            let dump = bed
                .node(0)
                .space
                .enter(|| DumpSocket::open().unwrap().dump(zone, &mut |entry| entries.push(*entry)).unwrap());
            (dump.unwrap(), entries)
        };
        let (all, _) = count(None);
        let (four, entries) = count(Some(ZONE_IPV4));
        let (six, _) = count(Some(ZONE_IPV6));
        let (nobody, _) = count(Some(4711));
        assert!(all.complete && four.complete);
        assert_eq!((four.entries, six.entries, nobody.entries), (21, 21, 0));
        assert!(all.entries >= 42);
        assert_eq!((four.foreign, nobody.foreign), (0, 0), "this kernel filters");
        assert!(entries.iter().all(|entry| entry.zones.original == ZONE_IPV4 && entry.counters.is_some()));
        assert!(entries.iter().all(|entry| entry.start_ns.is_some() && entry.stop_ns.is_none()));
    }

    #[test]
    fn our_walk_and_netlink_packet_netfilter_read_the_same() {
        let mut compared = 0;
        for datagram in datagrams_of(&bed(), None) {
            let mut rest = datagram.as_slice();
            for ours in Messages::new(&datagram) {
                let theirs = NetlinkMessage::<NetfilterMessage>::deserialize(rest).unwrap();
                rest = &rest[(theirs.header.length as usize).next_multiple_of(4).min(rest.len())..];
                let NetlinkPayload::InnerMessage(theirs) = theirs.payload else {
                    assert!(matches!(ours, Message::Done(0)));
                    continue;
                };
                let (Message::Entry(ours), NetfilterMessageInner::Conntrack(ConntrackMessage::New(theirs))) =
                    (ours, theirs.inner)
                else {
                    panic!("not an entry")
                };
                for attribute in &theirs {
                    compare(&ours, attribute);
                }
                compared += 1;
            }
        }
        assert!(compared >= 42, "{compared}");
    }

    fn compare(ours: &Entry, theirs: &ConntrackAttribute) {
        match theirs {
            ConntrackAttribute::CtaTupleOrig(theirs) => compare_tuple(&ours.original, theirs),
            ConntrackAttribute::CtaTupleReply(theirs) => compare_tuple(&ours.reply, theirs),
            ConntrackAttribute::CtaStatus(theirs) => assert_eq!(ours.status.0, theirs.bits()),
            ConntrackAttribute::CtaTimeout(theirs) => assert_eq!(ours.timeout_seconds, Some(*theirs)),
            ConntrackAttribute::CtaProtoInfo(theirs) => {
                for info in theirs {
                    let ProtoInfo::TCP(theirs) = info else { panic!("not TCP") };
                    let state = theirs.iter().find_map(|one| match one {
                        ProtoInfoTCP::State(state) => Some(ProtocolState::Tcp(*state)),
                        _ => None,
                    });
                    assert_eq!(Some(ours.state), state);
                }
            }
            ConntrackAttribute::Other(theirs) => compare_raw(ours, theirs),
            _ => {}
        }
    }

    fn compare_tuple(ours: &crate::conntrack::Tuple, theirs: &[Tuple]) {
        let (mut addresses, mut ports) = (Vec::<IpAddr>::new(), Vec::new());
        for tuple in theirs {
            match tuple {
                Tuple::Ip(ip) => addresses.extend(ip.iter().filter_map(|one| match one {
                    IPTuple::SourceAddress(address) | IPTuple::DestinationAddress(address) => Some(*address),
                    _ => None,
                })),
                Tuple::Proto(proto) => ports.extend(proto.iter().filter_map(|one| match one {
                    ProtoTuple::SourcePort(port) | ProtoTuple::DestinationPort(port) => Some(*port),
                    _ => None,
                })),
                _ => {}
            }
        }
        assert_eq!([ours.source, ours.destination], *addresses);
        // ICMPv6 of neighbour discovery has no ports.
        if !ports.is_empty() {
            assert_eq!([ours.source_port(), ours.destination_port()], *ports);
        }
    }

    /// What that crate leaves raw: counters (9, 10), id (12), zone (18).
    fn compare_raw(ours: &Entry, theirs: &DefaultNla) {
        let mut value = vec![0; theirs.value_len()];
        theirs.emit_value(&mut value);
        let numbers = || -> Vec<u64> { Attributes::new(&value).filter_map(|one| one.u64()).collect() };
        let counters = ours.counters.unwrap();
        match theirs.kind() & 0x3fff {
            9 => assert_eq!(numbers(), [counters.packets, counters.octets]),
            10 => assert_eq!(numbers(), [counters.reverse_packets, counters.reverse_octets]),
            12 => assert_eq!(value, ours.id.to_be_bytes()),
            18 => assert_eq!(value, ours.zones.original.to_be_bytes()),
            _ => {}
        }
    }

    #[test]
    fn damaged_datagrams_lose_their_own_entries_only() {
        let datagrams = datagrams_of(&bed(), Some(ZONE_IPV4));
        let datagram = &datagrams[0];
        let whole = Messages::new(datagram).count();
        for length in 0..datagram.len() {
            let readable =
                Messages::new(&datagram[..length]).filter(|message| *message != Message::Unreadable).count();
            assert!(readable <= whole, "cut at {length}");
        }
        for place in 0..datagram.len() {
            for bit in [0x01, 0x80] {
                let mut damaged = datagram.clone();
                damaged[place] ^= bit;
                // The walk ends, whatever the lengths say now.
                assert!(Messages::new(&damaged).count() <= datagram.len() / 16);
            }
        }
    }
}
