//! Which fields a template carries: the three wire profiles an operator chooses from.

use podflow_ipfix::ElementKey;
use podflow_ipfix::error::TemplateFault;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};

use podflow_ipfix::value::Value;

use crate::field::{FIELDS, Family, Field, V09_FIELDS};
use crate::record::FlowRecord;

/// A wire profile (`podflow.template` in the agent's configuration).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Profile {
    /// Every field of the table, and two options templates.
    #[default]
    Full,
    /// The 23 elements of Antrea v0.9, nothing else.
    V09,
    /// Every field, all Kubernetes elements under 56506.
    Antrea,
}

impl Profile {
    /// The profile of a configured word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "full" => Some(Self::Full),
            "v0.9" => Some(Self::V09),
            "antrea" => Some(Self::Antrea),
            _ => None,
        }
    }

    /// The words of [`Profile::parse`].
    pub const WORDS: [&'static str; 3] = ["full", "v0.9", "antrea"];

    /// The fields of one address family's template, in the order of the wire, each with the element that
    /// this profile sends for it.
    pub fn fields(self, ipv4: bool) -> impl Iterator<Item = (&'static Field, ElementKey)> {
        let table = if self == Self::V09 { &FIELDS[..V09_FIELDS] } else { FIELDS };
        let other = if ipv4 { Family::V6 } else { Family::V4 };
        table.iter().filter(move |field| field.family != other).map(move |field| {
            let element = match (self, field.antrea) {
                (Self::Antrea, Some((element, _))) => element,
                _ => field.element,
            };
            (field, element)
        })
    }

    /// The template of one address family, 256 or 257.
    ///
    /// # Errors
    /// Never for the profiles as they are; a template is checked wherever one is made.
    pub fn template(self, ipv4: bool) -> Result<Template, TemplateFault> {
        let id = TemplateId::constant(if ipv4 { TEMPLATE_IPV4 } else { TEMPLATE_IPV6 });
        let specifiers = self.fields(ipv4).map(|(field, element)| FieldSpecifier::new(element, field.length));
        Template::new(id, specifiers.collect())
    }

    /// The values of a record, in the order of its template's fields.
    pub fn values<'r>(self, record: &'r FlowRecord<'r>) -> impl Iterator<Item = Value<'r>> {
        self.fields(record.is_ipv4()).map(|(field, _)| (field.value)(record))
    }

    /// Whether options templates are sent; old collectors take their records for flows.
    pub const fn sends_options(self) -> bool {
        matches!(self, Self::Full)
    }
}

/// Template of IPv4 flow records.
pub const TEMPLATE_IPV4: u16 = 256;
/// Template of IPv6 flow records.
pub const TEMPLATE_IPV6: u16 = 257;
/// Options template of RFC 5610 type information.
pub const TEMPLATE_TYPES: u16 = 258;
/// Options template of the exporting process's reliability statistics (RFC 7011 section 4.3).
pub const TEMPLATE_STATISTICS: u16 = 259;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use podflow_ipfix::export::{ExportSettings, ExportingSession};
    use podflow_ipfix::registry::Registry;

    use super::*;
    use crate::field::VARIABLE;
    use crate::kind::FlowType;

    #[test]
    fn v09_is_the_documented_list() {
        let ids: Vec<String> = Profile::V09.fields(true).map(|(_, element)| element.to_string()).collect();
        assert_eq!(
            ids.join(" "),
            "0/150 0/151 0/8 0/12 0/7 0/11 0/4 0/86 0/85 0/2 0/1 29305/86 29305/85 29305/2 29305/1 \
             55829/101 55829/100 55829/104 55829/103 55829/102 55829/105 55829/106 55829/108"
        );
        assert_eq!(Profile::V09.fields(false).count(), 22);
    }

    #[test]
    fn full_appends_to_v09() {
        for ipv4 in [true, false] {
            let old: Vec<_> = Profile::V09.fields(ipv4).map(|(_, element)| element).collect();
            let full: Vec<_> = Profile::Full.fields(ipv4).map(|(_, element)| element).collect();
            assert_eq!(full[..old.len()], old);
            assert_eq!(full.iter().collect::<HashSet<_>>().len(), full.len(), "an element stands twice");
        }
    }

    #[test]
    fn names_lengths_and_types_are_those_of_the_registry() {
        let registry = Registry::standard();
        for field in FIELDS {
            let elements = [Some((field.element, field.name)), field.antrea];
            for (key, name) in elements.into_iter().flatten() {
                let element = registry.lookup(key).unwrap_or_else(|| panic!("{key} is not in the registry"));
                assert_eq!(element.name, name, "{key}");
                // Seconds are shorter on our wire than their abstract type; all others have its length.
                let natural = element.data_type.natural_length().unwrap_or(VARIABLE);
                assert_eq!(field.length, natural, "{key} {name}");
            }
        }
    }

    #[test]
    fn every_value_fits_its_template() {
        for profile in [Profile::Full, Profile::V09, Profile::Antrea] {
            for address in ["10.0.0.1", "fd00::1"] {
                let record = sample(address.parse().unwrap());
                let template = profile.template(record.is_ipv4()).unwrap();
                let mut session = ExportingSession::new(
                    ExportSettings::stream(1),
                    vec![template.clone()],
                    &Registry::standard(),
                )
                .unwrap();
                session.add(0, template.id(), profile.values(&record)).unwrap();
                assert_eq!(profile.values(&record).count(), template.fields().len());
            }
        }
    }

    fn sample(address: std::net::IpAddr) -> FlowRecord<'static> {
        FlowRecord {
            source_pod_namespace: "n",
            source_pod_name: "p",
            source_node_name: "a",
            tcp_state: "ESTABLISHED",
            flow_type: FlowType::InterNode,
            ..FlowRecord::between(address, address)
        }
    }

    #[test]
    fn antrea_sends_nothing_under_the_old_number() {
        assert!(Profile::Antrea.fields(true).all(|(_, element)| element.enterprise != 55_829));
        let port = Profile::Antrea.fields(true).find(|(f, _)| f.name == "destinationServicePort");
        assert_eq!(port.map(|(_, element)| element.to_string()).as_deref(), Some("56506/108"));
    }

    #[test]
    fn every_word_is_a_profile() {
        for word in Profile::WORDS {
            assert!(Profile::parse(word).is_some(), "{word}");
        }
        assert_eq!(Profile::parse("v9"), None);
    }
}
