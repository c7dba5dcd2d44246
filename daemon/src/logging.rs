//! Logging to stderr: `RUST_LOG` chooses what, `PODFLOW_LOG_FORMAT=json` how.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for this process; a second call does nothing.
///
/// `default` is the filter where `RUST_LOG` is not set, such as `info`. A malformed `RUST_LOG` falls back to
/// it and says so.
pub fn init(default: &str) {
    let (filter, fault) = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(wanted) => match EnvFilter::try_new(&wanted) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(default), Some(format!("RUST_LOG={wanted:?} is ignored: {error}"))),
        },
        Err(_) => (EnvFilter::new(default), None),
    };
    // Where nobody reads stderr any more, a line is lost; to complain of that on stderr would panic.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let started = if std::env::var("PODFLOW_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    };
    if started.is_ok()
        && let Some(fault) = fault
    {
        tracing::warn!("{fault}");
    }
}
