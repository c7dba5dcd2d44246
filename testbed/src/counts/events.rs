//! Connections that ended, with their last counters, as the kernel's destroy events tell them.
//!
//! `conntrack -E` would do, but loses events when a thousand connections are forgotten at once. So the socket is our
//! own, with a large buffer, and what it reads is taken apart here: a witness beside the agent's own decoder.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
};

use super::conntrack::Entry;
use super::{Count, Tuple};
use crate::bed::Node;
use crate::stop::{Stop, Wake};

/// Records destroy events from its start to [`Self::finish`].
#[derive(Debug)]
pub struct Ended {
    stop: Stop,
    reader: JoinHandle<Result<Vec<Entry>>>,
}

impl Ended {
    /// Begins to listen on `node`. The kernel's events must be on.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn listen(node: &Node) -> Result<Self> {
        let socket = node.space.enter(open)?.with_context(|| format!("listening to {}", node.name))?;
        let stop = Stop::new()?;
        let switch = stop.clone();
        Ok(Self { stop, reader: std::thread::spawn(move || read(&socket, &switch)) })
    }

    /// Everything that ended so far.
    ///
    /// # Errors
    /// When events were lost or not understood.
    pub fn finish(self) -> Result<Vec<Entry>> {
        self.stop.throw();
        self.reader.join().map_err(|_| anyhow!("the reader of events panicked"))?
    }
}

fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkNetFilter;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    setsockopt(&socket, RcvBufForce, &BUFFER)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, DESTROY_GROUP))?;
    Ok(socket)
}

fn read(socket: &OwnedFd, stop: &Stop) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let stopped = stop.wait_readable(socket, LONG) == Wake::Stopped;
        // What came before the switch was thrown is still read.
        loop {
            match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => messages(buffer.get(..length).unwrap_or_default(), &mut entries)?,
                Err(Errno::EAGAIN) => break,
                Err(Errno::ENOBUFS) => bail!("the kernel had more events than the buffer holds"),
                Err(errno) => return Err(errno).context("reading events"),
            }
        }
        if stopped {
            return Ok(entries);
        }
    }
}

/// Each message: length (4), type (2), flags (2), sequence (4), port (4), then family (1), version (1), resource (2),
/// then attributes. All but what attributes carry is in the machine's order.
fn messages(mut octets: &[u8], entries: &mut Vec<Entry>) -> Result<()> {
    while let Some(length) = octets.first_chunk().map(|length| u32::from_ne_bytes(*length)) {
        let length = usize::try_from(length)?;
        let attributes = octets.get(MESSAGE_HEADER..length).context("a message is cut off")?;
        entries.push(entry(attributes).context("taking a destroy event apart")?);
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

fn entry(attributes: &[u8]) -> Result<Entry> {
    let all = Attributes(attributes);
    let zone = all.get(ZONE).map_or(Ok(0), number)?;
    Ok(Entry {
        original: tuple(all.nested(TUPLE_ORIGINAL)?)?,
        reply: tuple(all.nested(TUPLE_REPLY)?)?,
        original_count: count(all.nested(COUNTERS_ORIGINAL)?)?,
        reply_count: count(all.nested(COUNTERS_REPLY)?)?,
        zone: u16::try_from(zone)?,
        id: u32::try_from(all.get(ID).map_or(Ok(0), number)?)?,
    })
}

fn tuple(tuple: Attributes<'_>) -> Result<Tuple> {
    let (ip, transport) = (tuple.nested(1)?, tuple.nested(2)?);
    let address = |v4: u16, v6: u16| -> Result<IpAddr> {
        let octets = ip.get(v4).or_else(|| ip.get(v6)).context("no address")?;
        match (<[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
            (Ok(v4), _) => Ok(Ipv4Addr::from(v4).into()),
            (_, Ok(v6)) => Ok(Ipv6Addr::from(v6).into()),
            _ => bail!("an address of {} octets", octets.len()),
        }
    };
    let port = |kind| -> Result<u16> { Ok(transport.get(kind).map_or(Ok(0), number)?.try_into()?) };
    Ok(Tuple {
        protocol: number(transport.get(1).context("no protocol")?)?.try_into()?,
        source: SocketAddr::new(address(1, 3)?, port(2)?),
        destination: SocketAddr::new(address(2, 4)?, port(3)?),
    })
}

fn count(counters: Attributes<'_>) -> Result<Count> {
    let counter = |kind| number(counters.get(kind).context("no counter")?);
    Ok(Count { packets: counter(1)?, octets: counter(2)? })
}

/// A number in network order, of any length up to 8.
fn number(octets: &[u8]) -> Result<u64> {
    match octets.len() {
        0..=8 => Ok(octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))),
        length => bail!("a number of {length} octets"),
    }
}

/// Length (2) and type (2) of each in the machine's order, the value, padding to four octets.
#[derive(Clone, Copy)]
struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    fn get(self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.0;
        while let Some([l0, l1, k0, k1]) = rest.first_chunk() {
            let (length, kind) =
                (usize::from(u16::from_ne_bytes([*l0, *l1])), u16::from_ne_bytes([*k0, *k1]));
            let value = rest.get(4..length)?;
            if kind & KIND_MASK == wanted {
                return Some(value);
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        None
    }

    fn nested(self, wanted: u16) -> Result<Self> {
        self.get(wanted).map(Self).with_context(|| format!("no attribute {wanted}"))
    }
}

/// NFNLGRP_CONNTRACK_DESTROY, the third group, as a bit.
const DESTROY_GROUP: u32 = 1 << 2;

const MESSAGE_HEADER: usize = 20;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const COUNTERS_ORIGINAL: u16 = 9;
const COUNTERS_REPLY: u16 = 10;
const ID: u16 = 12;
const ZONE: u16 = 18;

/// The two highest bits of a type say that it nests, and the byte order.
const KIND_MASK: u16 = 0x3fff;

/// Room for some 50,000 events that nobody has read yet.
const BUFFER: usize = 64 << 20;

/// A wait without data or switch ends only to begin again.
const LONG: Duration = Duration::from_secs(60);
