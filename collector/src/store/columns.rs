//! What a document's fields are called inside a segment file.
//!
//! A column's name is one letter for the kind of its values and the field's full name, so that two kinds under one
//! field name (a definition that changed) never share a column. Tantivy's columnar writer creates columns as
//! they come: a new field needs no migration.

use std::borrow::Cow;

use crate::document::model::Value;

/// `@timestamp`, milliseconds since 1970.
pub(crate) const TIMESTAMP: &str = "t@timestamp";
/// First four octets of the id, a second since 1970 (as a number, so that they cost some 2 octets, not 4).
pub(crate) const ID_SECOND: &str = "_id0";
/// Octets 4 to 12 of the id, as the bits of a signed number.
pub(crate) const ID_HIGH: &str = "_id1";
/// Octets 12 to 15 of the id.
pub(crate) const ID_LOW: &str = "_id2";
/// Which fields the document has, in which order: the hash of its shape.
pub(crate) const SHAPE: &str = "_shape";
/// The shapes themselves, each on the first document of its batch that has it: `<hash>\u{1f}<field>\u{1f}…`.
pub(crate) const SHAPES: &str = "_shapes";
/// JSON object of what no typed column gives back exactly, by field name (without `ipfix.`).
pub(crate) const EXTRA: &str = "_extra";
/// Between the parts of a shape. A field whose name holds it goes into [`EXTRA`].
pub(crate) const SEPARATOR: char = '\u{1f}';
/// The letter in a shape for a field that stands in [`EXTRA`].
pub(crate) const EXTRA_LETTER: char = 'x';
/// Longest string that is a keyword, in characters: the index template's `ignore_above`.
pub(crate) const IGNORE_ABOVE: usize = 8191;
/// Most columns of one batch and slice: the index template's `total_fields.limit`. Fields beyond it are kept in
/// [`EXTRA`], neither searchable nor lost.
pub(crate) const MAX_COLUMNS: usize = 2000;

/// The kind of a column's values, named by Elasticsearch's mapping types.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// Whole numbers of 64 bits, signed; larger ones are saturated and exact in [`EXTRA`].
    Long,
    /// Floating-point numbers.
    Double,
    /// Truth values.
    Boolean,
    /// Text as it is.
    Keyword,
    /// Canonical text of an address.
    Ip,
    /// Milliseconds since 1970.
    Date,
}

impl Kind {
    /// All kinds; where a field has columns of several, an earlier one wins.
    pub(crate) const ALL: [Self; 6] =
        [Self::Date, Self::Ip, Self::Keyword, Self::Double, Self::Long, Self::Boolean];

    /// The letter that begins the column's name.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Long => 'l',
            Self::Double => 'd',
            Self::Boolean => 'b',
            Self::Keyword => 'k',
            Self::Ip => 'i',
            Self::Date => 't',
        }
    }

    /// The kind whose letter this is.
    pub(crate) fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.letter() == letter)
    }

    /// Elasticsearch's name of the type.
    pub(crate) fn es_type(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Keyword => "keyword",
            Self::Ip => "ip",
            Self::Date => "date",
        }
    }

    /// Whether its values stand in a dictionary of strings.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Keyword | Self::Ip)
    }

    /// The kind of a scalar value; `None` for lists and objects.
    pub(crate) fn of(value: &Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Unsigned(_) | Value::Signed(_) => Self::Long,
            Value::Float(_) => Self::Double,
            Value::Boolean(_) => Self::Boolean,
            Value::String(_) => Self::Keyword,
            Value::Address(_) => Self::Ip,
            Value::Time(_) => Self::Date,
            Value::List(_) | Value::Object(_) => return None,
        })
    }
}

/// Whether a typed column alone gives the value back exactly.
pub(crate) fn is_exact(name: &str, value: &Value<'_>) -> bool {
    if name.is_empty() || name.contains(|c: char| c.is_ascii_control()) {
        return false;
    }
    match value {
        Value::Unsigned(number) => i64::try_from(*number).is_ok(),
        Value::String(text) => is_keyword(text),
        Value::List(_) | Value::Object(_) => false,
        _ => true,
    }
}

/// Whether a string is short enough for a keyword column.
pub(crate) fn is_keyword(text: &str) -> bool {
    text.len() <= IGNORE_ABOVE || text.chars().take(IGNORE_ABOVE + 1).count() <= IGNORE_ABOVE
}

/// The shape of a document: a letter and a name for each field.
pub(crate) fn write_shape(fields: &[(Cow<'_, str>, Value<'_>)], shape: &mut String) {
    shape.clear();
    for (name, value) in fields {
        let letter = match Kind::of(value) {
            Some(kind) if is_exact(name, value) => kind.letter(),
            _ => EXTRA_LETTER,
        };
        if !name.contains(|c: char| c.is_ascii_control()) {
            shape.push(SEPARATOR);
            shape.push(letter);
            shape.push_str(name);
        }
    }
}
