//! What a bulk request's answer means, document by document. No I/O, no sleep: the loop that acts on it is
//! elsewhere.

use serde::Deserialize;

/// What is to be done after a bulk request.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Each document has its answer.
    Answered(Answers),
    /// The body was too large for the server: send it in two halves.
    Split,
    /// Nothing was stored, or nobody knows: send all of it again, later.
    Again(Trouble, String),
}

/// Each document's fate, as places in the batch.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Answers {
    /// Stored by this request.
    pub(crate) created: usize,
    /// Had been stored before: a resent record, and no fault.
    pub(crate) duplicates: usize,
    /// Refused for good, each with the reason.
    pub(crate) rejected: Vec<(usize, String)>,
    /// To be sent again.
    pub(crate) again: Vec<usize>,
    /// The kind and reason of the first of `again`.
    pub(crate) why: Option<(Trouble, String)>,
}

/// Why something has to be sent again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Trouble {
    /// The server has too much to do: send less at once.
    Busy,
    /// The server or the way to it is not there.
    Unavailable,
    /// The server does not take writes now: disk full, index read-only, no master.
    Blocked,
    /// The server does not let us in: somebody has to act.
    Forbidden,
}

impl Trouble {
    /// The word for logs and metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Blocked => "blocked",
            Self::Forbidden => "forbidden",
        }
    }
}

/// The reply's part that we ask for (`filter_path`).
pub(crate) const FILTER_PATH: &str = "errors,error,items.*.status,items.*.error.type,items.*.error.reason,\
                                      items.*.error.caused_by.reason";

/// Judges the answer to a bulk request of `documents` documents.
pub(crate) fn verdict(status: u16, body: &[u8], documents: usize) -> Verdict {
    match status {
        200..=299 => answered(body, documents),
        413 => Verdict::Split,
        401 | 403 if is_block(body) => Verdict::Again(Trouble::Blocked, excerpt(body)),
        401 | 403 => Verdict::Again(Trouble::Forbidden, excerpt(body)),
        429 => Verdict::Again(Trouble::Busy, excerpt(body)),
        // A body that no server could take was never made here: whatever stands between answers so. Sent again
        // one half at a time, a single bad document is found.
        400..=499 if documents > 1 => Verdict::Split,
        400..=499 => Verdict::Answered(Answers {
            rejected: vec![(0, format!("status {status}: {}", excerpt(body)))],
            ..Answers::default()
        }),
        _ => Verdict::Again(Trouble::Unavailable, format!("status {status}: {}", excerpt(body))),
    }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Action,
}

#[derive(Deserialize)]
struct Action {
    status: u16,
    error: Option<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    reason: String,
    caused_by: Option<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
}

fn answered(body: &[u8], documents: usize) -> Verdict {
    let reply: Reply = match serde_json::from_slice(body) {
        Ok(reply) => reply,
        // Half an answer: what was stored answers 409 next time.
        Err(error) => {
            let why = format!("answer of {} octets cannot be read: {error}: {}", body.len(), excerpt(body));
            return Verdict::Again(Trouble::Unavailable, why);
        }
    };
    if reply.items.len() != documents {
        let why = format!("answer has {} items for {documents} documents", reply.items.len());
        return Verdict::Again(Trouble::Unavailable, why);
    }
    let mut answers = Answers::default();
    for (place, item) in reply.items.into_iter().enumerate() {
        let action = item.create;
        match action.status {
            200 | 201 => answers.created += 1,
            409 => answers.duplicates += 1,
            status => match trouble(status, action.error.as_ref()) {
                Some(trouble) => {
                    answers.why.get_or_insert_with(|| (trouble, reason(status, action.error)));
                    answers.again.push(place);
                }
                None => answers.rejected.push((place, reason(status, action.error))),
            },
        }
    }
    Verdict::Answered(answers)
}

/// Whether a document refused so may be taken later, and what stands in the way.
fn trouble(status: u16, error: Option<&ItemError>) -> Option<Trouble> {
    let kind = error.map(|error| error.kind.as_str()).unwrap_or_default();
    match (status, kind) {
        (_, "cluster_block_exception") => Some(Trouble::Blocked),
        (401 | 403, _) => Some(Trouble::Forbidden),
        (429, _) => Some(Trouble::Busy),
        (
            500..=599,
            "mapper_parsing_exception" | "document_parsing_exception" | "illegal_argument_exception",
        ) => None,
        (500..=599, _) => Some(Trouble::Unavailable),
        _ => None,
    }
}

