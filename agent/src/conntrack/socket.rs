//! The two netlink sockets: one asks for dumps, one hears of entries that end.
//!
//! A socket belongs to the network namespace of the thread that opens it. Nothing is interpreted here beyond what a
//! dump or an overrun needs; `message` reads the octets.

use std::io;

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
