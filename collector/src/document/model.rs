//! One document: what the collector stores for one flow record, before any sink has given it a form.
//!
//! It borrows from the message it was decoded from and from the compiled template, so that a sink can write
//! it into its own batch (a bulk line, a store's columns) without a copy in between. It knows no sink.

use std::borrow::Cow;
use std::net::IpAddr;

/// A document's `_id`: 15 octets, on the wire 20 characters of unpadded base64url (design: 4 octets second,
/// 11 octets hash).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DocumentId(pub [u8; 15]);

/// One flow record as it will be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<'a> {
    /// Made from the octets received, so that a record sent twice is one document.
    pub id: DocumentId,
    /// `@timestamp`, milliseconds since 1970; its UTC day names the index.
    pub timestamp: i64,
    /// `host`: the exporter's address.
    pub host: IpAddr,
    /// What stands under `ipfix.`, in the order of the record, derived fields last. Names are unique and
    /// without the `ipfix.` prefix.
    pub fields: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// The value of one document field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Any unsigned number.
    Unsigned(u64),
    /// Any signed number.
    Signed(i64),
    /// float32 and float64; never NaN or infinite (such values are left out by the builder).
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// Text, hex of octets, MAC addresses: whatever JSON shows as a string and Elasticsearch takes as keyword.
    String(Cow<'a, str>),
    /// An address; JSON shows its canonical text.
    Address(IpAddr),
    /// Milliseconds since 1970; JSON shows `2026-11-22T20:00:00.000Z`.
    Time(i64),
    /// Repeated elements and structured data.
    List(Vec<Self>),
    /// Structured data (subTemplateList records), in order.
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl Document<'_> {
    /// The same document, free of what it was borrowed from.
    pub fn into_owned(self) -> Document<'static> {
        Document { fields: self.fields.into_iter().map(owned_field).collect(), ..self }
    }

    /// The value of a field under `ipfix.`, by its name without that prefix.
    pub fn field(&self, name: &str) -> Option<&Value<'_>> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }
}

impl Value<'_> {
    /// The same value, free of what it was borrowed from.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Unsigned(number) => Value::Unsigned(number),
            Self::Signed(number) => Value::Signed(number),
            Self::Float(number) => Value::Float(number),
            Self::Boolean(flag) => Value::Boolean(flag),
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Address(ip) => Value::Address(ip),
            Self::Time(millis) => Value::Time(millis),
            Self::List(values) => Value::List(values.into_iter().map(Value::into_owned).collect()),
            Self::Object(fields) => Value::Object(fields.into_iter().map(owned_field).collect()),
        }
    }
}

fn owned_field((name, value): (Cow<'_, str>, Value<'_>)) -> (Cow<'static, str>, Value<'static>) {
    (Cow::Owned(name.into_owned()), value.into_owned())
}
