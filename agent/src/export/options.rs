//! The two options templates of the full profile, and their records.
//!
//! 258 says what our enterprise elements are (RFC 5610), so that a collector that never heard of them can name them;
//! 259 says what was not exported (RFC 7011 section 4.3).

use podflow_flow::Profile;
use podflow_flow::profile::{TEMPLATE_STATISTICS, TEMPLATE_TYPES};
use podflow_ipfix::ElementKey;
use podflow_ipfix::element::IANA;
use podflow_ipfix::error::TemplateFault;
use podflow_ipfix::registry::{Element, Registry};
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;

use crate::store::Tally;

/// The options templates of a profile; none for those that old collectors read.
pub(super) fn templates(profile: Profile) -> Result<Vec<Template>, TemplateFault> {
    if !profile.sends_options() {
        return Ok(Vec::new());
    }
    let fixed = |id, length| FieldSpecifier::new(ElementKey::new(IANA, id), length);
    let variable = |id| FieldSpecifier::variable(ElementKey::new(IANA, id));
    Ok(vec![
        // privateEnterpriseNumber and informationElementId as scope; data type, semantics, units, name.
        Template::options(
            types_id(),
            2,
            vec![fixed(346, 4), fixed(303, 2), fixed(339, 1), fixed(344, 1), fixed(345, 2), variable(341)],
        )?,
        // exportingProcessId as scope; notSentFlowTotalCount, notSentPacketTotalCount, notSentOctetTotalCount.
        Template::options(
            statistics_id(),
            1,
            vec![fixed(144, 4), fixed(166, 8), fixed(167, 8), fixed(168, 8)],
        )?,
    ])
}

/// One record for each enterprise element of a profile.
pub(super) fn types(profile: Profile, registry: &Registry) -> Vec<[Value<'static>; 6]> {
    let mut elements: Vec<ElementKey> = [true, false]
        .into_iter()
        .flat_map(|ipv4| profile.fields(ipv4).map(|(_, element)| element))
        .filter(|element| element.enterprise != IANA && element.enterprise != REVERSE)
        .collect();
    elements.sort_by_key(|element| (element.enterprise, element.id));
    elements.dedup();
    elements.into_iter().filter_map(|key| registry.lookup(key)).map(type_record).collect()
}

/// What was lost before it could be sent.
pub(super) fn statistics(tally: &Tally) -> [Value<'static>; 4] {
    [std::process::id().into(), tally.lost_flows, tally.lost_packets, tally.lost_octets].map(Value::Unsigned)
}

pub(super) const fn types_id() -> TemplateId {
    TemplateId::constant(TEMPLATE_TYPES)
}

pub(super) const fn statistics_id() -> TemplateId {
    TemplateId::constant(TEMPLATE_STATISTICS)
}

fn type_record(element: &Element) -> [Value<'static>; 6] {
    [
        Value::Unsigned(element.key.enterprise.into()),
        Value::Unsigned(element.key.id.into()),
        Value::Unsigned(element.data_type.number().into()),
        Value::Unsigned(element.semantics.number().into()),
        Value::Unsigned(element.units.number().into()),
        Value::String(element.name.to_string().into()),
    ]
}

/// Reverse elements are told by their rule (RFC 5103), not one by one.
const REVERSE: u32 = podflow_ipfix::element::REVERSE;
