//! A document as one line of JSON: the bulk line for Elasticsearch, the output of `podflow decode`, the `_source`
//! that the embedded store gives back.
//!
//! The shape is the one Logstash's netflow codec gives (design: documents and indices). Nothing here allocates
//! but the buffer that is written to.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::IpAddr;

use super::model::{Document, Value};
use super::time;

/// Appends the document, without a line end.
pub fn write(document: &Document<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"@timestamp":""#);
    time::write(document.timestamp, out);
    out.extend_from_slice(br#"","@version":"1","type":"ipfix","host":""#);
    address(document.host, out);
    out.extend_from_slice(br#"","ipfix":"#);
    object(&document.fields, out);
    out.push(b'}');
}

/// Appends one value.
pub fn value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Unsigned(number) => unsigned(*number, out),
        Value::Signed(number) => {
            if *number < 0 {
                out.push(b'-');
            }
            unsigned(number.unsigned_abs(), out);
        }
        Value::Float(number) => float(*number, out),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::String(text) => string(text, out),
        Value::Address(ip) => {
            out.push(b'"');
            address(*ip, out);
            out.push(b'"');
        }
        Value::Time(millis) => {
            out.push(b'"');
            time::write(*millis, out);
            out.push(b'"');
        }
        Value::List(values) => {
            out.push(b'[');
            for (place, item) in values.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                self::value(item, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => object(fields, out),
    }
}

fn object(fields: &[(Cow<'_, str>, Value<'_>)], out: &mut Vec<u8>) {
    out.push(b'{');
    for (place, (name, field)) in fields.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        value(field, out);
    }
    out.push(b'}');
}

/// A number's decimal digits, two at a time from a table.
#[inline]
pub(super) fn unsigned(mut number: u64, out: &mut Vec<u8>) {
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    // Room for the longest number, made at once and written into: a copy of just written digits would have to wait for
    // them, and so many octets as there are digits would be a call.
    let start = out.len();
    out.extend_from_slice(&[0; 20]);
    if let Some(text) = out.get_mut(start..start + 20) {
        let mut end = digits.min(text.len());
        while number >= 10 {
            let pair = (number % 100) as usize * 2;
            number /= 100;
            end -= 2;
            text[end..end + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        }
        if end > 0 {
            text[0] = PAIRS[(number % 10) as usize * 2 + 1];
        }
    }
    out.truncate(start + digits);
}

/// `0.1`, `3.0`; JSON has no NaN and no infinity, so those become `null` should one ever come here.
fn float(number: f64, out: &mut Vec<u8>) {
    match serde_json::Number::from_f64(number) {
        // Writing to a Vec cannot fail.
        Some(number) => write!(out, "{number}").unwrap_or_default(),
        None => out.extend_from_slice(b"null"),
    }
}

/// An address in its canonical text (RFC 5952 for IPv6).
pub(super) fn address(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            let start = out.len();
            out.extend_from_slice(&[0; 16]);
            let Some(text) = out.get_mut(start..start + 16) else { return };
            let mut end = 0;
            for octet in ip.octets() {
                // Three digits and a dot at most, of which the next octet overwrites what is too much.
                let (digits, length) = OCTETS[usize::from(octet)];
                text[end..end + 4].copy_from_slice(&digits);
                end += usize::from(length);
            }
            out.truncate(start + end - 1);
        }
        IpAddr::V6(ip) => write!(out, "{ip}").unwrap_or_default(),
    }
}

/// Appends the first `length` octets of `from`. Of short ones it copies `SHORT` where there are as many, which is no call.
#[inline]
pub(super) fn beginning<const SHORT: usize>(from: &[u8], length: usize, out: &mut Vec<u8>) {
    match from.first_chunk::<SHORT>() {
        Some(chunk) if length <= SHORT => {
            let end = out.len() + length;
            out.extend_from_slice(chunk);
            out.truncate(end);
        }
        _ => out.extend_from_slice(from.get(..length).unwrap_or_default()),
    }
}

/// A string with its quotes.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(text.as_bytes(), out);
    out.push(b'"');
}

/// The inside of a string: `"` and `\` and control characters are escaped (RFC 8259 section 7), all else is copied.
pub(super) fn escaped(text: &[u8], out: &mut Vec<u8>) {
    if all_plain(text) {
        out.extend_from_slice(text);
        return;
    }
    for octet in text {
        match octet {
            octet if is_plain(*octet) => out.push(*octet),
            b'"' => out.extend_from_slice(br#"\""#),
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b'\t' => out.extend_from_slice(br"\t"),
            // Writing to a Vec cannot fail.
            octet => write!(out, "\\u{octet:04x}").unwrap_or_default(),
        }
    }
}

/// Whether nothing of a text needs an escape; eight octets at a time, of which the last may be among those before.
#[inline]
pub(super) fn all_plain(text: &[u8]) -> bool {
    let odd = match (text.last_chunk::<8>(), text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(last), ..) => {
            let words = text.as_chunks::<8>().0.iter();
            words.fold(0, |odd, word| odd | odd_octets(u64::from_le_bytes(*word)))
                | odd_octets(u64::from_le_bytes(*last))
        }
        (None, Some(first), Some(last)) => {
            let word = u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
            odd_octets(word)
        }
        _ => return text.iter().all(|octet| is_plain(*octet)),
    };
    odd == 0
}

