//! A record as a line of JSON, written straight from the wire into the buffer that is sent.
//!
//! It gives the octets that a [`super::model::Document`] of the record would give (a test compares the two for records of
//! all kinds), without making one: a collector writes a million of them a second. Where a record is not plain, nothing
//! is written, and the way over the document is taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use podflow_flow::FlowType;
use podflow_ipfix::collect::DataRecord;

use super::derive::{End, Exporter, Output, Part, derive};
use super::facts::Facts;
use super::id::{FlowIdentity, WireIdentity};
use super::keys::Key;
use super::lookups::Lookups;
use super::model::DocumentId;
use super::names::{FILLED, Filled, Findings, Members, Naming, find};
use super::plan::{Kind, Plan, Step};
use super::role::Role;
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

/// A record as it stands on the wire, read once.
struct Wire<'r> {
    plan: &'r Plan,
    origin: &'r Origin,
    /// The fields' values: numbers, milliseconds of dates, whether a text is plain.
    values: &'r [u64],
    texts: [&'r str; TEXTS],
    addresses: [Option<IpAddr>; ADDRESSES],
}

impl<'r> Wire<'r> {
    /// `None` where a value cannot stand in a document as it is.
    fn read(
        plan: &'r Plan,
        origin: &'r Origin,
        record: &DataRecord<'r>,
        values: &'r mut Vec<u64>,
    ) -> Option<Self> {
        values.clear();
        let mut texts = [""; TEXTS];
        let mut addresses = [None; ADDRESSES];
        for (step, (_, octets)) in plan.steps.iter().zip(record.octet_fields()) {
            values.push(match step.kind {
                Kind::Unsigned => Some(number(octets)).filter(|number| *number <= i64::MAX as u64)?,
                Kind::Seconds => number(octets).checked_mul(1000).filter(is_date)?,
                Kind::Milliseconds => Some(number(octets)).filter(is_date)?,
                Kind::Text => {
                    let text = std::str::from_utf8(octets).ok()?;
                    if let Some(place) = step.role.and_then(text_place) {
                        texts[place] = text;
                    }
                    if json::all_plain(octets) { PLAIN_TEXT } else { 0 }
                }
                Kind::Ipv4 | Kind::Ipv6 => {
                    if let Some(place) = step.role.and_then(address_place) {
                        addresses[place] = address(octets);
                    }
                    0
                }
                Kind::Other | Kind::Padding => 0,
            });
        }
        (values.len() == plan.steps.len()).then_some(Self { plan, origin, values, texts, addresses })
    }

    /// As `shape::is_destination_copy`.
    fn is_destination_copy(&self) -> bool {
        self.number(Role::FlowType) == Some(u64::from(FlowType::InterNode.to_wire()))
            && self.plan.place(Role::FlowId).is_none()
            && self.text(Role::SourcePodName).is_empty()
            && !self.text(Role::DestinationPodName).is_empty()
            && !self.plan.has_other_counters
    }

    /// As `shape::identity`.
    fn id(&self) -> DocumentId {
        let total = |role| self.number(role).unwrap_or_default();
        let ours = self
            .number(Role::FlowId)
            .zip(self.number(Role::EndMilliseconds))
            .zip(self.number(Role::EndReason))
            .filter(|_| self.plan.place(Role::OctetsTotal).is_some());
        match ours {
            Some(((flow_id, end_ms), end_reason)) => FlowIdentity {
                domain: self.origin.domain,
                flow_id,
                end_ms,
                end_reason,
                totals: [
                    total(Role::PacketsTotal),
                    total(Role::OctetsTotal),
                    total(Role::ReversePacketsTotal),
                    total(Role::ReverseOctetsTotal),
                ],
            }
            .id(),
            None => WireIdentity::of(self.origin).id(),
        }
    }

    /// Whether the document has a field for the role from the record itself.
    fn has(&self, role: Role) -> bool {
        let Some(step) = self.plan.place(role).and_then(|place| self.plan.steps.get(place)) else {
            return false;
        };
        step.keeps_zero || address_place(role).is_none() || self.address(role).is_some()
    }
}

