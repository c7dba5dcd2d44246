//! `podflow decode` as a user types it, on captures that other people's programs made.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod program;

mod agreement;

mod options;

mod bad_files;

mod memory;

mod terminal;
