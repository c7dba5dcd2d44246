//! First step of a document: the record's own elements under their names, `@timestamp`, `host` and `_id`.
//!
//! What comes in is one decoded record and where it came from; what goes out knows no names yet that the record
//! does not carry. No clock: the receive time is handed in.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use podflow_flow::FlowType;
use podflow_ipfix::ElementKey;
use podflow_ipfix::collect::DataRecord;
use podflow_ipfix::element::{ANTREA_LEGACY, IANA};
use podflow_ipfix::template::TemplateField;
use podflow_ipfix::value::{self as wire, List, ListContent};
use xxhash_rust::xxh3::xxh3_64;

use super::id::{FlowIdentity, WireIdentity};
use super::model::{Document, DocumentId, Value};
use super::role::{Places, Role};
use super::time::LAST_MILLISECOND;
use super::unknown::UnknownNames;

/// Where a record came from, and when.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The exporter's address.
    pub exporter: IpAddr,
    /// Observation domain of its message.
    pub domain: u32,
    /// Version of the message: 10, 9 or 5.
    pub version: u16,
    /// Template id of the record.
    pub template: u16,
    /// Export time of the message, milliseconds since 1970.
    pub export_ms: u64,
    /// When the message was received, milliseconds since 1970.
    pub received_ms: i64,
    /// Sequence number in the message header.
    pub sequence: u32,
    /// Where in its message the record stands.
    pub place: u32,
    /// Hash of the record's octets.
    pub octets: u64,
    /// What to add to the exporter's times to have ours, milliseconds.
    pub skew_ms: i64,
    /// One packet of so many was seen, where the exporter has announced that for this record.
    pub sampling: Option<u64>,
}

impl Origin {
    /// Where a decoded record came from.
    pub fn of(record: &DataRecord<'_>, exporter: IpAddr, received_ms: i64, skew_ms: i64) -> Self {
        Self {
            // An IPv4 exporter at a socket for both families is shown by its IPv4 address.
            exporter: exporter.to_canonical(),
            domain: record.domain(),
            version: record.version().number(),
            template: record.template().id().number(),
            export_ms: u64::from(record.export_time()) * 1000,
            received_ms,
            sequence: record.sequence(),
            place: record.place(),
            octets: xxh3_64(record.octets()),
            skew_ms,
            sampling: record.sampling().map(|sampling| sampling.interval.min(LARGEST)),
        }
    }
}

/// How far an export time may lie from the receive time before the receive time takes its place.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Behind the clock.
    pub past: Duration,
    /// Ahead of the clock.
    pub future: Duration,
}

/// What had to be changed in a record to make a document of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Adjustments {
    /// Counters above 2^63 - 1, which no index can hold.
    pub saturated: u32,
    /// Dates after the year 9999 and numbers that are not finite, left out.
    pub left_out: u32,
    /// Unknown elements beyond the day's distinct names, kept unindexed.
    pub unindexed: u32,
    /// 1 where the export time lay outside the window.
    pub outside_window: u32,
    /// Strings that were not UTF-8: what was ill-formed is U+FFFD now.
    pub ill_formed: u32,
}

/// A document in the making.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    pub(crate) document: Document<'a>,
    pub(crate) places: Places,
    pub(crate) origin: Origin,
    pub(crate) adjustments: Adjustments,
    /// Whether this is the destination's copy of a flow that its source's agent exports too.
    pub(crate) destination_copy: bool,
    /// Whether the exporter is of this cluster.
    pub(crate) of_cluster: bool,
    /// The exporter's Node.
    pub(crate) exporter_node: Option<Arc<str>>,
}

impl Draft<'_> {
    /// The same draft, free of the message it was decoded from.
    pub fn into_owned(self) -> Draft<'static> {
        Draft { document: self.document.into_owned(), ..self }
    }
}

