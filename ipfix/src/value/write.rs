//! Values onto the wire (RFC 7011 section 6 and 7, RFC 6313 section 4.5).

use super::{List, ListContent, ListRecord, Value, ntp};
use crate::data_type::DataType;
use crate::error::EncodeError;
use crate::reader::VARIABLE_LENGTH;
use crate::template::{FieldSpecifier, TemplateField, write_field_specifier};

/// Appends the value of a field; a string longer than `longest_string` octets is cut at a character boundary.
/// Answers whether one was cut.
///
/// # Errors
/// When the value does not fit the field.
pub(crate) fn write_value(
    out: &mut Vec<u8>,
    field: &TemplateField,
    value: &Value<'_>,
    longest_string: usize,
) -> Result<bool, EncodeError> {
    let misfit = || EncodeError::Value {
        name: field.name.to_string(),
        value: value.to_string(),
        length: field.length,
    };
    if let Value::List(list) = value {
        return write_list(out, field, list, longest_string);
    }
    if let Value::String(text) = value {
        let kept = cut(text, longest_string.min(LONGEST_VALUE));
        write_octets(out, field.length, kept.as_bytes()).ok_or_else(misfit)?;
        return Ok(kept.len() < text.len());
    }
    let width = match field.length {
        VARIABLE_LENGTH => field.data_type.natural_length().unwrap_or(8),
        fixed => fixed,
    };
    let mut number = [0; 8];
    let octets: &[u8] = match value {
        Value::Unsigned(n) | Value::Seconds(n) | Value::Milliseconds(n) => {
            number = n.to_be_bytes();
            low_octets(&number, width, 0).ok_or_else(misfit)?
        }
        Value::Signed(n) => {
            number = n.to_be_bytes();
            signed_octets(&number, width).ok_or_else(misfit)?
        }
        Value::Float(n) if width == 4 => {
            let [a, b, c, d, ..] = &mut number;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "reduced-size encoding loses precision (RFC 7011 section 6.2)"
            )]
            let narrow = (*n as f32).to_be_bytes();
            [*a, *b, *c, *d] = narrow;
            number.get(..4).unwrap_or_default()
        }
        Value::Float(n) => {
            number = n.to_be_bytes();
            &number
        }
        Value::Boolean(true) => &[1],
        Value::Boolean(false) => &[2],
        Value::Microseconds(n) if field.data_type == DataType::DateTimeMicroseconds => {
            number = ntp::to_ntp(*n, ntp::MICROSECONDS).to_be_bytes();
            &number
        }
        Value::Nanoseconds(n) if field.data_type == DataType::DateTimeNanoseconds => {
            number = ntp::to_ntp(*n, ntp::NANOSECONDS).to_be_bytes();
            &number
        }
        Value::Mac(octets) => octets,
        Value::Octets(octets) => octets,
        Value::Ipv4(address) => &address.octets(),
        Value::Ipv6(address) => &address.octets(),
        Value::Microseconds(_) | Value::Nanoseconds(_) => return Err(misfit()),
        Value::String(_) | Value::List(_) => &[],
    };
    write_octets(out, field.length, octets).ok_or_else(misfit)?;
    Ok(false)
}

/// Appends octets in a field of fixed or variable length; none where they do not fit.
fn write_octets(out: &mut Vec<u8>, length: u16, octets: &[u8]) -> Option<()> {
    if length == VARIABLE_LENGTH {
        write_variable_length(out, octets.len())?;
    } else if usize::from(length) != octets.len() {
        return None;
    }
    out.extend_from_slice(octets);
    Some(())
}

/// One octet of length, or 255 and two octets (RFC 7011 section 7).
fn write_variable_length(out: &mut Vec<u8>, length: usize) -> Option<()> {
    match u8::try_from(length) {
        Ok(short) if short < 255 => out.push(short),
        _ => {
            out.push(255);
            out.extend(u16::try_from(length).ok()?.to_be_bytes());
        }
    }
    Some(())
}

/// The low `width` octets of a number whose others are all `filler`; none where that would lose something.
fn low_octets(number: &[u8; 8], width: u16, filler: u8) -> Option<&[u8]> {
    let (high, low) = number.split_at_checked(8_usize.checked_sub(usize::from(width))?)?;
    (!low.is_empty() && high.iter().all(|octet| *octet == filler)).then_some(low)
}

/// As [`low_octets`], for two's complement: the sign must survive.
fn signed_octets(number: &[u8; 8], width: u16) -> Option<&[u8]> {
    let negative = number[0] & 0x80 != 0;
    let low = low_octets(number, width, if negative { 0xff } else { 0 })?;
    (low.first()? & 0x80 != 0).eq(&negative).then_some(low)
}

/// The longest beginning of a text that has no more than `longest` octets and ends between characters.
fn cut(text: &str, longest: usize) -> &str {
    text.get(..text.floor_char_boundary(longest)).unwrap_or(text)
}

fn write_list(
    out: &mut Vec<u8>,
    field: &TemplateField,
    list: &List<'_>,
    longest_string: usize,
) -> Result<bool, EncodeError> {
    let mut inside = vec![list.semantic.number()];
    let mut any_cut = false;
    match &list.content {
        ListContent::Basic { field: element, values } => {
            write_field_specifier(
                &mut inside,
                FieldSpecifier { element: element.key, length: element.length },
            );
            for value in values {
                any_cut |= write_value(&mut inside, element, value, longest_string)?;
            }
        }
        ListContent::SubTemplate { template, records } => {
            inside.extend(template.number().to_be_bytes());
            for record in records {
                any_cut |= write_record(&mut inside, record, longest_string)?;
            }
        }
        ListContent::Multi(records) => {
            for group in records.chunk_by(|one, next| one.template.id() == next.template.id()) {
                let mut body = Vec::new();
                for record in group {
                    any_cut |= write_record(&mut body, record, longest_string)?;
                }
                let Some(first) = group.first() else { continue };
                inside.extend(first.template.id().number().to_be_bytes());
                let length = u16::try_from(body.len() + 4).map_err(|_| list_too_long(field))?;
                inside.extend(length.to_be_bytes());
                inside.extend(body);
            }
        }
    }
    write_octets(out, field.length, &inside).ok_or_else(|| list_too_long(field))?;
    Ok(any_cut)
}

fn write_record(
    out: &mut Vec<u8>,
    record: &ListRecord<'_>,
    longest_string: usize,
) -> Result<bool, EncodeError> {
    let mut any_cut = false;
    for (field, value) in record.template.fields().iter().zip(&record.values) {
        any_cut |= write_value(out, field, value, longest_string)?;
    }
    Ok(any_cut)
}

fn list_too_long(field: &TemplateField) -> EncodeError {
    EncodeError::Value { name: field.name.to_string(), value: "a list".to_owned(), length: field.length }
}

/// Octets of the longest variable-length value.
const LONGEST_VALUE: usize = 65_535;
