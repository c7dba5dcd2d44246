//! libfixbuf's `ipfixDump` reads our files, names our own elements by what we say of them, and reads our lists.

use std::net::Ipv6Addr;
use std::process::Command;

use podflow_ipfix::export::ExportSettings;
use podflow_ipfix::value::Value;

use crate::files::{folder, message_file, run};
use crate::ours::{RECORDS, flow, flows, lists};

fn dump(messages: &[podflow_ipfix::export::Message]) -> String {
    let folder = folder();
    let path = message_file(&folder, messages.iter().map(|message| &message.octets[..]));
    run(Command::new("ipfixDump").arg("--in").arg(&path).arg("--rfc5610").env("TZ", "UTC"), "libfixbuf-tools")
}

/// The `name : value` lines of each data record.
fn records(dump: &str) -> Vec<Vec<(String, String)>> {
    let mut records: Vec<Vec<(String, String)>> = Vec::new();
    for line in dump.lines() {
        if line.contains("--- data record") {
            records.push(Vec::new());
        } else if let (Some((name, value)), Some(record)) = (line.split_once(" : "), records.last_mut())
            && let Some((_, name)) = name.rsplit_once(' ')
        {
            record.push((name.to_owned(), without_length(value).to_owned()));
        }
    }
    records
}

/// `(len: 3) eth` to `eth`.
fn without_length(value: &str) -> &str {
    match value.strip_prefix("(len: ").and_then(|rest| rest.split_once(") ")) {
        Some((_, text)) => text,
        None if value.starts_with("(len: 0)") => "",
        None => value,
    }
}

#[test]
fn ipfixdump_reads_every_value_of_a_stream_and_names_our_elements() {
    let dump = dump(&flows(ExportSettings::stream(7)));
    let flows: Vec<_> = records(&dump).into_iter().filter(|record| record.len() == 15).collect();
    assert_eq!(flows.len(), RECORDS as usize);
    for (number, record) in flows.iter().enumerate() {
        let ours = flow(u32::try_from(number).unwrap());
        let names: Vec<&str> = record.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names[8], "reverseOctetDeltaCount");
        assert_eq!(names[13..], ["sourcePodName", "tenantName"], "by our own type information alone");
        for (place, (name, seen)) in record.iter().enumerate() {
            let expected = match &ours[place] {
                Value::Seconds(_) | Value::Milliseconds(_) => date(&ours[place]),
                Value::Boolean(truth) => if *truth { "1" } else { "2" }.to_owned(),
                other => other.to_string(),
            };
            // An address may be written with leading zeros.
            match seen.parse::<Ipv6Addr>() {
                Ok(address) => assert_eq!(address.to_string(), expected),
                Err(_) => assert_eq!(*seen, expected, "{name} of {number}"),
            }
        }
    }
    assert!(dump.contains("notSentFlowTotalCount : 1"), "the statistics");
}

/// `2025-11-13 01:56:40`, with milliseconds where the element has them.
fn date(value: &Value<'_>) -> String {
    let milliseconds = value.as_milliseconds().unwrap_or_default();
    // 12 November 2025, 00:00:00.
    let of_period = milliseconds - 1_762_905_600_000;
    let (day, of_day) = (12 + of_period / 86_400_000, of_period % 86_400_000);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
    let seconds = format!("2025-11-{day} {hour:02}:{minute:02}:{second:02}");
    match value {
        Value::Milliseconds(_) => format!("{seconds}.{:03}", of_day % 1_000),
        _ => seconds,
    }
}

#[test]
fn ipfixdump_reads_our_lists() {
    let dump = dump(&lists());
    let words: Vec<&str> = dump.split_whitespace().collect();
    let text = words.join(" ");
    for expected in [
        "+++ basicList +++ count: 2 semantic: 3-allOf ie: (82) interfaceName 1 : (len: 1) a 2 : (len: 2) bc",
        "+++ subTemplateList +++ count: 2 semantic: 4-ordered tid: 300 (0x012c)",
        "(1) octetDeltaCount : 5 (82) interfaceName : (len: 1) x",
        "(1) octetDeltaCount : 6 (82) interfaceName : (len: 0)",
        "+++ subTemplateMultiList +++ count: 1 semantic: 1-exactlyOneOf",
        "(1) octetDeltaCount : 7 (82) interfaceName : (len: 1) y",
    ] {
        assert!(text.contains(expected), "{expected}\nin\n{dump}");
    }
}