/// Shapes one record. `fields` is an empty vector whose memory is used again.
pub(crate) fn shape<'a, 't: 'a>(
    origin: &Origin,
    record: impl Iterator<Item = (&'t TemplateField, wire::Value<'a>)>,
    mut fields: Vec<(Cow<'a, str>, Value<'a>)>,
    window: Window,
    unknown: &UnknownNames,
) -> Draft<'a> {
    let mut places = Places::NONE;
    let mut adjustments = Adjustments::default();
    let mut totals = [0; 4];
    let mut beyond = Vec::new();
    fields.push((Cow::Borrowed("version"), Value::Unsigned(origin.version.into())));
    // NetFlow v5 has no templates.
    if origin.version != 5 {
        fields.push((Cow::Borrowed("flowset_id"), Value::Unsigned(origin.template.into())));
    }
    for (field, value) in record {
        if field.key == PADDING {
            continue;
        }
        if let wire::Value::Unsigned(number) = value {
            note_total(field.key, number, &mut totals);
        }
        let Some(value) = converted(field.key, value, &mut adjustments) else { continue };
        let name: Cow<'a, str> = match &field.name {
            Cow::Borrowed(name) => Cow::Borrowed(*name),
            Cow::Owned(name) => Cow::Borrowed(name.as_str()),
        };
        if !field.known && !unknown.admit(&name, origin.received_ms) {
            adjustments.unindexed += 1;
            beyond.push((name, value));
            continue;
        }
        if field.repeated
            && let Some((_, first)) = fields.iter_mut().find(|(other, _)| *other == name)
        {
            append(first, value);
            continue;
        }
        if let Some(role) = Role::of(field.key) {
            // A record may carry both families of an address, one of them zero.
            if !(is_zero(&value) && places.place(role).is_some()) {
                places.set(role, fields.len());
            }
        }
        fields.push((name, value));
    }
    if !beyond.is_empty() {
        fields.push((Cow::Borrowed(super::unknown::FIELD), Value::Object(beyond)));
    }
    // The counters stay as they were exported: whoever multiplies them knows that it is an estimate.
    if let Some(interval) = origin.sampling
        && !fields.iter().any(|(name, _)| name == SAMPLING_INTERVAL)
    {
        fields.push((Cow::Borrowed(SAMPLING_INTERVAL), Value::Unsigned(interval)));
    }
    let (timestamp, outside) = timestamp(origin, window);
    if outside {
        adjustments.outside_window = 1;
        let export = i64::try_from(origin.export_ms).unwrap_or(i64::MAX);
        if export <= LAST_MILLISECOND {
            fields.push((Cow::Borrowed("exportTime"), Value::Time(export)));
        }
    }
    let mut document = Document { id: DocumentId([0; 15]), timestamp, host: origin.exporter, fields };
    document.id = identity(origin, &document, &places, totals);
    let destination_copy = is_destination_copy(&document, &places);
    Draft {
        document,
        places,
        origin: *origin,
        adjustments,
        destination_copy,
        of_cluster: false,
        exporter_node: None,
    }
}

/// Antrea's agents since v0.12 both export a flow between two Nodes; the destination's copy names only the
/// destination. Our own agents export it once (they send a flowId), an aggregator has both sides' counters.
fn is_destination_copy(document: &Document<'_>, places: &Places) -> bool {
    places.number(document, Role::FlowType) == Some(u64::from(FlowType::InterNode.to_wire()))
        && places.place(Role::FlowId).is_none()
        && places.text(document, Role::SourcePodName).is_empty()
        && !places.text(document, Role::DestinationPodName).is_empty()
        && !document.fields.iter().any(|(name, _)| name.ends_with(OF_DESTINATION_NODE))
}

/// `@timestamp`: the export time, or the receive time where the export time cannot be true; and whether that is so.
pub(crate) fn timestamp(origin: &Origin, window: Window) -> (i64, bool) {
    let received = origin.received_ms;
    let export = i64::try_from(origin.export_ms).unwrap_or(i64::MAX);
    let past = i64::try_from(window.past.as_millis()).unwrap_or(i64::MAX);
    let future = i64::try_from(window.future.as_millis()).unwrap_or(i64::MAX);
    let inside = export >= received.saturating_sub(past) && export <= received.saturating_add(future);
    if inside { (export, false) } else { (received, true) }
}

fn identity(origin: &Origin, document: &Document<'_>, places: &Places, totals: [u64; 4]) -> DocumentId {
    let ours = places
        .number(document, Role::FlowId)
        .zip(places.number(document, Role::EndMilliseconds))
        .zip(places.number(document, Role::EndReason))
        .filter(|_| places.place(Role::OctetsTotal).is_some());
    match ours {
        Some(((flow_id, end_ms), end_reason)) => {
            FlowIdentity { domain: origin.domain, flow_id, end_ms, end_reason, totals }.id()
        }
        None => WireIdentity::of(origin).id(),
    }
}

/// The totals as they came, before any was saturated.
const fn note_total(key: ElementKey, number: u64, totals: &mut [u64; 4]) {
    match Role::of(key) {
        Some(Role::PacketsTotal) => totals[0] = number,
        Some(Role::OctetsTotal) => totals[1] = number,
        Some(Role::ReversePacketsTotal) => totals[2] = number,
        Some(Role::ReverseOctetsTotal) => totals[3] = number,
        _ => {}
    }
}

