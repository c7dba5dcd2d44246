//! Collecting: messages in, records out.
//!
//! [`CollectingSession`] is one transport session (a TCP connection, or one UDP address and port); [`UdpSessions`]
//! are all of one UDP socket. A message is checked whole before any of it takes effect, so that a malformed one is
//! dropped whole (RFC 7011 section 3.1) and its session goes on.

mod check;

mod sequence;

mod held;

mod domain;

mod options;

mod record;

mod summary;

mod deliver;

mod session;

mod udp;

mod saved;

pub use options::{ExporterOptions, NotSent, Sampling};
pub use record::{DataRecord, FieldOctets, Fields};
pub use saved::{Restored, SavedError};
pub use sequence::Sequence;
pub use session::{CollectingSession, Transport};
pub use summary::MessageSummary;
pub use udp::{Received, UdpSessions};
