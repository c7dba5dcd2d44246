//! What options records say about the exporter that we use ourselves: its elements' names and types (RFC 5610), what
//! it could not send (RFC 7011 section 4.3), how it samples (RFC 5476 section 6.5, NetFlow's sampler tables).

use std::collections::BTreeMap;

use super::record::DataRecord;
use crate::data_type::{DataType, Semantics, Units};
use crate::element::ElementKey;
use crate::registry::{Element, Registry};
use crate::value::Value;

/// What an observation domain's options records have said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExporterOptions {
    /// What the exporting process could not send.
    pub not_sent: Option<NotSent>,
    /// How packets are sampled, by selector (or sampler) id; 0 where the record names none.
    pub sampling: BTreeMap<u64, Sampling>,
}

/// The exporting process's reliability statistics (RFC 7011 section 4.3): totals since it started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NotSent {
    /// notSentFlowTotalCount.
    pub flows: u64,
    /// notSentPacketTotalCount.
    pub packets: u64,
    /// notSentOctetTotalCount.
    pub octets: u64,
}

/// How packets are sampled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sampling {
    /// selectorAlgorithm or samplingAlgorithm.
    pub algorithm: Option<u64>,
    /// One packet of so many is seen.
    pub interval: u64,
}

/// What the options records of one message said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) elements: Vec<Element>,
    pub(super) not_sent: Option<NotSent>,
    sampling: Vec<(u64, Sampling)>,
}

impl Heard {
    /// Listens to a record; only options records say anything.
    pub(super) fn note(&mut self, record: &DataRecord<'_>) {
        if !record.is_options() {
            return;
        }
        let mut facts = Facts::default();
        for (field, value) in record.fields() {
            facts.note(field.key, &value);
        }
        self.elements.extend(facts.element());
        self.not_sent = facts.not_sent().or(self.not_sent);
        self.sampling.extend(facts.sampling());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.elements.is_empty() && self.not_sent.is_none() && self.sampling.is_empty()
    }

    /// Adds what was heard to what is known of the domain.
    pub(super) fn tell(&self, options: &mut ExporterOptions) {
        options.not_sent = self.not_sent.or(options.not_sent);
        for (selector, sampling) in &self.sampling {
            if options.sampling.len() < MOST_SELECTORS || options.sampling.contains_key(selector) {
                options.sampling.insert(*selector, *sampling);
            }
        }
    }
}

/// Whether an exporter's description of an element is to be believed: what is known already stays as it is, and a
/// name that means something else, or could not be a field's name, is not taken.
pub(super) fn is_acceptable(element: &Element, registry: &Registry) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let name = &element.name;
    (1..=LONGEST_NAME).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(letter)
        && registry.lookup(element.key).is_none()
        && registry.named(name).is_none_or(|known| known.data_type == element.data_type)
}

/// The fields of one options record that matter here.
#[derive(Debug, Default)]
struct Facts {
    numbers: BTreeMap<u16, u64>,
    name: Option<String>,
}

impl Facts {
    fn note(&mut self, key: ElementKey, value: &Value<'_>) {
        match value {
            Value::Unsigned(number) if key.enterprise == 0 => drop(self.numbers.insert(key.id, *number)),
            Value::String(text) if key == ELEMENT_NAME => {
                // A fixed-length name is filled up with zeros.
                self.name = Some(text.trim_end_matches('\0').to_owned());
            }
            _ => {}
        }
    }

    fn number(&self, id: u16) -> Option<u64> {
        self.numbers.get(&id).copied()
    }

    /// RFC 5610 section 3.9: enterprise number, id, type, semantics, units, name.
    fn element(&self) -> Option<Element> {
        let enterprise = u32::try_from(self.number(346)?).ok()?;
        let id = u16::try_from(self.number(303)?).ok()? & 0x7fff;
        Some(Element {
            key: ElementKey::new(enterprise, id),
            name: self.name.clone()?.into(),
            data_type: DataType::from_number(self.number(339)?)?,
            semantics: self.number(344).and_then(Semantics::from_number).unwrap_or(Semantics::Default),
            units: self.number(345).and_then(Units::from_number).unwrap_or(Units::None),
        })
    }

    fn not_sent(&self) -> Option<NotSent> {
        let totals = [166, 167, 168].map(|id| self.number(id));
        totals.iter().any(Option::is_some).then(|| {
            let [flows, packets, octets] = totals.map(Option::unwrap_or_default);
            NotSent { flows, packets, octets }
        })
    }

    fn sampling(&self) -> Option<(u64, Sampling)> {
        // samplingPacketInterval packets are taken, then samplingPacketSpace left out (RFC 5477 section 8.2).
        let spaced = match (self.number(305), self.number(306)) {
            (Some(taken @ 1..), Some(left)) => Some(taken.saturating_add(left) / taken),
            _ => None,
        };
        let interval = spaced.or_else(|| self.number(50)).or_else(|| self.number(34))?;
        let algorithm = [304, 49, 35].iter().find_map(|id| self.number(*id));
        let selector = self.number(302).or_else(|| self.number(48)).unwrap_or(0);
        Some((selector, Sampling { algorithm, interval }))
    }
}

/// informationElementName.
const ELEMENT_NAME: ElementKey = ElementKey::iana(341);
/// Octets of a name: IANA's longest has 47.
pub(super) const LONGEST_NAME: usize = 128;
/// Selectors of one domain: a chassis has one for each interface.
const MOST_SELECTORS: usize = 1_024;
