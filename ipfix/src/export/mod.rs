//! Exporting: records in, messages out.
//!
//! [`ExportingSession`] keeps the order that a session must have (templates before their records, sequence numbers
//! that count) and fills messages up to what the transport carries. It sends nothing: messages come out as octets.

mod options;

mod writer;

mod session;

pub use options::{reliability, reliability_template, type_information, type_information_template};
pub use session::{Added, ExportSettings, ExportTransport, ExportingSession, Message, udp_message_size};
