//! One body's way into the server: the loop that acts on verdicts, sleeps and resends.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use podflow_daemon::backoff::Backoff;

use crate::receive::now_ms;

use super::body::Sealed;
use super::verdict::{Answers, FILTER_PATH, Trouble, Verdict, verdict};
use super::{Server, foreign};

/// When to stop trying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience<'a> {
    /// Not before this, if given.
    pub(super) until: Option<Instant>,
    /// At once when this is cancelled.
    pub(super) stop: &'a CancellationToken,
}

/// What became of the documents so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    pub(super) stored: u64,
    pub(super) duplicates: u64,
    pub(super) rejected: u64,
}

/// Sends a body until every document has its fate or patience ends; gives back what has none.
///
/// `resent` says that an earlier run may have stored some of it already.
pub(super) async fn store(
    server: &Server,
    body: Sealed,
    resent: bool,
    patience: Patience<'_>,
) -> (Tally, Vec<Sealed>) {
    let mut tally = Tally::default();
    let body = body.beside(&server.avoided.load(), foreign::BESIDE);
    // Halves of a body that was too large wait here. An answer that got lost may have stored documents: that the
    // server has them already is then no duplicate of the exporter's.
    let mut bodies = vec![(body, resent)];
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(20));
    while let Some((body, resent)) = bodies.pop() {
        let (trouble, why) = match once(server, &body).await {
            Verdict::Answered(answers) => {
                count(&mut tally, &answers, resent);
                refuse(server, &body, &answers);
                let Some(why) = answers.why else {
                    server.is_well();
                    backoff.reset();
                    continue;
                };
                bodies.push((body.only(answers.again), resent));
                why
            }
            Verdict::Split if body.documents() > 1 => {
                let (first, second) = body.halves();
                bodies.extend([(second, resent), (first, resent)]);
                continue;
            }
            Verdict::Split => {
                let reason =
                    format!("a document of {} octets is too large for the server", body.lines().len());
                let answers = Answers { rejected: vec![(0, reason)], ..Answers::default() };
                count(&mut tally, &answers, resent);
                refuse(server, &body, &answers);
                continue;
            }
            Verdict::Again(trouble, why) => {
                bodies.push((body, resent || trouble == Trouble::Unavailable));
                (trouble, why)
            }
        };
        say(server, trouble, &why, backoff.tries());
        let wait = wait(&mut backoff, trouble);
        let over = patience.until.is_some_and(|until| Instant::now() + wait >= until);
        let stopped = over || patience.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none();
        if stopped {
            break;
        }
    }
    (tally, bodies.into_iter().map(|(body, _)| body).collect())
}

async fn once(server: &Server, body: &Sealed) -> Verdict {
    let path = format!("_bulk?filter_path={FILTER_PATH}");
    let began = Instant::now();
    let verdict = match server.client.send_lines(&path, body.lines().clone()).await {
        Ok(answer) => verdict(answer.status, &answer.body, body.documents()),
        Err(fault) => return Verdict::Again(Trouble::Unavailable, format!("{fault:#}")),
    };
    let busy = match &verdict {
        Verdict::Again(trouble, _) => *trouble == Trouble::Busy,
        Verdict::Answered(answers) => matches!(answers.why, Some((Trouble::Busy, _))),
        Verdict::Split => false,
    };
    server.concurrency.answered(began.elapsed(), busy);
    verdict
}

fn count(tally: &mut Tally, answers: &Answers, resent: bool) {
    tally.stored += answers.created as u64;
    tally.rejected += answers.rejected.len() as u64;
    let there = if resent { &mut tally.stored } else { &mut tally.duplicates };
    *there += answers.duplicates as u64;
}

/// Keeps the refused documents as dead letters, and says so once for each answer.
fn refuse(server: &Server, body: &Sealed, answers: &Answers) {
    let Some((place, reason)) = answers.rejected.first() else { return };
    let mut lost = 0;
    for (place, reason) in &answers.rejected {
        match server.dead_letters.keep(body.document(*place), reason, now_ms()) {
            Ok(true) => {}
            Ok(false) => lost += 1,
            Err(fault) => {
                lost += 1;
                warn!("{fault:#}");
            }
        }
    }
    let documents = answers.rejected.len();
    let letters = server.dead_letters.path().display();
    let example = String::from_utf8_lossy(body.document(*place)).into_owned();
    if lost > 0 {
        error!(
            documents,
            lost, reason, example, "the server refuses documents, and {letters} has no room for all"
        );
    } else {
        error!(
            documents,
            reason, example, "the server refuses documents: see {letters}, `redeliver` sends them again"
        );
    }
}

/// Says trouble when it begins, and every now and then while somebody has to act.
fn say(server: &Server, trouble: Trouble, why: &str, tries: u32) {
    let before = server.is_ill(trouble, why);
    let first = tries == 0 && before != Some(trouble);
    match trouble {
        Trouble::Busy if first => warn!("the server is busy, sending again: {why}"),
        Trouble::Unavailable if first => warn!("the server does not answer, sending again: {why}"),
        Trouble::Blocked if first || tries % 10 == 9 => {
            error!(
                "the server takes no writes: {why}; free disk space or lift the block, documents are kept"
            );
        }
        Trouble::Forbidden if first || tries % 4 == 3 => {
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

/// Says that the server is well again, after trouble.
pub(super) fn say_well(trouble: Trouble) {
    info!(trouble = trouble.word(), "the server takes documents again");
}

/// A refused login is not tried more often than this: accounts get locked.
const FORBIDDEN_WAIT: Duration = Duration::from_secs(15);
