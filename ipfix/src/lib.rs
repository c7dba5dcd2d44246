//! IPFIX messages, templates, records and sessions, without sockets or clock.

pub mod element;

pub use element::ElementKey;
