//! Ctrl-C, SIGTERM and a closed terminal end the demo; the second of them ends it at once, and still leaves
//! no file: namespaces and rules go with the process, the folder has to be removed by somebody.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use podflow_testbed::Folder;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first signal cancels.
pub(super) fn listen(runtime: &Runtime, folder: Arc<Folder>) -> Result<CancellationToken> {
    let _inside = runtime.enter();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals =
        kinds.map(signal).into_iter().collect::<Result<Vec<_>, _>>().context("listening for signals")?;
    let token = CancellationToken::new();
    let first = token.clone();
    runtime.spawn(async move {
        any(&mut signals).await;
        first.cancel();
        // A terminal that was closed cannot be told, and must not keep the demo: `eprintln` would panic here.
        let _told = writeln!(std::io::stderr(), "podflow: stopping; once more to stop at once");
        any(&mut signals).await;
        folder.remove();
        std::process::exit(EXIT_AT_ONCE);
    });
    Ok(token)
}

async fn any(signals: &mut [Signal]) {
    let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures::future::select_all(received).await;
}

/// What a shell reports of a program that SIGINT ended.
const EXIT_AT_ONCE: i32 = 130;
