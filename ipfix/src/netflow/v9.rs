//! NetFlow version 9: header and template flowsets (RFC 3954 section 5).
//!
//! ```text
//! | version 9 | count | sysUptime ms | seconds since 1970 | sequence: messages | source id |
//! template:  | id | field count | ( type | length ) … |
//! options:   | id | octets of scope fields | octets of option fields | ( scope type | length ) … ( type | length ) … |
//! ```
//! Field types are numbers of IANA's registry; there is no enterprise bit.

use super::Uptime;
use crate::element::ElementKey;
use crate::error::{DecodeError, TemplateFault};
use crate::message::{MessageHeader, Version};
use crate::reader::Reader;
use crate::template::{FieldSpecifier, Template, TemplateId, TemplateRecord};

/// Reads the header; what follows are flowsets, which look like sets.
pub(crate) fn read_v9_header(octets: &[u8]) -> Result<(MessageHeader, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(octets);
    let version = reader.u16("version")?;
    if version != Version::NetFlow9.number() {
        return Err(DecodeError::Version(version));
    }
    // Exporters do not agree on what is counted; the flowsets' own lengths are what counts.
    reader.u16("record count")?;
    let uptime_ms = reader.u32("system uptime")?;
    let export_time = reader.u32("export time")?;
    let sequence = reader.u32("sequence number")?;
    let domain = reader.u32("source id")?;
    let uptime = Some(Uptime { export_ms: u64::from(export_time) * 1_000, uptime_ms });
    Ok((MessageHeader { version: Version::NetFlow9, export_time, sequence, domain, uptime }, reader))
}

/// The next record of a template flowset; none where only padding is left.
pub(crate) fn read_v9_template(
    reader: &mut Reader<'_>,
    options: bool,
    most_fields: usize,
) -> Result<Option<TemplateRecord>, DecodeError> {
    let header = if options { 6 } else { 4 };
    if reader.len() < header || reader.rest().iter().all(|octet| *octet == 0) {
        return Ok(None);
    }
    let offset = reader.offset();
    let id = reader.u16("template id")?;
    let fault = |fault| DecodeError::Template { id, offset, fault };
    let (scope_fields, field_count) = if options {
        let scope = reader.u16("octets of scope fields")? / FIELD_LENGTH;
        (scope, scope.saturating_add(reader.u16("octets of option fields")? / FIELD_LENGTH))
    } else {
        (0, reader.u16("field count")?)
    };
    if usize::from(field_count) > most_fields {
        return Err(fault(TemplateFault::TooManyFields));
    }
    let mut fields =
        Vec::with_capacity(usize::from(field_count).min(reader.len() / usize::from(FIELD_LENGTH)));
    for place in 0..field_count {
        let kind = reader.u16("field type")?;
        let length = reader.u16("field length")?;
        let element = if place < scope_fields { scope_element(kind) } else { date_element(kind) };
        fields.push(FieldSpecifier { element, length });
    }
    let template = TemplateId::try_from(id).and_then(|id| Template::checked(id, scope_fields, fields));
    template.map(|template| Some(TemplateRecord::Defined(template))).map_err(fault)
}

/// Scope types (RFC 3954 section 6.1) have numbers of their own; these are the elements that mean the same.
const fn scope_element(kind: u16) -> ElementKey {
    match kind {
        1 => ElementKey::iana(144),
        2 => ElementKey::iana(10),
        3 => ElementKey::iana(141),
        4 => ElementKey::iana(143),
        5 => ElementKey::iana(145),
        other => ElementKey::iana(other),
    }
}

/// Moments since the exporter started become the elements of dates; any other type is its own element.
pub(super) const fn date_element(kind: u16) -> ElementKey {
    match kind {
        LAST_SWITCHED => ElementKey::iana(153),
        FIRST_SWITCHED => ElementKey::iana(152),
        other => ElementKey::iana(other),
    }
}

/// Flowset id of templates.
pub(crate) const TEMPLATE_FLOWSET: u16 = 0;
/// Flowset id of options templates.
pub(crate) const OPTIONS_TEMPLATE_FLOWSET: u16 = 1;
/// Octets of a field in a template.
const FIELD_LENGTH: u16 = 4;
/// System uptime at the flow's last packet.
pub(super) const LAST_SWITCHED: u16 = 21;
/// System uptime at the flow's first packet.
pub(super) const FIRST_SWITCHED: u16 = 22;
