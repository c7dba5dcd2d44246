//! Every data type, whole and reduced (RFC 7011 section 6).

use super::support::{NOW, message, records, session, set, template, variable};
use podflow_ipfix::collect::Transport;
use podflow_ipfix::element::{ANTREA, ANTREA_LEGACY};
use podflow_ipfix::value::Value;

fn one(enterprise: u32, id: u16, octets: &[u8]) -> String {
    let mut collector = session(Transport::Stream);
    let sets =
        [template(256, &[(enterprise, id, u16::try_from(octets.len()).expect("short"))]), set(256, octets)];
    records(&mut collector, &message(1, 0, &sets)).remove(0)
}

#[test]
fn integers_of_every_length() {
    for length in 1..=8 {
        let expected = (0..length).fold(0_u64, |number, _| (number << 8) | 0xf0);
        assert_eq!(one(0, 1, &vec![0xf0; length]), format!("octetDeltaCount={expected}"));
        // networkPolicy priorities are signed: the sign survives reduction.
        let signed = (0..length).fold(-1_i64, |number, _| (number << 8) | 0xf0);
        assert_eq!(
            one(ANTREA, 116, &vec![0xf0; length]),
            format!("ingressNetworkPolicyRulePriority={signed}")
        );
    }
    assert_eq!(one(0, 515, &[1; 32]), format!("ipv6ExtensionHeadersFull={}", "01".repeat(32)));
}

#[test]
fn floats_booleans_and_addresses() {
    assert_eq!(one(0, 320, &1.5_f64.to_be_bytes()), "absoluteError=1.5");
    assert_eq!(one(0, 320, &1.5_f32.to_be_bytes()), "absoluteError=1.5");
    assert_eq!(one(0, 276, &[1]), "dataRecordsReliability=true");
    assert_eq!(one(0, 276, &[2]), "dataRecordsReliability=false");
    assert_eq!(one(0, 276, &[7]), "dataRecordsReliability=07", "neither true nor false: kept");
    assert_eq!(one(0, 56, &[1, 2, 3, 0xaa, 0xbb, 0xcc]), "sourceMacAddress=01:02:03:aa:bb:cc");
    assert_eq!(one(0, 8, &[10, 0, 0, 1]), "sourceIPv4Address=10.0.0.1");
    assert_eq!(one(0, 8, &[10, 0, 0]), "sourceIPv4Address=0a0000", "no address: kept");
    let address = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(one(0, 27, &address), "sourceIPv6Address=fd00::1");
}

#[test]
fn dates_of_every_kind() {
    let value = |id, octets: &[u8]| {
        let mut collector = session(Transport::Stream);
        let sets = [template(256, &[(0, id, u16::try_from(octets.len()).unwrap())]), set(256, octets)];
        let mut milliseconds = None;
        collector
            .receive(NOW, &message(1, 0, &sets), &mut |record| {
                milliseconds = record.fields().next().and_then(|(_, value)| value.as_milliseconds());
            })
            .unwrap();
        milliseconds
    };
    let seconds = 1_763_000_000;
    assert_eq!(value(150, &u32::to_be_bytes(seconds)), Some(1_763_000_000_000));
    assert_eq!(
        value(150, &u64::from(seconds).to_be_bytes()),
        Some(1_763_000_000_000),
        "Antrea sends eight octets"
    );
    assert_eq!(value(152, &1_763_000_000_123_u64.to_be_bytes()), Some(1_763_000_000_123));
    let ntp = ((u64::from(seconds) + 2_208_988_800) << 32) | 0x8000_0000;
    assert_eq!(value(154, &ntp.to_be_bytes()), Some(1_763_000_000_500));
    assert_eq!(value(156, &ntp.to_be_bytes()), Some(1_763_000_000_500));
    assert_eq!(value(154, &[1, 2, 3]), None);
}

#[test]
fn strings_of_every_length_and_ill_formed_ones() {
    for length in [0, 1, 254, 255, 256, 65_000] {
        let mut collector = session(Transport::Stream);
        let sets = [template(256, &[(0, 82, 65_535)]), set(256, variable("x".repeat(length)))];
        assert_eq!(
            records(&mut collector, &message(1, 0, &sets)),
            [format!("interfaceName={}", "x".repeat(length))]
        );
    }
    // The long form for a short string is allowed too.
    let mut collector = session(Transport::Stream);
    let sets = [template(256, &[(0, 82, 65_535)]), set(256, [255, 0, 1, b'a'])];
    assert_eq!(records(&mut collector, &message(1, 0, &sets)), ["interfaceName=a"]);

    let sets = [set(256, variable([b'a', 0xff, b'b'])), set(256, variable("ab"))];
    let mut ill_formed = Vec::new();
    collector
        .receive(NOW, &message(1, 0, &sets), &mut |record| {
            ill_formed.extend(record.fields().map(|(_, value)| (value.was_ill_formed(), value.to_string())));
        })
        .unwrap();
    assert_eq!(ill_formed, [(true, "a\u{fffd}b".to_owned()), (false, "ab".to_owned())]);
}

#[test]
fn unknown_and_repeated_elements_are_kept() {
    let mut collector = session(Transport::Stream);
    let fields = [(9, 7, 2), (0, 1, 1), (0, 1, 1), (ANTREA_LEGACY, 101, 65_535), (ANTREA, 101, 65_535)];
    let data = [&[0xab, 0xcd, 1, 2][..], &variable("a"), &variable("b")].concat();
    let mut repeated = Vec::new();
    let sets = [template(256, &fields), set(256, data)];
    let mut values = Vec::new();
    collector
        .receive(NOW, &message(1, 0, &sets), &mut |record| {
            for (field, value) in record.fields() {
                repeated.push((field.name.to_string(), field.repeated, field.known));
                values.push(value.to_string());
                assert_eq!(matches!(value, Value::Octets(_)), !field.known);
            }
        })
        .unwrap();
    assert_eq!(values, ["abcd", "1", "2", "a", "b"]);
    let names: Vec<(&str, bool, bool)> =
        repeated.iter().map(|(name, twice, known)| (&**name, *twice, *known)).collect();
    let twice = |name| (name, true, true);
    let counter = twice("octetDeltaCount");
    // One name under two enterprises is one field of a document.
    let pod = twice("sourcePodName");
    assert_eq!(names, [("e9id7", false, false), counter, counter, pod, pod]);
}
