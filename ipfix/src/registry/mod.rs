//! Which element has which name and type.
//!
//! The standard tables are compiled in and shared by everybody; what a definition file or an exporter's type
//! information (RFC 5610) adds lies over them. Knows no template and no message.

mod standard;

mod definitions;

pub use definitions::{DefinitionError, add_definitions};

use std::borrow::Cow;
use std::collections::HashMap;

use crate::data_type::{DataType, Semantics, Units};
use crate::element::ElementKey;

/// One Information Element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Element {
    /// Enterprise number and id.
    pub key: ElementKey,
    /// The name, as in `octetDeltaCount`; a reverse element's begins with `reverse`.
    pub name: Cow<'static, str>,
    /// What its octets mean.
    pub data_type: DataType,
    /// Counter, identifier, flags, …
    pub semantics: Semantics,
    /// Octets, packets, …
    pub units: Units,
}

/// The elements a session knows: the standard ones, and those that were added.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    added: HashMap<ElementKey, Element>,
}

impl Registry {
    /// IANA's elements, their reverses under enterprise 29305, and Antrea's under 55829 and 56506.
    pub fn standard() -> Self {
        Self::default()
    }

    /// The element of a key, none where nobody has said what it is.
    pub fn lookup(&self, key: ElementKey) -> Option<&Element> {
        self.added.get(&key).or_else(|| standard::BY_KEY.get(&key))
    }

    /// The element of a name among those of one enterprise; of the standard tables and the added ones.
    pub fn by_name(&self, enterprise: u32, name: &str) -> Option<&Element> {
        let wanted = |element: &&Element| element.key.enterprise == enterprise && element.name == name;
        self.added.values().find(wanted).or_else(|| standard::BY_KEY.values().find(wanted))
    }

    /// Any element of a name, of whichever enterprise.
    pub fn named(&self, name: &str) -> Option<&Element> {
        let wanted = |element: &&Element| element.name == name;
        self.added.values().find(wanted).or_else(|| standard::BY_NAME.get(name).copied())
    }

    /// Adds an element, or gives a known one another name or type; answers what it had been.
    pub fn add(&mut self, element: Element) -> Option<Element> {
        let before = self.lookup(element.key).cloned();
        self.added.insert(element.key, element);
        before
    }

    /// How many elements are not of the standard tables, or differ from them.
    pub fn added_count(&self) -> usize {
        self.added.len()
    }

    /// The elements that are not of the standard tables, or differ from them; in no order.
    pub fn added(&self) -> impl Iterator<Item = &Element> {
        self.added.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::{ANTREA, ANTREA_LEGACY};

    #[test]
    fn every_line_of_the_tables_is_found() {
        let registry = Registry::standard();
        let iana = include_str!("../../data/iana-elements.csv");
        for line in iana.lines().skip(1) {
            let column: Vec<&str> = line.split(',').collect();
            let id = column[0].parse().unwrap();
            let element = registry.lookup(ElementKey::iana(id)).unwrap();
            assert_eq!((&*element.name, element.data_type.name()), (column[1], column[2]));
            let reverse = registry.lookup(ElementKey::reverse(id)).unwrap();
            assert!(reverse.name.strip_prefix("reverse").unwrap().eq_ignore_ascii_case(column[1]));
            assert_eq!(reverse.data_type, element.data_type);
        }
        let antrea = include_str!("../../data/antrea-elements.csv");
        for line in antrea.lines().skip(1) {
            let column: Vec<&str> = line.splitn(5, ',').collect();
            let key = ElementKey::new(column[0].parse().unwrap(), column[1].parse().unwrap());
            let element = registry.lookup(key).unwrap();
            assert_eq!((&*element.name, element.data_type.name()), (column[2], column[3]));
        }
    }

    #[test]
    fn the_same_id_under_two_enterprises_is_two_elements() {
        let registry = Registry::standard();
        assert_eq!(
            registry.lookup(ElementKey::new(ANTREA_LEGACY, 107)).unwrap().name,
            "destinationServicePort"
        );
        assert_eq!(registry.lookup(ElementKey::new(ANTREA, 107)).unwrap().name, "destinationClusterIPv6");
        assert_eq!(registry.lookup(ElementKey::iana(9_999)), None);
    }

    #[test]
    fn an_added_element_lies_over_the_standard_one() {
        let mut registry = Registry::standard();
        let mut element = registry.lookup(ElementKey::iana(1)).unwrap().clone();
        element.name = "in_bytes".into();
        assert_eq!(registry.add(element).unwrap().name, "octetDeltaCount");
        assert_eq!(registry.lookup(ElementKey::iana(1)).unwrap().name, "in_bytes");
        assert_eq!(registry.by_name(0, "in_bytes").unwrap().key, ElementKey::iana(1));
    }
}
