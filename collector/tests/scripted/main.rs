//! Against a server that behaves as no real one can be made to. The account balances and nothing is stored twice.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

#[path = "../support/mod.rs"]
mod support;

mod server;

mod access;
mod indices;
mod kibana;
mod limits;
mod troubles;
