//! Template records onto the wire; the drawing is in `read.rs`.

use super::read::ENTERPRISE_BIT;
use super::{FieldSpecifier, Template};

/// Appends a template record.
pub(crate) fn write_template(out: &mut Vec<u8>, template: &Template) {
    out.extend(template.id.number().to_be_bytes());
    // A template that fits a message has fewer than 65,536 fields: each takes four octets.
    out.extend(u16::try_from(template.fields.len()).unwrap_or(u16::MAX).to_be_bytes());
    if template.is_options() {
        out.extend(template.scope_fields.to_be_bytes());
    }
    for field in &template.fields {
        write_field_specifier(out, *field);
    }
}

/// Appends a field specifier; the enterprise number only where it is not IANA's.
pub(crate) fn write_field_specifier(out: &mut Vec<u8>, field: FieldSpecifier) {
    let FieldSpecifier { element, length } = field;
    let bit = if element.enterprise == 0 { 0 } else { ENTERPRISE_BIT };
    out.extend((element.id | bit).to_be_bytes());
    out.extend(length.to_be_bytes());
    if element.enterprise != 0 {
        out.extend(element.enterprise.to_be_bytes());
    }
}
