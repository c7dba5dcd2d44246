//! Splits what one `recv` of a netlink socket gave into messages.
//!
//! ```text
//!  0        4      6       8          12        16          20
//!  +--------+------+-------+----------+---------+-----------+------------
//!  | length | type | flags | sequence | port id | nfgenmsg  | attributes …
//!  +--------+------+-------+----------+---------+-----------+------------
//! ```
//! All in host byte order.

use netlink_packet_core::{NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN};

use crate::conntrack::entry::Entry;

/// One message of the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Message {
    /// An entry of a dump, or one that was born or changed.
    Entry(Entry),
    /// An entry that was destroyed, and the port id of the program that asked for it (0: it expired).
    Destroyed(Entry, u32),
    /// The dump is over; the value is 0 or a negative errno.
    Done(i32),
    /// The kernel refused the request (a positive errno), or acknowledged it (0).
    Error(i32),
    /// A message that we cannot read: counted by the caller, stepped over by its length.
    Unreadable,
}

/// Iterates over the messages of one datagram.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
    interrupted: bool,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram, interrupted: false }
    }

    /// True once a message said that the table changed its size under the dump, so that entries may be missing.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.interrupted
    }
}

impl Iterator for Messages<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((message, rest)) = split(self.rest) else {
            self.rest = &[];
            return Some(Message::Unreadable);
        };
        self.rest = rest;
        self.interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
        Some(read(&message))
    }
}

struct Raw<'a> {
    kind: u16,
    flags: u16,
    port_id: u32,
    body: &'a [u8],
}

fn split(octets: &[u8]) -> Option<(Raw<'_>, &[u8])> {
    let (header, _) = octets.split_first_chunk::<HEADER>()?;
    let [l0, l1, l2, l3, k0, k1, f0, f1, _, _, _, _, p0, p1, p2, p3] = *header;
    let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
    let raw = Raw {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        port_id: u32::from_ne_bytes([p0, p1, p2, p3]),
        body: octets.get(HEADER..length)?,
    };
    let rest = octets.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    Some((raw, rest))
}

fn read(message: &Raw<'_>) -> Message {
    let number = || message.body.first_chunk().map(|octets| i32::from_ne_bytes(*octets));
    match message.kind {
        NLMSG_DONE => Message::Done(number().unwrap_or(0)),
        NLMSG_ERROR => number().map_or(Message::Unreadable, |errno| Message::Error(errno.saturating_neg())),
        NLMSG_OVERRUN => Message::Error(libc::ENOBUFS),
        CONNTRACK_NEW | CONNTRACK_DELETE => match message.body.get(NFGENMSG..).and_then(Entry::parse) {
            None => Message::Unreadable,
            Some(entry) if message.kind == CONNTRACK_NEW => Message::Entry(entry),
            Some(entry) => Message::Destroyed(entry, message.port_id),
        },
        _ => Message::Unreadable,
    }
}

/// Octets of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Octets of `struct nfgenmsg`.
const NFGENMSG: usize = 4;

/// Messages begin at multiples of this.
const ALIGNMENT: usize = 4;

/// NFNL_SUBSYS_CTNETLINK in the high octet, IPCTNL_MSG_CT_NEW in the low one.
const CONNTRACK_NEW: u16 = 0x0100;

/// NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_DELETE.
const CONNTRACK_DELETE: u16 = 0x0102;
