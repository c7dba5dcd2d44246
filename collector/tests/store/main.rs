//! The embedded store under what a machine does to it: killed at any moment, its disk full, asked nonsense.
#![expect(clippy::unwrap_used, reason = "tests")]

mod flows;

mod killed;

mod full;

mod kept;

mod nonsense;

mod roundtrip;
