//! The elements as a definition file of Logstash's netflow codec (ipfix.yml), made from the tables.
//!
//! The file is the same for stock Logstash and for our collector: enterprise number, element id, type symbol, name
//! symbol. The codec refuses a template with an element that it does not know, so that every element of our
//! profiles stands there, and every element of Antrea's, whose agents and Flow Aggregators send to it, too.

use std::collections::BTreeMap;

use podflow_ipfix::ElementKey;
use podflow_ipfix::data_type::DataType;
use podflow_ipfix::element::{ANTREA, ANTREA_LEGACY};
use podflow_ipfix::registry::{Element, Registry};

use crate::field::FIELDS;

/// The whole file, as YAML.
pub fn yaml() -> String {
    let registry = Registry::standard();
    let ours = FIELDS.iter().flat_map(|field| [Some(field.element), field.antrea.map(|(key, _)| key)]);
    let antrea = [ANTREA_LEGACY, ANTREA].into_iter();
    let antreas = antrea.flat_map(|enterprise| IDS.map(move |id| Some(ElementKey::new(enterprise, id))));
    let elements: BTreeMap<ElementKey, &Element> = ours
        .chain(antreas)
        .flatten()
        .filter_map(|key| Some((key, registry.lookup(key)?)))
        .filter(|(_, element)| symbol(element.data_type).is_some())
        .collect();

    let mut file = HEAD.to_owned();
    let mut enterprise = None;
    for (key, element) in elements {
        if enterprise.replace(key.enterprise) != Some(key.enterprise) {
            file.push_str(&format!("{}:\n", key.enterprise));
        }
        let symbol = symbol(element.data_type).unwrap_or_default();
        file.push_str(&format!("  {}: [{symbol}, :{}]\n", key.id, element.name));
    }
    file
}

/// The codec's word for a type. The length is the template's: the codec takes `:uint16` to `:uint64` and strings as
/// long as they come, and makes dates of the numbers in elements that are named as times.
const fn symbol(data_type: DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Unsigned8 | DataType::Boolean => ":uint8",
        DataType::Unsigned16 => ":uint16",
        DataType::Unsigned32 | DataType::DateTimeSeconds => ":uint32",
        DataType::Unsigned64
        | DataType::DateTimeMilliseconds
        | DataType::DateTimeMicroseconds
        | DataType::DateTimeNanoseconds => ":uint64",
        DataType::Signed8 => ":int8",
        DataType::Signed16 => ":int16",
        DataType::Signed32 => ":int32",
        DataType::Signed64 => ":int64",
        DataType::Ipv4Address => ":ip4_addr",
        DataType::Ipv6Address => ":ip6_addr",
        DataType::MacAddress => ":mac_addr",
        DataType::String => ":string",
        DataType::OctetArray => ":octetarray",
        _ => return None,
    })
}

/// Antrea's elements have ids in here, under both of its numbers.
const IDS: std::ops::Range<u16> = 0..1_000;

const HEAD: &str = "\
# IPFIX elements: enterprise number (0 is IANA, 29305 its reverse elements), element id, type and name.
# Made from the tables in flow/ and ipfix/; `PODFLOW_WRITE=1 cargo test -p podflow-flow` writes it anew. Elements of your own
# exporters can be added here; for both the collector and Logstash, a name says which field of the document it becomes.
---
";

#[cfg(test)]
mod tests {
    use podflow_ipfix::registry::add_definitions;

    use super::*;

    #[test]
    fn the_file_is_not_stale() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../build/yamls/elk-flow-collector/logstash/ipfix.yml");
        if std::env::var_os("PODFLOW_WRITE").is_some() {
            std::fs::write(path, yaml()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == yaml(), "ipfix.yml is stale: PODFLOW_WRITE=1 cargo test -p podflow-flow");
    }

    #[test]
    fn the_file_says_what_the_registry_knows() {
        let mut registry = Registry::standard();
        let count = add_definitions(&mut registry, "ipfix.yml", &yaml()).unwrap();
        assert_eq!(count, yaml().matches(", :").count());
        for field in FIELDS {
            let element = registry.lookup(field.element).unwrap();
            assert_eq!(element, Registry::standard().lookup(field.element).unwrap());
        }
    }

    #[test]
    fn every_field_and_every_element_of_antrea_stands_there() {
        let file = yaml();
        for field in FIELDS {
            assert!(file.contains(&format!(", :{}]", field.name)), "{}", field.name);
        }
        let table = include_str!("../../ipfix/data/antrea-elements.csv");
        for line in table.lines().skip(1) {
            let (id, name) = (line.split(',').nth(1).unwrap(), line.split(',').nth(2).unwrap());
            assert!(
                file.contains(&format!("  {id}: [:"))
                    && file.lines().any(|l| l.ends_with(&format!(", :{name}]"))),
                "{line}"
            );
        }
    }
}
