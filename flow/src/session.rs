//! An exporting session of a profile: its templates, and where it sends options, what its elements are called.
//!
//! The agent adds records and the numbers of what it could not send; tests send the same octets as the agent does.

use podflow_ipfix::element::{ElementKey, IANA, REVERSE};
use podflow_ipfix::error::{EncodeError, TemplateFault};
use podflow_ipfix::export::{
    ExportSettings, ExportingSession, reliability_template, type_information, type_information_template,
};
use podflow_ipfix::registry::{Element, Registry};
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use thiserror::Error;

use crate::profile::{Profile, TEMPLATE_STATISTICS, TEMPLATE_TYPES};

/// Why a session could not be made; never with the profiles as they are, unless messages are to be very short.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SessionError {
    /// A template that cannot be.
    #[error("making a template: {0}")]
    Template(#[from] TemplateFault),
    /// A template or description that does not fit a message.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The reliability statistics' template (RFC 7011 section 4.3), in profiles that send options.
pub const STATISTICS: TemplateId = TemplateId::constant(TEMPLATE_STATISTICS);
/// The type information's template (RFC 5610), in profiles that send options.
const TYPES: TemplateId = TemplateId::constant(TEMPLATE_TYPES);

/// A session that begins with the profile's templates. A dateTimeSeconds (flowStartSeconds 150, flowEndSeconds 151) has
/// so many octets, 4 or 8: collectors with Antrea's old definitions take them for numbers of eight.
///
/// # Errors
/// When the messages of `settings` are too short for it.
pub fn session(
    profile: Profile,
    seconds_octets: u16,
    settings: ExportSettings,
) -> Result<ExportingSession, SessionError> {
    let registry = Registry::standard();
    let mut templates = Vec::with_capacity(4);
    for ipv4 in [true, false] {
        templates.push(with_seconds(&profile.template(ipv4)?, seconds_octets)?);
    }
    if profile.sends_options() {
        templates.extend([type_information_template(TYPES)?, reliability_template(STATISTICS)?]);
    }
    let mut session = ExportingSession::new(settings, templates, &registry)?;
    if profile.sends_options() {
        session.set_standing(TYPES, enterprise_elements(profile, &registry).map(type_information))?;
    }
    Ok(session)
}

fn with_seconds(template: &Template, octets: u16) -> Result<Template, TemplateFault> {
    let fields = template.fields().iter().map(|field| {
        let is_seconds = field.element.enterprise == IANA && matches!(field.element.id, 150 | 151);
        if is_seconds { FieldSpecifier::new(field.element, octets) } else { *field }
    });
    Template::new(template.id(), fields.collect())
}

/// The elements of a profile that a collector may never have heard of. Reverse elements are told by their rule
/// (RFC 5103), not one by one.
fn enterprise_elements(profile: Profile, registry: &Registry) -> impl Iterator<Item = &Element> {
    let mut elements: Vec<ElementKey> = [true, false]
        .into_iter()
        .flat_map(|ipv4| profile.fields(ipv4).map(|(_, element)| element))
        .filter(|element| element.enterprise != IANA && element.enterprise != REVERSE)
        .collect();
    elements.sort_by_key(|element| (element.enterprise, element.id));
    elements.dedup();
    elements.into_iter().filter_map(|key| registry.lookup(key))
}
