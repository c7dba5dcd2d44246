//! One Node's agent against what a real Node has: one module a subject, in one program that is linked once.

#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod open_vswitch;

mod paths;

mod restarts;

mod program;

mod table;

mod overrun;

mod left_out;

mod transport;

mod tls;

mod zones;
