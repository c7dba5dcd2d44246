//! Sockets in, messages out: each message goes to the decoder that its exporter belongs to.

pub(crate) mod bad_input;

mod bind;
mod tcp;
mod udp;

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

pub(crate) use bind::{bind_http, bind_tcp, bind_udp};
pub(crate) use tcp::{Connections, accept};
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
    },
    /// One message of a connection.
    Message {
        /// Which connection; a number of its own for each.
        connection: u64,
        /// The peer.
        from: SocketAddr,
        /// When, milliseconds since 1970.
        received_ms: i64,
        /// The message.
        octets: Vec<u8>,
    },
    /// A connection has ended.
    Closed {
        /// Which one.
        connection: u64,
    },
}

/// The queues of all decoders.
#[derive(Clone, Debug)]
pub(crate) struct Decoders {
    queues: Vec<mpsc::Sender<Input>>,
}

impl Decoders {
    /// Decoders behind these queues; at least one.
    pub(crate) const fn new(queues: Vec<mpsc::Sender<Input>>) -> Self {
        Self { queues }
    }

    /// The queue of an exporter: always the same one, so that its messages stay in order.
    pub(crate) fn of(&self, exporter: IpAddr) -> &mpsc::Sender<Input> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(exporter);
        let place = usize::try_from(hash % self.queues.len() as u64).unwrap_or_default();
        &self.queues[place]
    }
}

/// Milliseconds since 1970 by the machine's clock.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exporter_always_has_the_same_decoder() {
        let (a, _keep_a) = mpsc::channel(1);
        let (b, _keep_b) = mpsc::channel(1);
        let decoders = Decoders::new(vec![a, b]);
        let mut used = [0, 0];
        for number in 0..100_u32 {
            let exporter = IpAddr::V4(number.into());
            let first = decoders.of(exporter);
            assert!(first.same_channel(decoders.of(exporter)));
            used[usize::from(first.same_channel(&decoders.queues[1]))] += 1;
        }
        assert!(used.iter().all(|exporters| *exporters > 20), "{used:?}");
    }
}