fn reason(status: u16, error: Option<ItemError>) -> String {
    let Some(error) = error else { return format!("status {status}") };
    let mut text = format!("{}: {}", error.kind, error.reason);
    if let Some(cause) = error.caused_by.filter(|cause| !cause.reason.is_empty()) {
        text.push_str(": ");
        text.push_str(&cause.reason);
    }
    text
}

fn is_block(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("cluster_block_exception")
}

/// The head of an answer, for a message.
fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..EXCERPT).unwrap_or(body)).trim().to_owned()
}

/// Octets of an answer that a message quotes.
const EXCERPT: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn item(status: u16, error: &str) -> String {
        match error {
            "" => format!(r#"{{"create":{{"status":{status}}}}}"#),
            kind => format!(r#"{{"create":{{"status":{status},"error":{{"type":"{kind}","reason":"r"}}}}}}"#),
        }
    }

    fn reply(items: &[String]) -> Vec<u8> {
        format!(r#"{{"errors":true,"items":[{}]}}"#, items.join(",")).into_bytes()
    }

    #[test]
    fn whole_answers() {
        use Trouble::{Blocked, Busy, Forbidden, Unavailable};
        for (status, body, documents, expected) in [
            (413, "", 2, Verdict::Split),
            (429, "slow down", 2, Verdict::Again(Busy, "slow down".into())),
            (401, "who are you", 2, Verdict::Again(Forbidden, "who are you".into())),
            (403, "security_exception", 2, Verdict::Again(Forbidden, "security_exception".into())),
            (403, "cluster_block_exception", 2, Verdict::Again(Blocked, "cluster_block_exception".into())),
            (500, "x", 2, Verdict::Again(Unavailable, "status 500: x".into())),
            (502, "x", 2, Verdict::Again(Unavailable, "status 502: x".into())),
            (503, "x", 2, Verdict::Again(Unavailable, "status 503: x".into())),
            (504, "x", 2, Verdict::Again(Unavailable, "status 504: x".into())),
            (400, "bad body", 2, Verdict::Split),
            (404, "no such index", 2, Verdict::Split),
            (
                400,
                "bad body",
                1,
                Verdict::Answered(Answers {
                    rejected: vec![(0, "status 400: bad body".into())],
                    ..Answers::default()
                }),
            ),
        ] {
            assert_eq!(verdict(status, body.as_bytes(), documents), expected, "{status} {body}");
        }
    }

    #[test]
    fn answers_that_cannot_be_trusted_are_asked_for_again() {
        for body in
            ["", r#"{"errors":false,"items":[{"create":{"sta"#, r#"{"errors":false,"items":[]}"#, "<html>"]
        {
            assert!(
                matches!(verdict(200, body.as_bytes(), 1), Verdict::Again(Trouble::Unavailable, _)),
                "{body}"
            );
        }
    }

    #[test]
    fn documents_are_judged_one_by_one() {
        let body = reply(&[
            item(201, ""),
            item(409, "version_conflict_engine_exception"),
            item(429, "es_rejected_execution_exception"),
            item(400, "mapper_parsing_exception"),
            item(404, "index_not_found_exception"),
            item(503, "unavailable_shards_exception"),
            item(500, "illegal_argument_exception"),
            item(403, "cluster_block_exception"),
            item(403, "security_exception"),
            item(201, ""),
        ]);
        let Verdict::Answered(answers) = verdict(200, &body, 10) else { panic!("not answered") };
        assert_eq!((answers.created, answers.duplicates), (2, 1));
        assert_eq!(answers.again, [2, 5, 7, 8]);
        assert_eq!(answers.why, Some((Trouble::Busy, "es_rejected_execution_exception: r".into())));
        assert_eq!(
            answers.rejected,
            [
                (3, "mapper_parsing_exception: r".to_owned()),
                (4, "index_not_found_exception: r".to_owned()),
                (6, "illegal_argument_exception: r".to_owned()),
            ]
        );
    }

    #[test]
    fn the_cause_is_told() {
        let body = br#"{"items":[{"create":{"status":400,"error":{"type":"mapper_parsing_exception",
            "reason":"failed to parse field [ipfix.x]","caused_by":{"reason":"For input string"}}}}]}"#;
        let Verdict::Answered(answers) = verdict(200, body, 1) else { panic!("not answered") };
        assert_eq!(
            answers.rejected[0].1,
            "mapper_parsing_exception: failed to parse field [ipfix.x]: For input string"
        );
    }
}
