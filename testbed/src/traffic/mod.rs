//! Real traffic of known size, and the servers that answer it.
//!
//! Over TCP a request begins with 16 octets: how long the request is, these included, and how long the answer
//! shall be. Over UDP a request begins with 2 octets: how long the answer shall be, none for 0.

mod server;

mod client;

mod rate;

mod mixed;

pub use client::{Sent, conversation, datagrams, requests, transfer};
pub use mixed::mix;
pub use rate::short_connections;
pub(crate) use server::serve;

/// A transport protocol the testbed speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// TCP, protocol number 6.
    Tcp,
    /// UDP, protocol number 17.
    Udp,
}

impl Protocol {
    /// Its name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// Its IP protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// Octets before the body of a TCP request.
const HEADER: usize = 16;

/// Written and read at once; what is in it does not matter.
const CHUNK: usize = 65_536;

/// How long one side waits for the other before it calls the exchange failed. On one machine nothing takes
/// this long unless it is broken.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
