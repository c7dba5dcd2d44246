//! Agents and a collector in the process that holds the testbed, each in its own network namespace.

mod agent;

mod collector;

pub use agent::Agent;
pub use collector::{Collector, collector_address, embedded_store};
