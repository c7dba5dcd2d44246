//! A template whose names and types have been looked up, ready to read records with.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{FieldSpecifier, Template, TemplateId, shortest};
use crate::data_type::DataType;
use crate::element::ElementKey;
use crate::error::DecodeError;
use crate::message::Version;
use crate::reader::{Reader, VARIABLE_LENGTH};
use crate::registry::Registry;

/// A field of a compiled template.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemplateField {
    /// Which element.
    pub key: ElementKey,
    /// Octets in each record, 65535 for variable length.
    pub length: u16,
    /// The element's name; `e<enterprise>id<id>` where it is not known.
    pub name: Cow<'static, str>,
    /// The element's type; octets where it is not known.
    pub data_type: DataType,
    /// Whether the registry knows the element.
    pub known: bool,
    /// Whether the template has this name in another field too: the values belong into one list.
    pub repeated: bool,
    /// Whether it belongs to the scope of an options record.
    pub scope: bool,
    /// Whether the record carries milliseconds since the exporter started, which become a date with the message's
    /// clock (NetFlow).
    pub since_start: bool,
}

/// A template ready to read records with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompiledTemplate {
    wire: Template,
    fields: Vec<TemplateField>,
    shortest: usize,
    /// So many octets, and then, but for the last, a field of variable length.
    strides: Vec<usize>,
    structured: bool,
}

impl CompiledTemplate {
    /// Looks up every field. The version decides what the times of a record are.
    pub fn new(wire: Template, version: Version, registry: &Registry) -> Self {
        let mut seen = HashSet::new();
        let mut twice = HashSet::new();
        let mut fields: Vec<TemplateField> = Vec::with_capacity(wire.fields.len());
        for (place, specifier) in wire.fields.iter().enumerate() {
            let mut field = compiled_field(*specifier, registry);
            field.scope = place < usize::from(wire.scope_fields);
            // Four octets in an element of dates: NetFlow's milliseconds since the exporter started.
            field.since_start = version != Version::Ipfix
                && field.length == 4
                && matches!(field.data_type, DataType::DateTimeMilliseconds);
            if !seen.insert(field.name.clone()) {
                twice.insert(field.name.clone());
            }
            fields.push(field);
        }
        for field in &mut fields {
            field.repeated = twice.contains(&field.name);
        }
        Self {
            shortest: wire.fields.iter().map(|field| shortest(*field)).sum(),
            strides: strides(&wire),
            structured: fields.iter().any(|field| field.data_type.is_structured()),
            fields,
            wire,
        }
    }

    /// Its id, unique in its session and observation domain.
    pub const fn id(&self) -> TemplateId {
        self.wire.id
    }

    /// Whether its records are options records.
    pub const fn is_options(&self) -> bool {
        self.wire.is_options()
    }

    /// The fields in the order of the record.
    pub fn fields(&self) -> &[TemplateField] {
        &self.fields
    }

    /// The template as it stood on the wire.
    pub const fn wire(&self) -> &Template {
        &self.wire
    }

    /// Octets of the shortest record; at least 1.
    pub const fn shortest_record(&self) -> usize {
        self.shortest
    }

    /// Whether a field is a list of RFC 6313, whose inside has to be checked too.
    pub(crate) const fn is_structured(&self) -> bool {
        self.structured
    }

    /// Whether a field's element was not known when the template was compiled.
    pub(crate) fn has_unknown(&self) -> bool {
        self.fields.iter().any(|field| !field.known)
    }

    /// Takes one record off a set.
    pub(crate) fn take_record<'a>(&self, reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
        if self.strides.len() == 1 {
            return reader.take(self.shortest, "record");
        }
        let (whole, before) = (reader.rest(), reader.len());
        if let Some(after) = self.behind_record(*reader) {
            *reader = after;
        } else {
            // Field by field, for what is wrong.
            for field in &self.fields {
                reader.field(field.length)?;
            }
        }
        Ok(whole.get(..before - reader.len()).unwrap_or_default())
    }

    fn behind_record<'a>(&self, mut reader: Reader<'a>) -> Option<Reader<'a>> {
        let (last, strides) = self.strides.split_last()?;
        for octets in strides {
            reader.skip(*octets)?;
            reader.measured(VARIABLE_LENGTH)?;
        }
        reader.skip(*last)?;
        Some(reader)
    }
}

fn strides(wire: &Template) -> Vec<usize> {
    let mut strides = vec![0];
    for field in &wire.fields {
        match strides.last_mut() {
            Some(stride) if field.length != VARIABLE_LENGTH => *stride += usize::from(field.length),
            _ => strides.push(0),
        }
    }
    strides
}

/// Name and type of a field, hex and octets where nobody knows them.
pub(crate) fn compiled_field(specifier: FieldSpecifier, registry: &Registry) -> TemplateField {
    let FieldSpecifier { element: key, length } = specifier;
    let (name, data_type, known) = match registry.lookup(key) {
        Some(element) => (element.name.clone(), element.data_type, true),
        None => (Cow::Owned(unknown_name(key)), DataType::OctetArray, false),
    };
    TemplateField { key, length, name, data_type, known, repeated: false, scope: false, since_start: false }
}

/// The name of an element that nobody has described.
pub fn unknown_name(key: ElementKey) -> String {
    format!("e{}id{}", key.enterprise, key.id)
}
