//! The Node agent: reads the kernel's connection tracking, names what is local, and exports IPFIX.
//!
//! The modules stand in the order in which the data passes.

pub mod config;

mod conntrack;

mod blindness;

mod tracker;

mod store;

mod enrich;

mod export;

mod addresses;
mod clock;
mod metrics;
mod state;

mod app;

mod connections;

#[doc(hidden)]
pub mod measure;

pub use app::{RunOptions, run};
pub use connections::{Filter, connections};
