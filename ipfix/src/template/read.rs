//! Template records as they stand in a set (RFC 7011 section 3.4).
//!
//! ```text
//! +-------------------------------+-------------------------------+
//! |      template id (>= 256)     |         field count           |   options templates: a third number, the
//! +-------------------------------+-------------------------------+   scope field count
//! |E|    information element id   |         field length          |
//! +-------------------------------+-------------------------------+
//! |               enterprise number, where E is set               |
//! +---------------------------------------------------------------+
//! ```

use super::{FieldSpecifier, Template, TemplateId};
use crate::element::ElementKey;
use crate::error::{DecodeError, TemplateFault};
use crate::message::{OPTIONS_TEMPLATE_SET, TEMPLATE_SET};
use crate::reader::Reader;

/// One record of a template set or an options template set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum TemplateRecord {
    /// Defines a template.
    Defined(Template),
    /// Withdraws one template (RFC 7011 section 8.1: field count 0).
    Withdrawn(TemplateId),
    /// Withdraws all data templates (`id` is that of the set, field count 0).
    AllWithdrawn,
    /// Withdraws all options templates.
    AllOptionsWithdrawn,
}

/// The next record of a (options) template set; none where only padding is left.
pub(crate) fn read_template_record(
    reader: &mut Reader<'_>,
    options: bool,
    most_fields: usize,
) -> Result<Option<TemplateRecord>, DecodeError> {
    if reader.len() < 4 || reader.rest().iter().all(|octet| *octet == 0) {
        return Ok(None);
    }
    let offset = reader.offset();
    let id = reader.u16("template id")?;
    let field_count = reader.u16("field count")?;
    if field_count == 0 {
        return withdrawal(id, options, offset).map(Some);
    }
    let fault = |fault| DecodeError::Template { id, offset, fault };
    let id = TemplateId::try_from(id).map_err(fault)?;
    let scope_fields = if options { reader.u16("scope field count")? } else { 0 };
    if options && scope_fields == 0 {
        return Err(fault(TemplateFault::NoScope));
    }
    if usize::from(field_count) > most_fields {
        return Err(fault(TemplateFault::TooManyFields));
    }
    // Not more room than the octets at hand can fill: a field takes at least four.
    let mut fields = Vec::with_capacity(usize::from(field_count).min(reader.len() / 4));
    for _ in 0..field_count {
        fields.push(read_field_specifier(reader)?);
    }
    Template::checked(id, scope_fields, fields)
        .map(|template| Some(TemplateRecord::Defined(template)))
        .map_err(fault)
}

/// A field specifier: the enterprise number follows when the top bit of the id is set.
pub(crate) fn read_field_specifier(reader: &mut Reader<'_>) -> Result<FieldSpecifier, DecodeError> {
    let id = reader.u16("information element id")?;
    let length = reader.u16("field length")?;
    let enterprise = if id & ENTERPRISE_BIT == 0 { 0 } else { reader.u32("enterprise number")? };
    Ok(FieldSpecifier { element: ElementKey::new(enterprise, id & !ENTERPRISE_BIT), length })
}

fn withdrawal(id: u16, options: bool, offset: usize) -> Result<TemplateRecord, DecodeError> {
    match (id, options) {
        (TEMPLATE_SET, false) => Ok(TemplateRecord::AllWithdrawn),
        (OPTIONS_TEMPLATE_SET, true) => Ok(TemplateRecord::AllOptionsWithdrawn),
        _ => TemplateId::try_from(id).map(TemplateRecord::Withdrawn).map_err(|fault| DecodeError::Template {
            id,
            offset,
            fault,
        }),
    }
}

/// The top bit of an element id: an enterprise number follows.
pub(crate) const ENTERPRISE_BIT: u16 = 0x8000;
