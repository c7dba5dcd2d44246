//! Flow records as text, by element: as our own collecting session reads a stream, and as libfixbuf's `ipfixDump` does.
//!
//! Both are brought into one form, so that a test compares them value by value.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use podflow_ipfix::ElementKey;
use podflow_ipfix::collect::{CollectingSession, Transport};
use podflow_ipfix::element::IANA;
use podflow_ipfix::framing::Framer;
use podflow_ipfix::limits::Limits;
use podflow_ipfix::registry::Registry;
use podflow_ipfix::value::Value;

use crate::programs;

/// One flow record: the text of each value, by enterprise number and element id.
pub type Reading = BTreeMap<(u32, u16), String>;

/// What a reader found in a stream of messages.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Readings {
    /// The flow records, in order.
    pub flows: Vec<Reading>,
    /// All data records, those of options templates included: what sequence numbers count.
    pub data_records: u64,
}

/// Reads a stream with our own collecting session.
///
/// # Errors
/// When it is not a stream of well-formed messages, or something of it was not decoded.
pub fn ours(stream: &[u8]) -> anyhow::Result<Readings> {
    let registry = Arc::new(Registry::standard());
    let mut session = CollectingSession::new(Transport::Stream, Arc::new(Limits::default()), registry);
    let mut framer = Framer::new();
    framer.push(stream);
    let mut readings = Readings::default();
    while let Some(message) = framer.next_message()? {
        let summary = session.receive(0, message, &mut |record| {
            if !record.is_options() {
                let values = record
                    .fields()
                    .map(|(field, value)| ((field.key.enterprise, field.key.id), text(&value)));
                readings.flows.push(values.collect());
            }
        })?;
        anyhow::ensure!(
            summary.unknown_template.is_none(),
            "a data set came before its template: {summary:?}"
        );
        readings.data_records += u64::from(summary.records + summary.options_records);
    }
    Ok(readings)
}

/// Rows of a key and a datagram's octets in hex, as tshark prints them, to one stream for each key.
///
/// # Panics
/// When a row is anything else.
#[must_use]
pub fn by_key(rows: &[Vec<String>]) -> BTreeMap<&str, Vec<u8>> {
    let mut streams: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for row in rows {
        streams.entry(&row[0]).or_default().extend(octets(&row[1]));
    }
    streams
}

/// Octets written in hex.
///
/// # Panics
/// When they are not.
#[must_use]
pub fn octets(hex: &str) -> Vec<u8> {
    let octet = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16);
    hex.as_bytes().chunks(2).map(|pair| octet(pair).unwrap_or_else(|_| panic!("not hex: {hex}"))).collect()
}

/// Reads a stream with `ipfixDump`, which is told nothing of our elements but what the stream itself says (RFC 5610).
///
/// # Errors
/// When the program is missing or fails, or prints what cannot be understood, or one of our elements has another
/// name there than in our table.
pub fn ipfix_dump(stream: &[u8]) -> anyhow::Result<Readings> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("stream.ipfix");
    std::fs::write(&file, stream)?;
    let file = file.to_string_lossy();
    let text = programs::output("ipfixDump", &["--in", &file, "--rfc5610", "--data"])?;
    let mut readings = Readings::default();
    let mut flow: Option<Reading> = None;
    for line in text.lines() {
        if let Some(template) = line.strip_prefix("\tcount:").and_then(|rest| rest.split_once("tid:")) {
            let id = template.1.split_whitespace().next().unwrap_or_default();
            flow = FLOW_TEMPLATES.contains(&id).then(Reading::new);
        } else if let (Some(flow), Some(field)) = (&mut flow, line.strip_prefix("\t(")) {
            let (key, name, value) =
                dumped_field(field).with_context(|| format!("a field of ipfixDump: {line:?}"))?;
            check_name(key, name)?;
            flow.insert(key, value);
        } else if line.starts_with("---") || line.starts_with("***") {
            readings.flows.extend(flow.take());
        }
        if let Some(statistics) = line.strip_prefix("*** File Stats: ") {
            let count = statistics.split(", ").find_map(|part| part.strip_suffix(" Data Records"));
            readings.data_records = count.context("no record count")?.parse()?;
        }
    }
    Ok(readings)
}

/// `55829/101)      sourcePodName : (len: 6) cart-1`
fn dumped_field(field: &str) -> Option<((u32, u16), &str, String)> {
    let (key, rest) = field.split_once(')')?;
    let (name, value) = rest.split_once(" : ")?;
    let (enterprise, id) = key.split_once('/').unwrap_or(("0", key));
    let value = match value.strip_prefix("(len: ") {
        Some(string) => string.split_once(") ").map_or("", |(_, string)| string).to_owned(),
        // It writes zeros that others leave out, `fd00:0010::0011`.
        None => value.parse().map_or_else(|_| value.to_owned(), |address: Ipv6Addr| address.to_string()),
    };
    Some(((enterprise.parse().ok()?, id.parse().ok()?), name.trim(), value))
}

/// Whether the program calls an element as our table does. Its own table has old names of some of IANA's elements.
fn check_name((enterprise, id): (u32, u16), name: &str) -> anyhow::Result<()> {
    let key = ElementKey::new(enterprise, id);
    if let Some(element) = Registry::standard().lookup(key).filter(|_| enterprise != IANA) {
        anyhow::ensure!(element.name == name, "{key} is {} and not {name}", element.name);
    }
    Ok(())
}

/// A value as `ipfixDump` writes it.
fn text(value: &Value<'_>) -> String {
    let time = |time: Option<Timestamp>, format| time.map(|time| time.strftime(format).to_string());
    let written = match value {
        Value::Seconds(s) => time(signed(*s).and_then(|s| Timestamp::from_second(s).ok()), "%F %T"),
        Value::Milliseconds(ms) => {
            time(signed(*ms).and_then(|ms| Timestamp::from_millisecond(ms).ok()), "%F %T%.3f")
        }
        _ => None,
    };
    written.unwrap_or_else(|| value.to_string())
}

fn signed(number: u64) -> Option<i64> {
    number.try_into().ok()
}

/// Templates 256 and 257 of every profile.
const FLOW_TEMPLATES: [&str; 2] = ["256", "257"];
