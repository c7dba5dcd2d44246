//! SIGTERM and SIGINT become one cancellation token; the second signal ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit status after a second signal: nothing was drained.
pub const EXIT_NOT_DRAINED: i32 = 1;

/// A token that is cancelled by the first SIGTERM or SIGINT. The second exits with [`EXIT_NOT_DRAINED`].
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn token() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let first = token.clone();
    tokio::spawn(async move {
        let name = tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
        first.cancel();
        tracing::info!(signal = name, "stopping; a second signal stops at once");
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::error!("second signal: stopping without draining");
        std::process::exit(EXIT_NOT_DRAINED);
    });
    Ok(token)
}
