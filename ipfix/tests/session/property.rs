//! What holds for any records and any octets.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use podflow_ipfix::collect::{CollectingSession, Transport};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;
use podflow_ipfix::{ElementKey, exercise};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;

use super::support::NOW;

/// A field and a value that fits it: element, length, value.
type Field = (u16, u16, Value<'static>);

fn unsigned(id: u16, natural: u16) -> impl Strategy<Value = Field> {
    (1..=natural, any::<u64>()).prop_map(move |(length, number)| {
        let bits = u32::from(length) * 8;
        (id, length, Value::Unsigned(if bits == 64 { number } else { number & ((1 << bits) - 1) }))
    })
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        unsigned(1, 8),
        unsigned(10, 4),
        unsigned(7, 2),
        unsigned(4, 1),
        any::<i32>().prop_map(|number| (434, 4, Value::Signed(number.into()))),
        any::<i16>().prop_map(|number| (434, 2, Value::Signed(number.into()))),
        any::<f64>().prop_filter("equal to itself", |n| !n.is_nan()).prop_map(|n| (320, 8, Value::Float(n))),
        any::<f32>().prop_filter("equal to itself", |n| !n.is_nan()).prop_map(|n| (
            320,
            4,
            Value::Float(n.into())
        )),
        any::<bool>().prop_map(|truth| (276, 1, Value::Boolean(truth))),
        any::<[u8; 6]>().prop_map(|octets| (56, 6, Value::Mac(octets))),
        any::<u32>().prop_map(|octets| (8, 4, Value::Ipv4(Ipv4Addr::from(octets)))),
        any::<u128>().prop_map(|octets| (27, 16, Value::Ipv6(Ipv6Addr::from(octets)))),
        any::<u32>().prop_map(|seconds| (150, 4, Value::Seconds(seconds.into()))),
        any::<u64>().prop_map(|seconds| (150, 8, Value::Seconds(seconds))),
        any::<u64>().prop_map(|ticks| (152, 8, Value::Milliseconds(ticks))),
        (0..4_000_000_000_000_000_u64).prop_map(|ticks| (154, 8, Value::Microseconds(ticks))),
        (0..4_000_000_000_000_000_000_u64).prop_map(|ticks| (156, 8, Value::Nanoseconds(ticks))),
        ".{0,300}".prop_map(|text| (82, 65_535, Value::String(text.into()))),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_the_same(
        fields in vec(field(), 1..40),
        copies in 1..20_usize,
        largest in 2_000..9_000_usize,
        stream in any::<bool>(),
        pad_sets in any::<bool>(),
    ) {
        let id = TemplateId::constant(256);
        let specifiers = fields.iter().map(|(id, length, _)| FieldSpecifier::new(ElementKey::iana(*id), *length));
        let template = Template::new(id, specifiers.collect()).unwrap();
        let settings = if stream { ExportSettings::stream(5) } else { ExportSettings::udp(5, largest) };
        let settings = ExportSettings { pad_sets, ..settings };
        let mut exporter = ExportingSession::new(settings, vec![template], &Registry::standard()).unwrap();
        let values: Vec<Value<'_>> = fields.iter().map(|(_, _, value)| value.clone()).collect();
        let mut whole = true;
        for _ in 0..copies {
            whole &= !exporter.add(NOW, id, values.clone()).unwrap().strings_cut;
        }
        exporter.flush(NOW);

        let transport = if stream { Transport::Stream } else { Transport::Udp };
        let mut collector = CollectingSession::new(transport, Arc::default(), Arc::new(Registry::standard()));
        let mut seen = 0;
        while let Some(message) = exporter.next_message() {
            assert!(stream || message.octets.len() <= largest);
            collector
                .receive(NOW, &message.octets, &mut |record| {
                    let decoded: Vec<Value<'_>> = record.fields().map(|(_, value)| value).collect();
                    if whole {
                        assert_eq!(decoded, values);
                    }
                    seen += 1;
                })
                .unwrap();
        }
        assert_eq!(seen, copies);
    }

    #[test]
    fn any_octets_end(octets in vec(any::<u8>(), 0..2_000)) {
        all(&octets);
    }

    #[test]
    fn any_prefix_flip_and_splice_of_real_messages_ends(
        one in any::<Index>(),
        other in any::<Index>(),
        flips in vec((any::<Index>(), 0..8_u32), 0..6),
        cut in any::<Index>(),
        joint in any::<Index>(),
    ) {
        let mut octets = one.get(RECORDED).to_vec();
        let end = cut.index(octets.len() + 1);
        octets.truncate(end);
        let other = other.get(RECORDED);
        octets.extend(&other[joint.index(other.len())..]);
        for (place, bit) in flips {
            let place = place.index(octets.len().max(1));
            if let Some(octet) = octets.get_mut(place) {
                *octet ^= 1 << bit;
            }
        }
        all(&octets);
    }
}

fn all(octets: &[u8]) {
    exercise::message(octets);
    exercise::netflow(octets);
    exercise::framing(octets);
    exercise::definitions(octets);
    exercise::saved(octets);
}

/// What other programs sent.
const RECORDED: &[&[u8]] = &[
    include_bytes!("../../testdata/softflowd-v5.bin"),
    include_bytes!("../../testdata/softflowd-v9.bin"),
    include_bytes!("../../testdata/softflowd-v10.bin"),
    include_bytes!("../../testdata/pmacctd-v9.bin"),
    include_bytes!("../../testdata/pmacctd-v10.bin"),
];
