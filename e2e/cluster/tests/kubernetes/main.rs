//! A real Kubernetes, and everything that is shipped for it: `make test-cluster`.
//!
//! These tests need the Kubernetes binaries and our images, which take minutes to build once: plain `cargo test` lists
//! them as ignored. There is one cluster on a machine at a time, so they take turns.
#![expect(clippy::unwrap_used, reason = "tests")]

mod manifests;

mod accounts;

mod elastic;

mod losses;

mod migration;

mod names;

mod paths;

mod visibility;
