//! The body of a bulk request: two lines a document, and where each document begins.

use std::collections::BTreeSet;

use bytes::Bytes;

use podflow_ipfix::collect::DataRecord;

use crate::document::model::{Document, DocumentId};
use crate::document::shape::Origin;
use crate::document::{Builder, Lined, json, time};

/// Documents on their way, as the lines that are sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    /// Action and source lines, one after the other.
    lines: Vec<u8>,
    /// Where each document's action line begins.
    starts: Vec<usize>,
    action: Action,
}

/// How action lines of a day begin.
#[derive(Clone, Debug, Default)]
struct Action {
    day: Option<i64>,
    text: Vec<u8>,
}

impl Action {
    /// Appends the action line of a document, with its end.
    fn write(&mut self, index_prefix: &str, timestamp: i64, id: DocumentId, lines: &mut Vec<u8>) {
        let of = timestamp.div_euclid(time::DAY_MILLIS);
        if self.day != Some(of) {
            self.day = Some(of);
            self.text.clear();
            self.text.extend_from_slice(ACTION);
            self.text.extend_from_slice(index_prefix.as_bytes());
            day(timestamp, &mut self.text);
            self.text.extend_from_slice(br#"","_id":""#);
        }
        lines.extend_from_slice(&self.text);
        lines.extend_from_slice(&id.text());
        lines.extend_from_slice(b"\"}}\n");
    }
}

impl Body {
    /// Adds a document for its day's index.
    pub(crate) fn add(&mut self, index_prefix: &str, document: &Document<'_>) {
        self.starts.push(self.lines.len());
        self.action.write(index_prefix, document.timestamp, document.id, &mut self.lines);
        json::write(document, &mut self.lines);
        self.lines.push(b'\n');
    }

    /// Adds a plain record's document for its day's index, straight from the wire.
    pub(crate) fn add_record(
        &mut self,
        index_prefix: &str,
        builder: &mut Builder,
        origin: &Origin,
        record: &DataRecord<'_>,
    ) -> Lined {
        let start = self.lines.len();
        let action = &mut self.action;
        let begin = |timestamp, id, lines: &mut Vec<u8>| action.write(index_prefix, timestamp, id, lines);
        let lined = builder.line(origin, record, &mut self.lines, begin);
        if matches!(lined, Lined::Written(_)) {
            self.lines.push(b'\n');
            self.starts.push(start);
        }
        lined
    }

    /// How many octets.
    pub(crate) const fn octets(&self) -> usize {
        self.lines.len()
    }

    /// The body as it is sent: nothing is added any more.
    pub(crate) fn seal(self) -> Sealed {
        Sealed { lines: self.lines.into(), starts: self.starts }
    }
}

/// A body that is sent, again and again if need be, and in parts.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    lines: Bytes,
    starts: Vec<usize>,
}

