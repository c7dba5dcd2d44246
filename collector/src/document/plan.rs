//! How the records of one template become lines of JSON: worked out once, for each record only followed.
//!
//! Templates whose records need more than that (unknown or repeated elements, two addresses of one role, NetFlow's own
//! times) have no plan; their records take the way over a document, which gives the same octets.

use std::collections::HashMap;
use std::sync::Arc;

use podflow_ipfix::collect::DataRecord;
use podflow_ipfix::data_type::DataType;
use podflow_ipfix::message::Version;
use podflow_ipfix::template::{CompiledTemplate, TemplateField};

use super::keys::KeyText;
use super::names::FILLED;
use super::record;
use super::role::{ROLES, Role};
use super::shape;

/// What to do with each field of a record.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// The step of each role.
    places: [Option<u16>; ROLES],
    /// Whether the template has the counters of the destination's Node apart.
    pub(crate) has_other_counters: bool,
    /// Whether the template says itself how packets were sampled.
    pub(crate) has_sampling: bool,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    /// Octets in each record, as [`TemplateField::length`].
    pub(crate) length: u16,
    pub(crate) role: Option<Role>,
    /// Whether the field stays although its address is all zeroes.
    pub(crate) keeps_zero: bool,
    /// Where in [`FILLED`] its role stands.
    pub(crate) filled: Option<u8>,
    /// Where a record read keeps the text or the address of its role.
    pub(crate) kept: Option<u8>,
    key: StepKey,
}

/// `,"name":` and, before what is always quoted, the quote.
#[derive(Debug)]
enum StepKey {
    Short(KeyText),
    Long(Box<[u8]>),
}

impl Step {
    /// Appends the key.
    #[inline]
    pub(crate) fn write_key(&self, out: &mut Vec<u8>) {
        match &self.key {
            StepKey::Short(key) => key.write(out),
            StepKey::Long(key) => out.extend_from_slice(key),
        }
    }
}

impl StepKey {
    fn new(key: Vec<u8>) -> Self {
        KeyText::new(&key).map_or_else(|| Self::Long(key.into()), Self::Short)
    }
}

/// How a field's octets are read and written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Says nothing.
    Padding,
    Unsigned,
    Seconds,
    Milliseconds,
    Ipv4,
    Ipv6,
    Text,
    /// By way of a document's value.
    Other,
}

impl Plan {
    /// The plan for records like this one; `None` where there is none.
    fn of(record: &DataRecord<'_>) -> Option<Self> {
        let template = record.template();
        if record.version() != Version::Ipfix || template.is_options() {
            return None;
        }
        let mut plan =
            Self { steps: Vec::new(), places: [None; ROLES], has_other_counters: false, has_sampling: false };
        for (place, field) in template.fields().iter().enumerate() {
            if !field.known || field.repeated {
                return None;
            }
            let kind = if field.key == shape::PADDING { Kind::Padding } else { kind(field) };
            let role = if kind == Kind::Padding { None } else { Role::of(field.key) };
            if let Some(role) = role {
                let before = plan.places[role as usize].replace(u16::try_from(place).ok()?);
                // Which of two addresses counts depends on the record. Of two times the later one does.
                let two_addresses = before.is_some() && matches!(kind, Kind::Ipv4 | Kind::Ipv6 | Kind::Text);
                if kind == Kind::Other || two_addresses {
                    return None;
                }
            }
            let mut key = vec![b','];
            super::json::string(&field.name, &mut key);
            key.push(b':');
            let filled = role.and_then(|role| FILLED.iter().position(|(other, _)| *other == role));
            let filled = filled.and_then(|place| u8::try_from(place).ok());
            if filled.is_none() && !matches!(kind, Kind::Unsigned | Kind::Other) {
                key.push(b'"');
            }
            plan.has_sampling |= field.name == shape::SAMPLING_INTERVAL;
            plan.has_other_counters |= field.name.ends_with(shape::OF_DESTINATION_NODE);
            let keeps_zero = shape::keeps_zero_address(field.key);
            plan.steps.push(Step {
                kind,
                length: field.length,
                role,
                keeps_zero,
                filled,
                kept: role.and_then(|role| record::place(kind, role)),
                key: StepKey::new(key),
            });
        }
        Some(plan)
    }

    /// Where the role's field stands in the template.
    pub(crate) fn place(&self, role: Role) -> Option<usize> {
        self.places[role as usize].map(usize::from)
    }
}

fn kind(field: &TemplateField) -> Kind {
    match (field.data_type, field.length) {
        (DataType::Unsigned8 | DataType::Unsigned16 | DataType::Unsigned32 | DataType::Unsigned64, 1..=8) => {
            Kind::Unsigned
        }
        (DataType::DateTimeSeconds, 1..=8) => Kind::Seconds,
        (DataType::DateTimeMilliseconds, 1..=8) => Kind::Milliseconds,
        (DataType::Ipv4Address, 4) => Kind::Ipv4,
        (DataType::Ipv6Address, 16) => Kind::Ipv6,
        (DataType::String, _) => Kind::Text,
        _ => Kind::Other,
    }
}

/// The plans of the templates that were met.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    plans: HashMap<usize, Known>,
    last: Option<Known>,
}

/// A template and its plan. As long as the template is kept here, no other has its address.
#[derive(Clone, Debug)]
struct Known {
    template: Arc<CompiledTemplate>,
    plan: Option<Arc<Plan>>,
}

impl Plans {
    /// The plan for a record.
    pub(crate) fn of(&mut self, record: &DataRecord<'_>) -> Option<&Arc<Plan>> {
        let template = record.shared_template();
        if !self.last.as_ref().is_some_and(|last| Arc::ptr_eq(&last.template, template)) {
            self.last = Some(self.known(record));
        }
        self.last.as_ref().and_then(|last| last.plan.as_ref())
    }

    fn known(&mut self, record: &DataRecord<'_>) -> Known {
        let template = record.shared_template();
        let address = Arc::as_ptr(template).addr();
        if let Some(known) = self.plans.get(&address) {
            return known.clone();
        }
        if self.plans.len() >= PLANS {
            // First those whose template nobody else has any more.
            self.plans.retain(|_, known| Arc::strong_count(&known.template) > 1);
            if self.plans.len() >= PLANS {
                self.plans.clear();
            }
        }
        let known = Known { template: Arc::clone(template), plan: Plan::of(record).map(Arc::new) };
        self.plans.insert(address, known.clone());
        known
    }
}

/// A thousand exporters with two templates each, and room; a plan takes some 3 kB.
const PLANS: usize = 4096;
