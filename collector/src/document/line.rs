//! A record as a line of JSON, written straight from the wire into the buffer that is sent.
//!
//! It gives the octets that a [`super::model::Document`] of the record would give (a test compares the two for records of
//! all kinds), without making one: a collector writes a million of them a second. Where a record is not plain, nothing
//! is written, and the way over the document is taken.

use std::net::IpAddr;

use podflow_ipfix::collect::DataRecord;

use super::derive::{End, Exporter, Output, Part, derive};
use super::keys::{Key, key};
use super::lookups::Lookups;
use super::model::DocumentId;
use super::names::{FILLED, Filled, Members, Naming, find};
use super::plan::{Kind, Plan, Step};
use super::record::{Named, Span, Wire};
use super::shape::{self, Adjustments, Origin, Window};
use super::time::{DateText, LAST_MILLISECOND};
use super::{json, time};

/// What became of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lined {
    /// Its line was written.
    Written(Adjustments),
    /// The source's own agent exports this flow; this copy is to be dropped.
    OtherSide,
    /// It is not plain: nothing was written.
    NotPlain,
}

/// What stays the same from record to record, and memory that is used again.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    values: Vec<u64>,
    head: Head,
    dates: DateText,
    names: [Name; 2],
}

/// The name of an end of a flow; there is always room for a copy of [`SHORT_NAME`] octets, whatever its length is.
#[derive(Debug, Default)]
struct Name {
    octets: Vec<u8>,
    length: usize,
}

/// How a document of a message begins.
#[derive(Debug, Default)]
struct Head {
    of: Option<(i64, IpAddr, u16)>,
    text: Vec<u8>,
}

impl Lines {
    /// Appends the record's line to `out`, without a line end, after `begin` has written what stands before it.
    #[expect(clippy::too_many_arguments, reason = "the parts of the builder, which it borrows one by one")]
    pub(crate) fn write(
        &mut self,
        plan: &Plan,
        origin: &Origin,
        record: &DataRecord<'_>,
        members: &mut Members,
        lookups: &mut Lookups,
        window: Window,
        out: &mut Vec<u8>,
        begin: impl FnOnce(i64, DocumentId, &mut Vec<u8>),
    ) -> Lined {
        let Some(wire) = Wire::read(plan, origin, record, &mut self.values) else { return Lined::NotPlain };
        if wire.is_destination_copy() {
            return Lined::NotPlain;
        }
        let findings = find(&wire, members, lookups);
        match findings.naming {
            Naming::Complete if findings.destination_copy => return Lined::NotPlain,
            Naming::Complete => {}
            Naming::Incomplete => return Lined::NotPlain,
            Naming::OtherSide => return Lined::OtherSide,
        }
        let mut adjustments = Adjustments::default();
        let (timestamp, outside) = shape::timestamp(origin, window);
        let unwritten = out.len();
        begin(timestamp, wire.id(), out);
        out.extend_from_slice(self.head.text(timestamp, origin));
        let named = Named::of(&wire, &findings);
        let mut line = Line { out, dates: &mut self.dates, names: &mut self.names, plain: named.plain };
        if !line.fields(&named, record, &mut adjustments) {
            out.truncate(unwritten);
            return Lined::NotPlain;
        }
        if let Some(interval) = origin.sampling.filter(|_| !plan.has_sampling) {
            key!("samplingInterval").write(line.out);
            json::unsigned(interval, line.out);
        }
        if outside {
            adjustments.outside_window = 1;
            let export = i64::try_from(origin.export_ms).unwrap_or(i64::MAX);
            if export <= LAST_MILLISECOND {
                key!("exportTime").write(line.out);
                line.date(export);
            }
        }
        for ((role, key), value) in FILLED.into_iter().zip(named.filled) {
            if let Some(value) = value
                && !wire.has(role)
            {
                findings.field(key, &value).write(line.out);
                line.filled(value);
            }
        }
        let exporter = Exporter {
            of_cluster: findings.member.is_some(),
            node: findings.member.and_then(|member| member.node.as_deref()),
        };
        derive(&named, exporter, &mut line);
        out.extend_from_slice(b"}}");
        Lined::Written(adjustments)
    }
}

