//! A plain record as it stands on the wire, read once, and the same with what the directory has for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use podflow_flow::FlowType;
use podflow_ipfix::collect::DataRecord;

use super::facts::Facts;
use super::id::{FlowIdentity, WireIdentity};
use super::json;
use super::model::DocumentId;
use super::names::{FILLED, Filled, Findings};
use super::plan::{Kind, Plan};
use super::role::Role;
use super::shape::Origin;
use super::time::LAST_MILLISECOND;

/// A record as it stands on the wire.
pub(crate) struct Wire<'r> {
    pub(crate) plan: &'r Plan,
    origin: &'r Origin,
    octets: &'r [u8],
    /// The fields' values: numbers, milliseconds of dates, IPv4 addresses; of all others, where they stand ([`Span`]).
    pub(crate) values: &'r [u64],
    texts: [&'r str; TEXTS],
    addresses: [Option<IpAddr>; ADDRESSES],
    /// Whether none of these texts needs an escape.
    plain: bool,
}

impl<'r> Wire<'r> {
    /// `None` where a value cannot stand in a document as it is.
    pub(crate) fn read(
        plan: &'r Plan,
        origin: &'r Origin,
        record: &DataRecord<'r>,
        values: &'r mut Vec<u64>,
    ) -> Option<Self> {
        values.clear();
        let mut texts = [""; TEXTS];
        let mut addresses = [None; ADDRESSES];
        let mut all_plain = true;
        let mut fields = record.field_octets();
        for step in &plan.steps {
            let (start, octets) = fields.take(step.length)?;
            let span = |plain| Span { start, length: octets.len(), plain }.packed();
            values.push(match step.kind {
                Kind::Unsigned => Some(number(octets)).filter(|number| *number <= i64::MAX as u64)?,
                Kind::Seconds => number(octets).checked_mul(1000).filter(is_date)?,
                Kind::Milliseconds => Some(number(octets)).filter(is_date)?,
                Kind::Text => {
                    // Half of all texts are empty.
                    let mut plain = true;
                    if !octets.is_empty() {
                        let text = std::str::from_utf8(octets).ok()?;
                        plain = json::all_plain(octets);
                        all_plain &= plain;
                        if let Some(place) = step.kept {
                            texts[usize::from(place)] = text;
                        }
                    }
                    span(plain)
                }
                Kind::Ipv4 => {
                    let bits = u32::from_be_bytes(<[u8; 4]>::try_from(octets).ok()?);
                    if let Some(place) = step.kept {
                        addresses[usize::from(place)] = Some(Ipv4Addr::from_bits(bits).into());
                    }
                    bits.into()
                }
                Kind::Ipv6 => {
                    if let Some(place) = step.kept {
                        addresses[usize::from(place)] = ipv6(octets);
                    }
                    span(false)
                }
                Kind::Other => span(false),
                Kind::Padding => 0,
            });
        }
        Some(Self { plan, origin, octets: record.octets(), values, texts, addresses, plain: all_plain })
    }

    /// The octets of a value that is no number, and what follows them in the record.
    pub(crate) fn from(&self, span: Span) -> &'r [u8] {
        self.octets.get(span.start..).unwrap_or_default()
    }

    /// An address that one of the steps reads.
    pub(crate) fn address_of(&self, kind: Kind, value: u64) -> Option<IpAddr> {
        match kind {
            Kind::Ipv4 => Some(Ipv4Addr::from_bits(u32::try_from(value).ok()?).into()),
            _ => ipv6(self.from(Span::unpacked(value)).get(..16)?),
        }
    }

    /// As `shape::is_destination_copy`.
    pub(crate) fn is_destination_copy(&self) -> bool {
        self.number(Role::FlowType) == Some(u64::from(FlowType::InterNode.to_wire()))
            && self.plan.place(Role::FlowId).is_none()
            && self.text(Role::SourcePodName).is_empty()
            && !self.text(Role::DestinationPodName).is_empty()
            && !self.plan.has_other_counters
    }

    /// As `shape::identity`.
    pub(crate) fn id(&self) -> DocumentId {
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
    pub(crate) fn has(&self, role: Role) -> bool {
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
pub(crate) struct Named<'r> {
    pub(crate) wire: &'r Wire<'r>,
    /// In the order of [`FILLED`].
    pub(crate) filled: [Option<Filled<'r>>; FILLED.len()],
    texts: [&'r str; TEXTS],
    /// Whether no text or name of it needs an escape.
    pub(crate) plain: bool,
}

impl<'r> Named<'r> {
    pub(crate) fn of(wire: &'r Wire<'r>, findings: &Findings<'r>) -> Self {
        let mut texts = wire.texts;
        let filled = findings.filled();
        // Texts come first there, in the order that they have here.
        for (text, value) in texts.iter_mut().zip(filled) {
            if let Some(Filled::Text(filled)) = value {
                *text = filled;
            }
        }
        Self { wire, filled, texts, plain: wire.plain && findings.plain }
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

fn ipv6(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into())
}

fn is_date(millis: &u64) -> bool {
    *millis <= LAST_MILLISECOND as u64
}

/// Where the text or the address of a role is kept, if a field of this kind has one.
pub(crate) fn place(kind: Kind, role: Role) -> Option<u8> {
    let place = match kind {
        Kind::Text => text_place(role),
        Kind::Ipv4 | Kind::Ipv6 => address_place(role),
        _ => None,
    };
    place.and_then(|place| u8::try_from(place).ok())
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

// `FILLED` begins with the roles of texts, in this order.
const _: () = {
    let mut place = 0;
    while place < TEXTS {
        assert!(matches!(text_place(FILLED[place].0), Some(of) if of == place));
        place += 1;
    }
};

/// Where in a record the octets of a value stand; in a number: start above, length in the middle, plain in the last bit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    start: usize,
    /// How many octets there are.
    pub(crate) length: usize,
    /// Whether it is a text that needs no escape.
    pub(crate) plain: bool,
}

impl Span {
    /// A record is no longer than its message, which is no longer than 65,535 octets.
    const fn packed(self) -> u64 {
        (self.start as u64) << 32 | (self.length as u64) << 1 | self.plain as u64
    }

    pub(crate) const fn unpacked(value: u64) -> Self {
        Self {
            start: (value >> 32) as usize,
            length: ((value & 0xffff_ffff) >> 1) as usize,
            plain: value & 1 == 1,
        }
    }
}

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
