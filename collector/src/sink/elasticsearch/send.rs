//! One batch's way into the server: the loop that acts on verdicts, sleeps and resends.

use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use podflow_daemon::backoff::Backoff;

use crate::account::{Account, Drop};

use super::Server;
use super::body::Body;
use super::verdict::{FILTER_PATH, Trouble, Verdict, verdict};

/// Sends a batch until every document has its fate, or `give_up` is cancelled.
pub(super) async fn store(server: &Server, body: Body, account: &Account, give_up: &CancellationToken) {
    // Halves of a body that was too large wait here.
    let mut bodies = vec![body];
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(20));
    while let Some(body) = bodies.pop() {
        let (trouble, why) = match once(server, &body).await {
            Verdict::Answered(answers) => {
                account.stored(answers.created as u64);
                account.duplicates(answers.duplicates as u64);
                account.rejected(answers.rejected.len() as u64);
                if let Some((place, reason)) = answers.rejected.first() {
                    let document = String::from_utf8_lossy(body.document(*place)).into_owned();
                    error!(
                        documents = answers.rejected.len(),
                        reason, document, "the server refuses documents"
                    );
                }
                let Some(why) = answers.why else {
                    answered(server, &mut backoff);
                    continue;
                };
                bodies.push(body.only(answers.again));
                why
            }
            Verdict::Split if body.documents() > 1 => {
                let (first, second) = body.halves();
                bodies.extend([second, first]);
                continue;
            }
            Verdict::Split => {
                error!(octets = body.octets(), "the server refuses a single document as too large");
                account.rejected(1);
                continue;
            }
            Verdict::Again(trouble, why) => {
                bodies.push(body);
                (trouble, why)
            }
        };
        say(server, trouble, &why, backoff.tries());
        tokio::select! {
            () = tokio::time::sleep(wait(&mut backoff, trouble)) => {}
            () = give_up.cancelled() => {
                let lost: usize = bodies.iter().map(Body::documents).sum();
                error!(documents = lost, why, "the server took no documents until the end; they are lost");
                account.dropped(Drop::Shutdown, lost as u64);
                return;
            }
        }
    }
}

async fn once(server: &Server, body: &Body) -> Verdict {
    let path = format!("_bulk?filter_path={FILTER_PATH}");
    match server.client.send_lines(&path, Bytes::copy_from_slice(body.lines())).await {
        Ok(answer) => verdict(answer.status, &answer.body, body.documents()),
        Err(fault) => Verdict::Again(Trouble::Unavailable, format!("{fault:#}")),
    }
}

fn answered(server: &Server, backoff: &mut Backoff) {
    if backoff.tries() > 0 {
        info!("the server takes documents again");
        server.set_state("connected");
        backoff.reset();
    }
}

/// Says trouble when it begins, and every now and then while somebody has to act.
fn say(server: &Server, trouble: Trouble, why: &str, tries: u32) {
    server.set_state(&format!("{}: {why}", trouble.word()));
    match trouble {
        Trouble::Busy if tries == 0 => warn!("the server is busy, sending again: {why}"),
        Trouble::Unavailable if tries == 0 => warn!("the server does not answer, sending again: {why}"),
        Trouble::Blocked if tries.is_multiple_of(10) => {
            error!(
                "the server takes no writes: {why}; free disk space or lift the block, documents are kept"
            );
        }
        Trouble::Forbidden if tries.is_multiple_of(4) => {
            error!("the server does not let us write: {why}; check store.elasticsearch's user, key or token");
        }
        _ => {}
    }
}

fn wait(backoff: &mut Backoff, trouble: Trouble) -> Duration {
    let wait = backoff.next_wait();
    match trouble {
        Trouble::Forbidden => wait.max(FORBIDDEN_WAIT),
        _ => wait,
    }
}

/// A refused login is not tried more often than this: accounts get locked.
const FORBIDDEN_WAIT: Duration = Duration::from_secs(15);
