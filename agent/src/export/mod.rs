//! Export: reports out of the store, judged and named, into messages, to the collector.
//!
//! `transport` connects and carries octets, `session` fills messages and knows which reports each holds,
//! `resend` keeps what was sent until it is safe, `exporter` is the loop that joins them and comes back after a failure.

mod transport;

mod unacknowledged;

mod resend;

mod session;

mod exporter;

pub(crate) use exporter::{Exporter, ExporterSettings};
pub(crate) use session::Session;

#[cfg(test)]
mod tests;