impl Sealed {
    /// A body from its lines, as they come out of the spool: two for each document.
    pub(crate) fn from_lines(lines: Vec<u8>) -> Self {
        let ends = lines.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(place, _)| place + 1);
        let starts = std::iter::once(0).chain(ends).step_by(2).filter(|start| *start < lines.len()).collect();
        Self { starts, lines: lines.into() }
    }

    /// How many documents.
    pub(crate) fn documents(&self) -> usize {
        self.starts.len()
    }

    /// The lines; a clone costs nothing.
    pub(crate) const fn lines(&self) -> &Bytes {
        &self.lines
    }

    /// Both lines of the document at `place`.
    pub(crate) fn document(&self, place: usize) -> &[u8] {
        let start = self.starts.get(place).copied().unwrap_or(self.lines.len());
        let end = self.starts.get(place + 1).copied().unwrap_or(self.lines.len());
        self.lines.get(start..end).unwrap_or_default()
    }

    /// A body of the documents at these places alone.
    pub(crate) fn only(&self, places: impl IntoIterator<Item = usize>) -> Self {
        let mut body = Body::default();
        for place in places {
            body.starts.push(body.lines.len());
            body.lines.extend_from_slice(self.document(place));
        }
        body.seal()
    }

    /// The same documents; those for an index of `avoided` go to one whose name has `suffix` behind it.
    pub(crate) fn beside(self, avoided: &BTreeSet<String>, suffix: &str) -> Self {
        if avoided.is_empty() {
            return self;
        }
        let mut body = Body::default();
        for place in 0..self.documents() {
            let document = self.document(place);
            body.starts.push(body.lines.len());
            let name =
                document.strip_prefix(ACTION).and_then(|rest| rest.split(|octet| *octet == b'"').next());
            match name {
                Some(name) if avoided.iter().any(|avoided| avoided.as_bytes() == name) => {
                    let (head, rest) = document.split_at(ACTION.len() + name.len());
                    body.lines.extend_from_slice(head);
                    body.lines.extend_from_slice(suffix.as_bytes());
                    body.lines.extend_from_slice(rest);
                }
                _ => body.lines.extend_from_slice(document),
            }
        }
        body.seal()
    }

    /// Two bodies of half the documents each.
    pub(crate) fn halves(&self) -> (Self, Self) {
        let middle = self.documents() / 2;
        (self.only(0..middle), self.only(middle..self.documents()))
    }
}

/// How an action line begins.
const ACTION: &[u8] = br#"{"create":{"_index":""#;

/// `2026.11.22`, the UTC day of a time.
pub(crate) fn day(millis: i64, out: &mut Vec<u8>) {
    let mut text = Vec::with_capacity(24);
    time::write(millis, &mut text);
    for octet in text.iter().take("2026-11-22".len()) {
        out.push(if *octet == b'-' { b'.' } else { *octet });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(documents: u8) -> Body {
        let mut body = Body::default();
        for number in 0..documents {
            body.add(
                "flow-",
                &Document {
                    id: DocumentId([number; 15]),
                    timestamp: 1_795_377_600_000,
                    host: "10.0.0.5".parse().unwrap(),
                    fields: Vec::new(),
                },
            );
        }
        body
    }

    #[test]
    fn two_lines_a_document() {
        assert_eq!(
            String::from_utf8(body(1).lines).unwrap(),
            concat!(
                r#"{"create":{"_index":"flow-2026.11.22","_id":"AAAAAAAAAAAAAAAAAAAA"}}"#,
                "\n",
                r#"{"@timestamp":"2026-11-22T20:00:00.000Z","@version":"1","type":"ipfix","host":"10.0.0.5","ipfix":{}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn documents_go_beside_an_index_that_is_avoided() {
        let body = body(2).seal();
        let avoided = |name: &str| BTreeSet::from([name.to_owned()]);
        let moved = body.clone().beside(&avoided("flow-2026.11.22"), "-podflow");
        let text = String::from_utf8(moved.lines().to_vec()).unwrap();
        assert_eq!(text.matches(r#""_index":"flow-2026.11.22-podflow","_id""#).count(), 2, "{text}");
        assert_eq!(moved.documents(), 2);
        assert_eq!(text.replace("-podflow", "").as_bytes(), body.lines());
        let stays = moved.clone().beside(&avoided("flow-2026.11.22"), "-podflow");
        assert_eq!(stays.lines(), moved.lines(), "moved once");
    }

    #[test]
    fn parts_keep_whole_documents() {
        let body = body(5).seal();
        let (first, second) = body.halves();
        assert_eq!((first.documents(), second.documents()), (2, 3));
        assert_eq!([first.lines().as_ref(), second.lines()].concat(), body.lines().as_ref());
        let some = body.only([1, 4]);
        assert_eq!(some.document(1), body.document(4));
        assert_eq!(some.lines().len(), body.document(1).len() + body.document(4).len());
        let read = Sealed::from_lines(body.lines().to_vec());
        assert_eq!(read.starts, body.starts);
        assert_eq!(Sealed::from_lines(Vec::new()).documents(), 0);
        assert!(body.document(5).is_empty());
    }
}
