//! Capture files to the datagrams and streams in them: what a collector would have received.
//!
//! [`file`] reads pcap and pcapng frame by frame, [`link`] finds the IP packet in a frame, [`fragments`] puts
//! fragmented packets together, [`streams`] TCP segments. [`Reassembly`] joins the three. It knows nothing of what
//! the datagrams say. Memory is bounded whatever the file holds.

#![deny(clippy::indexing_slicing)]

pub mod file;

mod pcap;
mod pcapng;

mod link;

mod fragments;

mod streams;

mod reassembly;

#[doc(hidden)]
pub mod exercise;

pub use file::{CaptureError, CaptureFile, Frame};
pub use link::LinkType;
pub use reassembly::{Event, Losses, Reassembly};
pub use streams::StreamId;
