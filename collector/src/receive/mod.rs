//! Sockets in, messages out: each message goes to the decoder that its exporter belongs to.

pub(crate) mod bad_input;

mod bind;
mod stream;
mod udp;

mod queue;

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use bind::{bind_http, bind_tcp, bind_udp};
pub(crate) use queue::{Decoders, Queue, Room, place as decoder_of};
pub(crate) use stream::{Connections, Kind, accept};
pub(crate) use udp::read;

/// What a receiver hands to a decoder.
#[derive(Debug)]
pub(crate) enum Input {
    /// One UDP datagram.
    Datagram {
        /// Where it came from.
        from: SocketAddr,
        /// When, milliseconds since 1970.
        received_ms: i64,
        /// What it holds.
        octets: Vec<u8>,
        /// Its room in the queue.
        room: Room,
    },
    /// One message of a connection.
    Message {
        /// Which connection; a number of its own for each.
        connection: u64,
        /// Over TCP or TLS.
        kind: Kind,
        /// The peer.
        from: SocketAddr,
        /// When, milliseconds since 1970.
        received_ms: i64,
        /// The message.
        octets: Vec<u8>,
        /// Its room in the queue.
        room: Room,
    },
    /// A connection has ended.
    Closed {
        /// Which one.
        connection: u64,
    },
}

/// Milliseconds since 1970 by the machine's clock.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
