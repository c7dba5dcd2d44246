//! NetFlow version 5: a header of 24 octets and up to 30 records of 48.
//!
//! There are no templates on the wire; one is made here, so that its records are read like all others. The header's
//! engine and sampling, which hold for each record, are appended to it.
//!
//! ```text
//! | version 5 | count | sysUptime ms | seconds | nanoseconds | flow sequence | engine type | engine id | sampling |
//! ```

use std::sync::{Arc, LazyLock};

use super::Uptime;
use super::v9::{FIRST_SWITCHED, LAST_SWITCHED, date_element};
use crate::element::ElementKey;
use crate::error::DecodeError;
use crate::message::{MessageHeader, Version};
use crate::reader::Reader;
use crate::registry::Registry;
use crate::template::{CompiledTemplate, FieldSpecifier, Template, TemplateId};

/// Reads the header and checks that the octets are header and records, no more and no less.
pub(crate) fn read_v5_header(octets: &[u8]) -> Result<(MessageHeader, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(octets);
    let version = reader.u16("version")?;
    if version != Version::NetFlow5.number() {
        return Err(DecodeError::Version(version));
    }
    let count = usize::from(reader.u16("record count")?);
    let uptime_ms = reader.u32("system uptime")?;
    let export_time = reader.u32("export time")?;
    let nanoseconds = reader.u32("nanoseconds of the export time")?;
    let sequence = reader.u32("flow sequence")?;
    let domain = u32::from(reader.u16("engine")?);
    reader.u16("sampling")?;
    let length = HEADER_LENGTH + count * RECORD_LENGTH;
    if length != octets.len() {
        return Err(DecodeError::MessageLength { header: length, received: octets.len() });
    }
    let export_ms = u64::from(export_time) * 1_000 + u64::from(nanoseconds / 1_000_000);
    let uptime = Some(Uptime { export_ms, uptime_ms });
    Ok((MessageHeader { version: Version::NetFlow5, export_time, sequence, domain, uptime }, reader))
}

/// The records of a message with the header's engine and sampling behind each, and where each stands in the message.
/// `room` is memory to be used again.
pub(crate) fn rebuilt_records<'r>(
    octets: &[u8],
    room: &'r mut Vec<u8>,
) -> impl Iterator<Item = (usize, &'r [u8])> + use<'r> {
    room.clear();
    let (engine, sampling) = match octets.get(20..HEADER_LENGTH) {
        Some(&[engine_type, engine_id, high, low]) => {
            ([engine_type, engine_id], u16::from_be_bytes([high, low]))
        }
        _ => ([0, 0], 0),
    };
    let [interval_high, interval_low] = (sampling & 0x3fff).to_be_bytes();
    let [mode, _] = (sampling >> 14 << 8).to_be_bytes();
    for record in octets.get(HEADER_LENGTH..).unwrap_or_default().chunks_exact(RECORD_LENGTH) {
        room.extend_from_slice(record);
        room.extend(engine);
        room.extend([mode, interval_high, interval_low]);
    }
    let offsets = (HEADER_LENGTH..).step_by(RECORD_LENGTH);
    offsets.zip(room.chunks_exact(REBUILT_LENGTH))
}

/// The template of the records as rebuilt.
pub(crate) fn v5_template() -> &'static Arc<CompiledTemplate> {
    static TEMPLATE: LazyLock<Arc<CompiledTemplate>> = LazyLock::new(|| {
        let fields = FIELDS.iter().map(|(element, length)| FieldSpecifier::new(*element, *length)).collect();
        let wire =
            Template::new(V5_TEMPLATE, fields).unwrap_or_else(|_| unreachable!("the fields have octets"));
        Arc::new(CompiledTemplate::new(wire, Version::NetFlow5, &Registry::standard()))
    });
    &TEMPLATE
}

/// There is no template id on the wire; this one is the template that is made here.
const V5_TEMPLATE: TemplateId = TemplateId::constant(65_535);
const HEADER_LENGTH: usize = 24;
const RECORD_LENGTH: usize = 48;
const REBUILT_LENGTH: usize = RECORD_LENGTH + 5;

/// The record's fields in order, then what was appended.
const FIELDS: [(ElementKey, u16); 24] = [
    (ElementKey::iana(8), 4),
    (ElementKey::iana(12), 4),
    (ElementKey::iana(15), 4),
    (ElementKey::iana(10), 2),
    (ElementKey::iana(14), 2),
    (ElementKey::iana(2), 4),
    (ElementKey::iana(1), 4),
    (date_element(FIRST_SWITCHED), 4),
    (date_element(LAST_SWITCHED), 4),
    (ElementKey::iana(7), 2),
    (ElementKey::iana(11), 2),
    (ElementKey::iana(210), 1),
    (ElementKey::iana(6), 1),
    (ElementKey::iana(4), 1),
    (ElementKey::iana(5), 1),
    (ElementKey::iana(16), 2),
    (ElementKey::iana(17), 2),
    (ElementKey::iana(9), 1),
    (ElementKey::iana(13), 1),
    (ElementKey::iana(210), 2),
    (ElementKey::iana(38), 1),
    (ElementKey::iana(39), 1),
    (ElementKey::iana(35), 1),
    (ElementKey::iana(34), 2),
];
