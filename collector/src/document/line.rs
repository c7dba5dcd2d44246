//! A record as a line of JSON, written straight from the wire into the buffer that is sent.
//!
//! It gives the octets that a [`super::model::Document`] of the record would give (a test compares the two for records of
//! all kinds), without making one: a collector writes a million of them a second. Where a record is not plain, nothing
//! is written, and the way over the document is taken.

use std::net::IpAddr;

use podflow_ipfix::collect::DataRecord;

use super::derive::{End, Exporter, Output, Part, derive};
use super::keys::Key;
use super::lookups::Lookups;
use super::model::DocumentId;
use super::names::{FILLED, Filled, Members, Naming, find};
use super::plan::{Kind, Plan, Step};
use super::record::{Named, PLAIN_TEXT, Wire, address};
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
    names: [Vec<u8>; 2],
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
        let mut line = Line { out, dates: &mut self.dates, names: &mut self.names };
        if !line.fields(&named, record, &mut adjustments) {
            out.truncate(unwritten);
            return Lined::NotPlain;
        }
        if let Some(interval) = origin.sampling.filter(|_| !plan.has_sampling) {
            line.out.extend_from_slice(b",\"samplingInterval\":");
            json::unsigned(interval, line.out);
        }
        if outside {
            adjustments.outside_window = 1;
            let export = i64::try_from(origin.export_ms).unwrap_or(i64::MAX);
            if export <= LAST_MILLISECOND {
                line.out.extend_from_slice(b",\"exportTime\":");
                line.date(export);
            }
        }
        for ((role, key), value) in FILLED.into_iter().zip(named.filled) {
            if let Some(value) = value
                && !wire.has(role)
            {
                line.out.extend_from_slice(findings.field(key, &value).json.as_bytes());
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
    names: &'l mut [Vec<u8>; 2],
}

impl Line<'_> {
    /// The record's own fields, with what the directory has in their place; false where a value cannot stand.
    fn fields(&mut self, named: &Named<'_>, record: &DataRecord<'_>, adjustments: &mut Adjustments) -> bool {
        let wire = named.wire;
        let fields = wire.plan.steps.iter().zip(wire.values).zip(record.octet_fields());
        for ((step, value), (field, octets)) in fields {
            if let Some(place) = step.filled {
                if let Some(filled) = named.filled[usize::from(place)]
                    && step.role.is_some_and(|role| wire.has(role))
                {
                    step.write_key(self.out);
                    self.filled(filled);
                    continue;
                }
                // These have no quote in their key: what fills them may be of another kind.
                self.unfilled(step, *value, octets);
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
                    self.text_octets(*value, octets);
                    self.out.push(b'"');
                }
                Kind::Ipv4 | Kind::Ipv6 => {
                    let Some(address) = address(octets) else { return false };
                    if step.keeps_zero || !address.is_unspecified() {
                        step.write_key(self.out);
                        json::address(address, self.out);
                        self.out.push(b'"');
                    }
                }
                Kind::Other => {
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
    fn unfilled(&mut self, step: &Step, value: u64, octets: &[u8]) {
        match step.kind {
            Kind::Text => {
                step.write_key(self.out);
                self.out.push(b'"');
                self.text_octets(value, octets);
                self.out.push(b'"');
            }
            Kind::Ipv4 | Kind::Ipv6 => {
                if let Some(address) = address(octets)
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
    fn text_octets(&mut self, value: u64, octets: &[u8]) {
        if value == PLAIN_TEXT {
            self.out.extend_from_slice(octets);
        } else {
            json::escaped(octets, self.out);
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
        json::escaped(text, self.out);
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
        let name = &mut self.names[end as usize];
        name.clear();
        for part in parts {
            match part {
                Part::Text(text) => json::escaped(text.as_bytes(), name),
                Part::Plain(text) => name.extend_from_slice(text.as_bytes()),
                Part::Number(number) => json::unsigned(*number, name),
                Part::Address(address) => json::address(*address, name),
                // An end is not named after the other.
                Part::Name(_) => {}
            }
        }
    }

    #[inline]
    fn unsigned(&mut self, key: Key, number: u64) {
        self.out.extend_from_slice(key.json.as_bytes());
        json::unsigned(number, self.out);
    }

    #[inline]
    fn address(&mut self, key: Key, address: IpAddr) {
        self.out.extend_from_slice(key.json.as_bytes());
        self.quoted_address(address);
    }

    #[inline]
    fn text(&mut self, key: Key, parts: &[Part<'_>]) {
        self.out.extend_from_slice(key.json.as_bytes());
        self.out.push(b'"');
        self.parts(parts);
        self.out.push(b'"');
    }
}

impl Line<'_> {
    fn parts(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            match part {
                Part::Text(text) => json::escaped(text.as_bytes(), self.out),
                Part::Plain(text) => self.out.extend_from_slice(text.as_bytes()),
                Part::Number(number) => json::unsigned(*number, self.out),
                Part::Address(address) => json::address(*address, self.out),
                Part::Name(end) => self.out.extend_from_slice(&self.names[*end as usize]),
            }
        }
    }
}
