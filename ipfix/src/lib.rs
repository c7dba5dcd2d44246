//! IPFIX messages, templates, records and sessions, without sockets or clock.
//!
//! The way of the data when collecting: [`framing`] cuts a stream into messages, [`collect`] checks a message and
//! gives out its records, [`value`] reads their fields. When exporting: [`export`] takes values and gives out
//! messages. [`registry`] says what each element is.

#![deny(clippy::indexing_slicing)]

pub mod element;

pub mod data_type;

pub mod registry;

mod reader;

pub mod error;

pub mod limits;

pub mod framing;

pub mod message;

pub mod netflow;

pub mod template;

pub mod value;

pub mod collect;

pub mod export;

#[doc(hidden)]
pub mod exercise;

pub use element::ElementKey;
pub use error::{DecodeError, EncodeError};
pub use limits::Limits;