impl Facts for Wire<'_> {
    fn origin(&self) -> &Origin {
        self.origin
    }

    fn text(&self, role: Role) -> &str {
        text_place(role).map_or("", |place| self.texts[place])
    }

    fn number(&self, role: Role) -> Option<u64> {
        let place = self.plan.place(role)?;
        let kind = self.plan.steps.get(place)?.kind;
        matches!(kind, Kind::Unsigned | Kind::Seconds | Kind::Milliseconds)
            .then(|| self.values.get(place).copied())?
    }

    fn address(&self, role: Role) -> Option<IpAddr> {
        self.addresses[address_place(role)?].filter(|address| !address.is_unspecified())
    }
}

/// A record with what the directory has for it.
struct Named<'r> {
    wire: &'r Wire<'r>,
    /// In the order of [`FILLED`].
    filled: [Option<Filled<'r>>; FILLED.len()],
    texts: [&'r str; TEXTS],
}

impl<'r> Named<'r> {
    fn of(wire: &'r Wire<'r>, findings: &Findings<'r>) -> Self {
        let mut texts = wire.texts;
        let mut filled = [None; FILLED.len()];
        for ((role, _), value) in FILLED.iter().zip(&mut filled) {
            *value = findings.filled(*role);
        }
        for ((role, _), value) in FILLED.iter().zip(filled) {
            if let (Some(place), Some(Filled::Text(text))) = (text_place(*role), value) {
                texts[place] = text;
            }
        }
        Self { wire, filled, texts }
    }
}

impl Facts for Named<'_> {
    fn origin(&self) -> &Origin {
        self.wire.origin
    }

    fn text(&self, role: Role) -> &str {
        text_place(role).map_or("", |place| self.texts[place])
    }

    fn number(&self, role: Role) -> Option<u64> {
        match (role, self.filled[SERVICE_PORT]) {
            (Role::ServicePort, Some(Filled::Number(number))) => Some(number),
            _ => self.wire.number(role),
        }
    }

    fn address(&self, role: Role) -> Option<IpAddr> {
        match (role, self.filled[CLUSTER_IP]) {
            (Role::ClusterIp, Some(Filled::Address(address))) => Some(address),
            _ => self.wire.address(role),
        }
    }
}

/// Places in [`FILLED`].
const SERVICE_PORT: usize = 7;
const CLUSTER_IP: usize = 8;
const _: () = assert!(matches!(FILLED[SERVICE_PORT].0, Role::ServicePort));
const _: () = assert!(matches!(FILLED[CLUSTER_IP].0, Role::ClusterIp));

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

/// An unsigned number; at most eight octets, as the plan has made sure.
fn number(octets: &[u8]) -> u64 {
    match *octets {
        [a] => a.into(),
        [a, b] => u16::from_be_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_be_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(|octets| Ipv4Addr::from(octets).into()),
        _ => <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into()),
    }
}

fn is_date(millis: &u64) -> bool {
    *millis <= LAST_MILLISECOND as u64
}

/// Where a role's text is kept.
const fn text_place(role: Role) -> Option<usize> {
    Some(match role {
        Role::SourcePodName => 0,
        Role::SourcePodNamespace => 1,
        Role::SourceNode => 2,
        Role::DestinationPodName => 3,
        Role::DestinationPodNamespace => 4,
        Role::DestinationNode => 5,
        Role::ServicePortName => 6,
        _ => return None,
    })
}

const TEXTS: usize = 7;

/// The value of a text that needs no escape.
const PLAIN_TEXT: u64 = 1;

/// Where a role's address is kept.
const fn address_place(role: Role) -> Option<usize> {
    Some(match role {
        Role::SourceAddress => 0,
        Role::DestinationAddress => 1,
        Role::ClusterIp => 2,
        Role::Dialled => 3,
        _ => return None,
    })
}

const ADDRESSES: usize = 4;
