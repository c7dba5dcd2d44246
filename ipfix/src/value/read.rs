//! The octets of a field to its value (RFC 7011 section 6).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::list::{ListContext, read_list};
use super::{Value, ntp};
use crate::data_type::DataType;
use crate::reader::Reader;

/// The value of octets of a type. Octets that do not fit the type stay octets.
pub(crate) fn read_value<'a>(data_type: DataType, octets: &'a [u8], context: &ListContext<'a>) -> Value<'a> {
    typed(data_type, octets, context).unwrap_or(Value::Octets(octets))
}

fn typed<'a>(data_type: DataType, octets: &'a [u8], context: &ListContext<'a>) -> Option<Value<'a>> {
    match data_type {
        DataType::OctetArray => None,
        DataType::Unsigned8
        | DataType::Unsigned16
        | DataType::Unsigned32
        | DataType::Unsigned64
        | DataType::Unsigned256 => unsigned(octets).map(Value::Unsigned),
        DataType::Signed8 | DataType::Signed16 | DataType::Signed32 | DataType::Signed64 => {
            signed(octets).map(Value::Signed)
        }
        DataType::Float32 | DataType::Float64 => float(octets).map(Value::Float),
        DataType::Boolean => match octets {
            [1] => Some(Value::Boolean(true)),
            [2] => Some(Value::Boolean(false)),
            _ => None,
        },
        DataType::MacAddress => octets.try_into().ok().map(Value::Mac),
        DataType::String => Some(Value::String(String::from_utf8_lossy(octets))),
        DataType::DateTimeSeconds => unsigned(octets).map(Value::Seconds),
        DataType::DateTimeMilliseconds => unsigned(octets).map(Value::Milliseconds),
        DataType::DateTimeMicroseconds => {
            timestamp(octets).map(|time| Value::Microseconds(ntp::from_ntp(time, ntp::MICROSECONDS)))
        }
        DataType::DateTimeNanoseconds => {
            timestamp(octets).map(|time| Value::Nanoseconds(ntp::from_ntp(time, ntp::NANOSECONDS)))
        }
        DataType::Ipv4Address => {
            <[u8; 4]>::try_from(octets).ok().map(|address| Value::Ipv4(Ipv4Addr::from(address)))
        }
        DataType::Ipv6Address => {
            <[u8; 16]>::try_from(octets).ok().map(|address| Value::Ipv6(Ipv6Addr::from(address)))
        }
        DataType::BasicList | DataType::SubTemplateList | DataType::SubTemplateMultiList => {
            read_list(data_type, Reader::new(octets), context)
                .ok()
                .flatten()
                .map(|list| Value::List(Box::new(list)))
        }
    }
}

/// 1 to 8 octets, the highest first (reduced-size encoding: RFC 7011 section 6.2).
pub(crate) fn unsigned(octets: &[u8]) -> Option<u64> {
    match octets.len() {
        1..=8 => Some(octets.iter().fold(0, |number, octet| (number << 8) | u64::from(*octet))),
        _ => None,
    }
}

/// As [`unsigned`], with the top bit of the first octet carried upwards.
fn signed(octets: &[u8]) -> Option<i64> {
    let negative = octets.first()? & 0x80 != 0;
    let start = if negative { -1 } else { 0 };
    match octets.len() {
        1..=8 => Some(octets.iter().fold(start, |number, octet| (number << 8) | i64::from(*octet))),
        _ => None,
    }
}

fn float(octets: &[u8]) -> Option<f64> {
    match octets.len() {
        4 => octets.try_into().ok().map(|octets| f64::from(f32::from_be_bytes(octets))),
        8 => octets.try_into().ok().map(f64::from_be_bytes),
        _ => None,
    }
}

fn timestamp(octets: &[u8]) -> Option<u64> {
    octets.try_into().ok().map(u64::from_be_bytes)
}