impl Head {
    fn text(&mut self, timestamp: i64, origin: &Origin) -> &[u8] {
        let of = Some((timestamp, origin.exporter, origin.template));
        if self.of != of {
            self.of = of;
            self.text.clear();
            self.text.extend_from_slice(br#"{"@timestamp":""#);
            time::write(timestamp, &mut self.text);
            self.text.extend_from_slice(br#"","@version":"1","type":"ipfix","host":""#);
            json::address(origin.exporter, &mut self.text);
            self.text.extend_from_slice(br#"","ipfix":{"version":10,"flowset_id":"#);
            json::unsigned(origin.template.into(), &mut self.text);
        }
        &self.text
    }
}

/// The line that is being written.
struct Line<'l> {
    out: &'l mut Vec<u8>,
    dates: &'l mut DateText,
    names: &'l mut [Name; 2],
    /// Whether no text that comes here needs an escape.
    plain: bool,
}

impl Line<'_> {
    /// The record's own fields, with what the directory has in their place; false where a value cannot stand.
    fn fields(&mut self, named: &Named<'_>, record: &DataRecord<'_>, adjustments: &mut Adjustments) -> bool {
        let wire = named.wire;
        for (place, (step, value)) in wire.plan.steps.iter().zip(wire.values).enumerate() {
            if let Some(of) = step.filled {
                if let Some(filled) = named.filled[usize::from(of)]
                    && step.role.is_some_and(|role| wire.has(role))
                {
                    step.write_key(self.out);
                    self.filled(filled);
                    continue;
                }
                // These have no quote in their key: what fills them may be of another kind.
                self.unfilled(wire, step, *value);
                continue;
            }
            match step.kind {
                Kind::Padding => {}
                Kind::Unsigned => {
                    step.write_key(self.out);
                    json::unsigned(*value, self.out);
                }
                Kind::Seconds | Kind::Milliseconds => {
                    step.write_key(self.out);
                    self.dates.write(i64::try_from(*value).unwrap_or(LAST_MILLISECOND), self.out);
                    self.out.push(b'"');
                }
                Kind::Text => {
                    step.write_key(self.out);
                    self.text_of(wire, *value);
                    self.out.push(b'"');
                }
                Kind::Ipv4 | Kind::Ipv6 => {
                    let Some(address) = wire.address_of(step.kind, *value) else { return false };
                    if step.keeps_zero || !address.is_unspecified() {
                        step.write_key(self.out);
                        json::address(address, self.out);
                        self.out.push(b'"');
                    }
                }
                Kind::Other => {
                    let Some(field) = record.template().fields().get(place) else { return false };
                    let span = Span::unpacked(*value);
                    let Some(octets) = wire.from(span).get(..span.length) else { return false };
                    let value = record.value(field, octets);
                    if let Some(value) = shape::converted(field.key, value, adjustments) {
                        step.write_key(self.out);
                        json::value(&value, self.out);
                    }
                }
            }
        }
        true
    }

    /// A field that the directory could have filled, and did not.
    fn unfilled(&mut self, wire: &Wire<'_>, step: &Step, value: u64) {
        match step.kind {
            Kind::Text => {
                step.write_key(self.out);
                self.out.push(b'"');
                self.text_of(wire, value);
                self.out.push(b'"');
            }
            Kind::Ipv4 | Kind::Ipv6 => {
                if let Some(address) = wire.address_of(step.kind, value)
                    && (step.keeps_zero || !address.is_unspecified())
                {
                    step.write_key(self.out);
                    self.quoted_address(address);
                }
            }
            Kind::Seconds | Kind::Milliseconds => {
                step.write_key(self.out);
                self.date(i64::try_from(value).unwrap_or(LAST_MILLISECOND));
            }
            Kind::Unsigned | Kind::Padding | Kind::Other => {
                step.write_key(self.out);
                json::unsigned(value, self.out);
            }
        }
    }

    /// A text of the record, of which is known whether it is plain.
    fn text_of(&mut self, wire: &Wire<'_>, value: u64) {
        let span = Span::unpacked(value);
        let octets = wire.from(span);
        if span.plain {
            json::beginning::<SHORT_TEXT>(octets, span.length, self.out);
        } else {
            json::escaped(octets.get(..span.length).unwrap_or_default(), self.out);
        }
    }

    fn filled(&mut self, value: Filled<'_>) {
        match value {
            Filled::Text(text) => self.quoted(text.as_bytes()),
            Filled::Number(number) => json::unsigned(number, self.out),
            Filled::Address(address) => self.quoted_address(address),
        }
    }

    fn date(&mut self, millis: i64) {
        self.out.push(b'"');
        self.dates.write(millis, self.out);
        self.out.push(b'"');
    }

    fn quoted(&mut self, text: &[u8]) {
        self.out.push(b'"');
        if self.plain {
            self.out.extend_from_slice(text);
        } else {
            json::escaped(text, self.out);
        }
        self.out.push(b'"');
    }

    fn quoted_address(&mut self, address: IpAddr) {
        self.out.push(b'"');
        json::address(address, self.out);
        self.out.push(b'"');
    }
}

impl Output for Line<'_> {
    fn name(&mut self, end: End, parts: &[Part<'_>]) {
        let Name { octets: name, length } = &mut self.names[end as usize];
        name.clear();
        for part in parts {
            match part {
                Part::Text(text) if self.plain => name.extend_from_slice(text.as_bytes()),
                Part::Text(text) => json::escaped(text.as_bytes(), name),
                Part::Plain(text) => name.extend_from_slice(text.as_bytes()),
                Part::Number(number) => json::unsigned(*number, name),
                Part::Address(address) => json::address(*address, name),
                // An end is not named after the other.
                Part::Name(_) => {}
            }
        }
        *length = name.len();
        if *length < SHORT_NAME {
            name.resize(SHORT_NAME, 0);
        }
    }

    #[inline]
    fn unsigned(&mut self, key: &'static Key, number: u64) {
        key.write(self.out);
        json::unsigned(number, self.out);
    }

    #[inline]
    fn address(&mut self, key: &'static Key, address: IpAddr) {
        key.write(self.out);
        self.quoted_address(address);
    }

    #[inline]
    fn text(&mut self, key: &'static Key, parts: &[Part<'_>]) {
        key.write(self.out);
        self.out.push(b'"');
        self.parts(parts);
        self.out.push(b'"');
    }
}

impl Line<'_> {
    #[inline]
    fn parts(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            match part {
                Part::Text(text) if self.plain => self.out.extend_from_slice(text.as_bytes()),
                Part::Text(text) => json::escaped(text.as_bytes(), self.out),
                Part::Plain(text) => self.out.extend_from_slice(text.as_bytes()),
                Part::Number(number) => json::unsigned(*number, self.out),
                Part::Address(address) => json::address(*address, self.out),
                Part::Name(end) => {
                    let Name { octets, length } = &self.names[*end as usize];
                    json::beginning::<SHORT_NAME>(octets, *length, self.out);
                }
            }
        }
    }
}

/// Longer than most texts of a record.
const SHORT_TEXT: usize = 32;

/// Longer than most names of Pods with their namespace.
const SHORT_NAME: usize = 64;
