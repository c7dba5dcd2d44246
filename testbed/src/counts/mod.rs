//! What the kernel counted: conntrack's entries, and packets by tuple as nftables saw them.

mod conntrack;

mod events;

mod nft;

mod watch;

use std::net::SocketAddr;

pub use conntrack::{Entry, conntrack};
pub use events::Ended;
pub use nft::nft;
pub use watch::{Both, Watch};

/// One direction of a connection, as its packets look where they arrive.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tuple {
    /// IP protocol number.
    pub protocol: u8,
    /// Source address and port; port 0 for protocols without.
    pub source: SocketAddr,
    /// Destination address and port; port 0 for protocols without.
    pub destination: SocketAddr,
}

/// How much was counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Count {
    /// Packets, in the kernel's units.
    pub packets: u64,
    /// Octets of these, from the IP header on.
    pub octets: u64,
}
