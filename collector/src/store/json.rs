//! The JSON of one document value, and of a time, as `_source` shows them.

use jiff::Timestamp;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::document::model::Value;

/// A document value that serialises as in `_source`.
pub(crate) struct Json<'v, 'a>(pub(crate) &'v Value<'a>);

impl Serialize for Json<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Unsigned(number) => serializer.serialize_u64(*number),
            Value::Signed(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Boolean(truth) => serializer.serialize_bool(*truth),
            Value::String(text) => serializer.serialize_str(text),
            Value::Address(address) => serializer.collect_str(address),
            Value::Time(millis) => serializer.serialize_str(&time(*millis)),
            Value::List(members) => {
                let mut sequence = serializer.serialize_seq(Some(members.len()))?;
                members.iter().try_for_each(|member| sequence.serialize_element(&Json(member)))?;
                sequence.end()
            }
            Value::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, member)| map.serialize_entry(name, &Json(member)))?;
                map.end()
            }
        }
    }
}

/// Milliseconds since 1970 as `2026-11-22T20:00:00.000Z` (Elasticsearch's `strict_date_time` in UTC). Times outside
/// the years −9999 to 9999 are shown as the nearest of these.
pub(crate) fn time(millis: i64) -> String {
    let nearest = if millis < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let time = Timestamp::from_millisecond(millis).unwrap_or(nearest);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_end_with_z() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_377_600_123, "2026-11-22T20:00:00.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ];
        for (millis, text) in table {
            assert_eq!(time(millis), text);
        }
    }
}