/// Not zero when one of eight octets is below 0x20, `"` or `\\`.
///
/// A subtraction borrows from the octet above only where an octet is found already, so that the sum of all is right.
const fn odd_octets(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let quote = word ^ (b'"' as u64 * ONES);
    let backslash = word ^ (b'\\' as u64 * ONES);
    let control = word.wrapping_sub(0x20 * ONES) & !word;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & HIGH
}

const fn is_plain(octet: u8) -> bool {
    octet >= 0x20 && octet != b'"' && octet != b'\\'
}

/// The digits of every octet and a dot, and how many that are.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut table = [(*b"0.  ", 2); 256];
    let mut octet = 1_u8;
    loop {
        let digits = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
        table[octet as usize] = match octet {
            100.. => ([digits[0], digits[1], digits[2], b'.'], 4),
            10.. => ([digits[1], digits[2], b'.', b' '], 3),
            _ => ([digits[2], b'.', b' ', b' '], 2),
        };
        if octet == 255 {
            break table;
        }
        octet += 1;
    }
};

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::model::DocumentId;
    use proptest::prelude::*;

    fn text(field: &Value<'_>) -> String {
        let mut out = Vec::new();
        value(field, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_document_has_the_shape_of_the_design() {
        let document = Document {
            id: DocumentId([0; 15]),
            timestamp: 1_795_377_600_000,
            host: "10.0.0.5".parse().unwrap(),
            fields: vec![
                ("version".into(), Value::Unsigned(10)),
                ("flowStartSeconds".into(), Value::Time(1_795_377_540_000)),
                ("sourceIPv4Address".into(), Value::Address("10.10.0.5".parse().unwrap())),
                ("sourcePodName".into(), Value::String("cart-7d9".into())),
            ],
        };
        let mut out = Vec::new();
        write(&document, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"@timestamp":"2026-11-22T20:00:00.000Z","@version":"1","type":"ipfix","host":"10.0.0.5","#,
                r#""ipfix":{"version":10,"flowStartSeconds":"2026-11-22T19:59:00.000Z","#,
                r#""sourceIPv4Address":"10.10.0.5","sourcePodName":"cart-7d9"}}"#
            )
        );
    }

    #[test]
    fn numbers_of_every_length() {
        for number in
            (0..20).flat_map(|power| [10_u64.pow(power) - 1, 10_u64.pow(power), 10_u64.pow(power) + 1])
        {
            assert_eq!(text(&Value::Unsigned(number)), number.to_string());
        }
    }

    #[test]
    fn every_octet_that_needs_an_escape_is_found_at_every_place_of_texts_of_every_length() {
        assert!(all_plain(b""));
        for length in 1..20 {
            for place in 0..length {
                for octet in 0..=255 {
                    let mut text = vec![b'a'; length];
                    text[place] = octet;
                    assert_eq!(all_plain(&text), is_plain(octet), "{octet:#x} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn the_beginning_of_a_text_and_no_more() {
        for length in 0..8 {
            let mut out = b"before".to_vec();
            beginning::<4>(b"01234567", length, &mut out);
            beginning::<16>(b"01234567", length, &mut out);
            assert_eq!(out, [b"before", &b"01234567"[..length], &b"01234567"[..length]].concat());
        }
    }

    #[test]
    fn every_octet_at_every_place_of_an_address() {
        for octet in 0..=255_u8 {
            for other in [0, 7, 42, 255] {
                for octets in [[octet, other, other, octet], [other, octet, octet, other]] {
                    let ip = IpAddr::from(octets);
                    assert_eq!(text(&Value::Address(ip)), format!("\"{ip}\""));
                }
            }
        }
    }

    #[test]
    fn every_kind_of_value() {
        for (field, expected) in [
            (Value::Unsigned(u64::MAX), "18446744073709551615"),
            (Value::Signed(i64::MIN), "-9223372036854775808"),
            (Value::Signed(7), "7"),
            (Value::Float(0.5), "0.5"),
            (Value::Float(f64::NAN), "null"),
            (Value::Boolean(true), "true"),
            (Value::Address("2001:db8::1".parse().unwrap()), r#""2001:db8::1""#),
            (Value::List(vec![Value::Unsigned(1), Value::String("a".into())]), r#"[1,"a"]"#),
            (Value::Object(vec![("k".into(), Value::List(vec![]))]), r#"{"k":[]}"#),
            (Value::String("a\"\\\n\u{1}é".into()), "\"a\\\"\\\\\\n\\u0001é\""),
        ] {
            assert_eq!(text(&field), expected);
        }
    }

    proptest! {
        #[test]
        fn strings_read_back(text_in in ".*") {
            let back: String = serde_json::from_str(&text(&Value::String(text_in.as_str().into()))).unwrap();
            prop_assert_eq!(back, text_in);
        }

        #[test]
        fn numbers_read_back(number in any::<u64>(), signed in any::<i64>(), bits in any::<u64>()) {
            prop_assert_eq!(text(&Value::Unsigned(number)), number.to_string());
            prop_assert_eq!(text(&Value::Signed(signed)), signed.to_string());
            let float = f64::from_bits(bits);
            if float.is_finite() {
                let back: f64 = text(&Value::Float(float)).parse().unwrap();
                prop_assert_eq!(back.to_bits(), float.to_bits());
            }
        }

        #[test]
        fn what_needs_an_escape_is_found(text in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(all_plain(&text), text.iter().all(|octet| is_plain(*octet)));
        }

        #[test]
        fn addresses_are_canonical(v4 in any::<u32>(), v6 in any::<u128>()) {
            for ip in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
                prop_assert_eq!(text(&Value::Address(ip)), format!("\"{ip}\""));
            }
        }
    }
}
