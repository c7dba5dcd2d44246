//! The two options templates an exporter describes itself with: types of its own elements (RFC 5610 section 3.9) and
//! what it could not send (RFC 7011 section 4.3).

use crate::collect::NotSent;
use crate::element::ElementKey;
use crate::error::TemplateFault;
use crate::registry::Element;
use crate::template::{FieldSpecifier, Template, TemplateId};
use crate::value::Value;

/// The template of type information records: scope enterprise number and element id, then type, semantics, units,
/// range, name and description. libfixbuf takes only templates with all of these for type information.
///
/// # Errors
/// Never: the fields are constant.
pub fn type_information_template(id: TemplateId) -> Result<Template, TemplateFault> {
    let fixed = |(element, length)| FieldSpecifier::new(ElementKey::iana(element), length);
    let mut fields: Vec<FieldSpecifier> =
        [(346, 4), (303, 2), (339, 1), (344, 1), (345, 2), (342, 8), (343, 8)].map(fixed).to_vec();
    fields.extend([341, 340].map(|id| FieldSpecifier::variable(ElementKey::iana(id))));
    Template::options(id, 2, fields)
}

/// The type information record of an element: no range, no description.
pub fn type_information(element: &Element) -> [Value<'_>; 9] {
    [
        Value::Unsigned(element.key.enterprise.into()),
        Value::Unsigned(element.key.id.into()),
        Value::Unsigned(element.data_type.number().into()),
        Value::Unsigned(element.semantics.number().into()),
        Value::Unsigned(element.units.number().into()),
        Value::Unsigned(0),
        Value::Unsigned(0),
        Value::text(&element.name),
        Value::text(""),
    ]
}

/// The template of reliability statistics: scope exporting process, then the totals of flows, packets and octets that
/// were not sent.
///
/// # Errors
/// Never: the fields are constant.
pub fn reliability_template(id: TemplateId) -> Result<Template, TemplateFault> {
    let fixed = |(element, length)| FieldSpecifier::new(ElementKey::iana(element), length);
    Template::options(id, 1, [(144, 4), (166, 8), (167, 8), (168, 8)].map(fixed).to_vec())
}

/// The reliability statistics of an exporting process.
pub const fn reliability(exporting_process: u32, not_sent: NotSent) -> [Value<'static>; 4] {
    [
        Value::Unsigned(exporting_process as u64),
        Value::Unsigned(not_sent.flows),
        Value::Unsigned(not_sent.packets),
        Value::Unsigned(not_sent.octets),
    ]
}