/// The document's value of a wire value; `None` where there is nothing to say.
pub(crate) fn converted<'a>(
    key: ElementKey,
    value: wire::Value<'a>,
    adjustments: &mut Adjustments,
) -> Option<Value<'a>> {
    let date = value.as_milliseconds();
    adjustments.ill_formed += u32::from(value.was_ill_formed());
    Some(match value {
        wire::Value::Unsigned(number) if number > LARGEST => {
            adjustments.saturated += 1;
            Value::Unsigned(LARGEST)
        }
        wire::Value::Unsigned(number) => Value::Unsigned(number),
        wire::Value::Signed(number) => Value::Signed(number),
        wire::Value::Float(number) if number.is_finite() => Value::Float(number),
        wire::Value::Boolean(flag) => Value::Boolean(flag),
        wire::Value::Mac(mac) => Value::String(Cow::Owned(mac_text(mac))),
        wire::Value::Octets(octets) => Value::String(Cow::Owned(hex(octets))),
        wire::Value::String(text) => Value::String(text),
        wire::Value::Ipv4(ip) => address(key, ip.into())?,
        wire::Value::Ipv6(ip) => address(key, ip.into())?,
        wire::Value::List(list) => self::list(*list, adjustments),
        wire::Value::Float(_)
        | wire::Value::Seconds(_)
        | wire::Value::Milliseconds(_)
        | wire::Value::Microseconds(_)
        | wire::Value::Nanoseconds(_) => {
            match date
                .and_then(|millis| i64::try_from(millis).ok())
                .filter(|millis| *millis <= LAST_MILLISECOND)
            {
                Some(millis) => Value::Time(millis),
                None => {
                    adjustments.left_out += 1;
                    return None;
                }
            }
        }
    })
}

/// An address that is all zeroes says "does not apply" and is left out, but for those of the v0.9 template, where
/// existing searches ask for 0.0.0.0.
const fn address<'a>(key: ElementKey, ip: IpAddr) -> Option<Value<'a>> {
    if ip.is_unspecified() && !keeps_zero_address(key) { None } else { Some(Value::Address(ip)) }
}

/// Whether an element's address stays in the document although it is all zeroes.
pub(crate) const fn keeps_zero_address(key: ElementKey) -> bool {
    matches!((key.enterprise, key.id), (IANA, 8 | 12 | 27 | 28) | (ANTREA_LEGACY, 106))
}

/// A list of RFC 6313 as an array; records in it as objects.
fn list<'a>(list: List<'a>, adjustments: &mut Adjustments) -> Value<'a> {
    Value::List(match list.content {
        ListContent::Basic { field, values } => {
            values.into_iter().filter_map(|value| converted(field.key, value, adjustments)).collect()
        }
        ListContent::SubTemplate { records, .. } | ListContent::Multi(records) => records
            .into_iter()
            .map(|record| {
                let mut fields: Vec<(Cow<'a, str>, Value<'a>)> = Vec::with_capacity(record.values.len());
                for (field, value) in record.template.fields().iter().zip(record.values) {
                    let Some(value) = converted(field.key, value, adjustments) else { continue };
                    match fields.iter_mut().find(|(name, _)| field.repeated && *name == field.name) {
                        Some((_, first)) => append(first, value),
                        None => fields.push((field.name.clone(), value)),
                    }
                }
                Value::Object(fields)
            })
            .collect(),
    })
}

/// Makes a list of a repeated element's values.
fn append<'a>(first: &mut Value<'a>, next: Value<'a>) {
    if let Value::List(values) = first {
        values.push(next);
    } else {
        let head = std::mem::replace(first, Value::Boolean(false));
        *first = Value::List(vec![head, next]);
    }
}

fn is_zero(value: &Value<'_>) -> bool {
    matches!(value, Value::Address(ip) if ip.is_unspecified())
}

fn mac_text(mac: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        // Writing to a String cannot fail.
        write!(text, "{octet:02x}").unwrap_or_default();
    }
    text
}

/// The largest number that an index's `long` holds.
const LARGEST: u64 = i64::MAX as u64;

/// How the names of the destination's Node's counters end.
pub(crate) const OF_DESTINATION_NODE: &str = "FromDestinationNode";

/// One packet of so many was seen (IE 34, and what selectors of other elements come to).
pub(crate) const SAMPLING_INTERVAL: &str = "samplingInterval";

/// paddingOctets (IE 210): fills records up and says nothing.
pub(crate) const PADDING: ElementKey = ElementKey::iana(210);
