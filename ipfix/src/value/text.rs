//! A value as text, for messages and tables: dates as counts, octets as hex.

use std::fmt::{self, Display};

use super::{ListContent, Value};

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number)
            | Self::Seconds(number)
            | Self::Milliseconds(number)
            | Self::Microseconds(number)
            | Self::Nanoseconds(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Boolean(truth) => truth.fmt(f),
            Self::Mac([a, b, c, d, e, last]) => {
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}")
            }
            Self::Octets(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Self::String(text) => text.fmt(f),
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => address.fmt(f),
            Self::List(list) => match &list.content {
                ListContent::Basic { values, .. } => joined(f, values),
                ListContent::SubTemplate { records, .. } | ListContent::Multi(records) => {
                    f.write_str("[")?;
                    for (place, record) in records.iter().enumerate() {
                        f.write_str(if place == 0 { "" } else { ", " })?;
                        joined(f, &record.values)?;
                    }
                    f.write_str("]")
                }
            },
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, values: &[Value<'_>]) -> fmt::Result {
    f.write_str("[")?;
    for (place, value) in values.iter().enumerate() {
        f.write_str(if place == 0 { "" } else { ", " })?;
        value.fmt(f)?;
    }
    f.write_str("]")
}
