//! What the tests of the whole share: real servers and other people's programs, started and asked.
//!
//! The tests themselves are modules of one program, `tests/whole`, so that the embedded store and the rest are linked once.
//! Nothing is skipped in CI: see [`unavailable`].

pub mod servers;

pub mod http;

pub mod account;

pub mod running;

pub mod collector_process;

pub mod programs;

pub mod nfcapd;

pub mod recorder;

pub mod recording;

pub mod readings;

pub mod replay;

pub mod known;

pub mod load;

pub mod wire;

pub mod on_wire;

pub mod pdml;

/// Says aloud that a test cannot run here and why; with `CI` set that is a failure, since everything is there.
///
/// # Panics
///
/// When the environment has `CI=true`.
pub fn unavailable(what: &str, why: &str) {
    assert!(!in_ci(), "{what} must be there in CI: {why}");
    // The harness hides what a passing test prints; the terminal is told all the same.
    let line = format!("SKIPPED {what}: {why}\n");
    if std::fs::write("/dev/tty", &line).is_err() {
        eprint!("{line}");
    }
}

/// Whether this is a run of `.ci/run`.
#[must_use]
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}
