//! Templates: what the fields of a record are.
//!
//! [`Template`] is what stands on the wire; [`CompiledTemplate`] has looked the names and types up once, so that
//! a record is read without another look-up or an allocation.

mod read;

mod compiled;

mod view;

mod write;

pub(crate) use compiled::compiled_field;
pub use compiled::{CompiledTemplate, TemplateField, unknown_name};
pub(crate) use read::{TemplateRecord, read_field_specifier, read_template_record};
pub(crate) use view::{StagedTemplates, TemplateView, Templates};
pub(crate) use write::{write_field_specifier, write_template};

use std::fmt;

use crate::element::ElementKey;
use crate::error::TemplateFault;
use crate::message::FIRST_DATA_SET;
use crate::reader::VARIABLE_LENGTH;

/// 256 to 65535; lower numbers are reserved for sets (RFC 7011 section 3.4.1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TemplateId(u16);

impl TemplateId {
    /// The id as a number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The id of a number that is known when compiling; fails to compile below 256.
    pub const fn constant(number: u16) -> Self {
        assert!(number >= FIRST_DATA_SET, "template ids begin at 256");
        Self(number)
    }
}

impl TryFrom<u16> for TemplateId {
    type Error = TemplateFault;

    fn try_from(number: u16) -> Result<Self, TemplateFault> {
        if number < FIRST_DATA_SET { Err(TemplateFault::ReservedId) } else { Ok(Self(number)) }
    }
}

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One field of a template as it stands on the wire (RFC 7011 section 3.2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FieldSpecifier {
    /// Which element.
    pub element: ElementKey,
    /// Octets in each record, 65535 for variable length.
    pub length: u16,
}

impl FieldSpecifier {
    /// The length that says "each record carries its own".
    pub const VARIABLE: u16 = VARIABLE_LENGTH;

    /// A field of fixed length.
    pub const fn new(element: ElementKey, length: u16) -> Self {
        Self { element, length }
    }

    /// A field of variable length.
    pub const fn variable(element: ElementKey) -> Self {
        Self { element, length: VARIABLE_LENGTH }
    }
}

/// A template as it stands on the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    id: TemplateId,
    scope_fields: u16,
    fields: Vec<FieldSpecifier>,
}

impl Template {
    /// A template of data records.
    ///
    /// # Errors
    /// When its records would have no octets or not fit a message.
    pub fn new(id: TemplateId, fields: Vec<FieldSpecifier>) -> Result<Self, TemplateFault> {
        Self::checked(id, 0, fields)
    }

    /// A template of options records, whose first `scope_fields` say what the others are about (RFC 7011
    /// section 3.4.2).
    ///
    /// # Errors
    /// When there is no scope, or more of it than fields, or as in [`Template::new`].
    pub fn options(
        id: TemplateId,
        scope_fields: u16,
        fields: Vec<FieldSpecifier>,
    ) -> Result<Self, TemplateFault> {
        if scope_fields == 0 {
            return Err(TemplateFault::NoScope);
        }
        Self::checked(id, scope_fields, fields)
    }

    pub(crate) fn checked(
        id: TemplateId,
        scope_fields: u16,
        fields: Vec<FieldSpecifier>,
    ) -> Result<Self, TemplateFault> {
        if usize::from(scope_fields) > fields.len() {
            return Err(TemplateFault::ScopeBeyondFields);
        }
        match fields.iter().map(|field| shortest(*field)).sum::<usize>() {
            0 => Err(TemplateFault::EmptyRecords),
            too_long if too_long > LONGEST_RECORD => Err(TemplateFault::RecordTooLong),
            _ => Ok(Self { id, scope_fields, fields }),
        }
    }

    /// Its id.
    pub const fn id(&self) -> TemplateId {
        self.id
    }

    /// How many of the first fields are the scope; 0 for data records.
    pub const fn scope_fields(&self) -> u16 {
        self.scope_fields
    }

    /// Whether its records are options records.
    pub const fn is_options(&self) -> bool {
        self.scope_fields > 0
    }

    /// The fields in the order of the record.
    pub fn fields(&self) -> &[FieldSpecifier] {
        &self.fields
    }
}

/// Octets of the shortest value of a field.
fn shortest(field: FieldSpecifier) -> usize {
    match field.length {
        VARIABLE_LENGTH => 1,
        fixed => usize::from(fixed),
    }
}

/// What is left of 65,535 octets behind the headers of the message and of one set.
const LONGEST_RECORD: usize = 65_535 - 16 - 4;
