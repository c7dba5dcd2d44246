//! The value of one field, borrowed from the message it came in.

mod read;

mod list;

mod write;

mod ntp;

mod text;

pub use list::{List, ListContent, ListRecord, ListSemantic};
pub(crate) use list::{ListContext, check_list};
pub(crate) use read::read_value;
pub(crate) use write::write_value;

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The value of one field.
///
/// A field whose octets do not fit its type (an address of 3 octets, a boolean of 7) is kept as
/// [`Value::Octets`]: the record survives.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// unsigned8 to unsigned64, reduced or not.
    Unsigned(u64),
    /// signed8 to signed64, sign extended.
    Signed(i64),
    /// float32 and float64.
    Float(f64),
    /// true or false.
    Boolean(bool),
    /// A MAC address.
    Mac([u8; 6]),
    /// octetArray, unknown elements, and whatever does not fit its type.
    Octets(&'a [u8]),
    /// UTF-8. Owned means that ill-formed octets were replaced by U+FFFD (RFC 7011 section 6.1.6 lets a collector
    /// not show them as they are).
    String(Cow<'a, str>),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// dateTimeSeconds: seconds since 1970.
    Seconds(u64),
    /// dateTimeMilliseconds: milliseconds since 1970.
    Milliseconds(u64),
    /// dateTimeMicroseconds: microseconds since 1970.
    Microseconds(u64),
    /// dateTimeNanoseconds: nanoseconds since 1970.
    Nanoseconds(u64),
    /// A list of RFC 6313.
    List(Box<List<'a>>),
}

impl<'a> Value<'a> {
    /// A string that is borrowed.
    pub const fn text(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }

    /// The number, where the value is an unsigned one.
    pub const fn as_unsigned(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, where the value is a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Milliseconds since 1970, where the value is a date.
    pub const fn as_milliseconds(&self) -> Option<u64> {
        match self {
            Self::Seconds(seconds) => seconds.checked_mul(1_000),
            Self::Milliseconds(milliseconds) => Some(*milliseconds),
            Self::Microseconds(microseconds) => Some(*microseconds / 1_000),
            Self::Nanoseconds(nanoseconds) => Some(*nanoseconds / 1_000_000),
            _ => None,
        }
    }

    /// Whether this is a string in which ill-formed octets were replaced.
    pub const fn was_ill_formed(&self) -> bool {
        matches!(self, Self::String(Cow::Owned(_)))
    }
}
