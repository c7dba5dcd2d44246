//! python-ipfix reads our files, and we read its.

use std::process::Command;
use std::sync::Arc;

use podflow_ipfix::collect::{CollectingSession, Transport};
use podflow_ipfix::export::ExportSettings;
use podflow_ipfix::framing::Framer;
use podflow_ipfix::registry::Registry;
use podflow_ipfix::value::Value;

use crate::files::{folder, message_file, run};
use crate::ours::{RECORDS, flow, flows};

/// The system's Python, for which Debian packages python-ipfix.
const PYTHON: &str = "/usr/bin/python3";
const PACKAGE: &str = "python3-ipfix";

/// Prints a JSON object for each record of template 256: values as text, dates as milliseconds.
const READER: &str = r#"
import datetime, json, sys, ipfix, ipfix.reader
ipfix.ie.use_iana_default()
ipfix.ie.use_5103_default()
ipfix.ie.for_spec("sourcePodName(55829/101)<string>")
ipfix.ie.for_spec("tenantName(4711/12)<string>")
def text(value):
    if isinstance(value, datetime.datetime):
        return str(round(value.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000))
    if isinstance(value, bytes):
        return ":".join("%02x" % octet for octet in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "%g" % value
    return str(value)
with open(sys.argv[1], "rb") as file:
    for record in ipfix.reader.from_stream(file).namedict_iterator():
        if "tenantName" in record:
            print(json.dumps({name: text(value) for name, value in record.items()}))
"#;

/// Writes two records of many types.
const WRITER: &str = r#"
import datetime, ipaddress, sys, ipfix, ipfix.writer, ipfix.template
ipfix.ie.use_iana_default()
ipfix.ie.use_5103_default()
ipfix.ie.for_spec("tenantName(4711/12)<string>")
names = ("flowStartSeconds", "flowStartMilliseconds", "sourceIPv4Address", "sourceIPv6Address", "octetDeltaCount",
         "packetDeltaCount[4]", "reverseOctetDeltaCount", "interfaceName", "sourceMacAddress", "dataRecordsReliability",
         "absoluteError", "tenantName")
template = ipfix.template.from_ielist(256, ipfix.ie.spec_list(names))
time = datetime.datetime(2025, 11, 13, 2, 13, 20, 123000)
with open(sys.argv[1], "wb") as file:
    writer = ipfix.writer.to_stream(file)
    writer.set_domain(9)
    writer.add_template(template)
    writer.set_export_template(256)
    for name in ("", "é" * 200):
        writer.export_namedict({
            "flowStartSeconds": time, "flowStartMilliseconds": time,
            "sourceIPv4Address": ipaddress.ip_address("10.0.0.1"), "sourceIPv6Address": ipaddress.ip_address("fd00::1"),
            "octetDeltaCount": 1 << 40, "packetDeltaCount": 7, "reverseOctetDeltaCount": 9, "interfaceName": name,
            "sourceMacAddress": b"\x02\x00\x00\x00\x00\x01", "dataRecordsReliability": True, "absoluteError": 0.25,
            "tenantName": "acme"})
    writer.flush()
"#;

#[test]
fn python_ipfix_reads_our_export_with_every_value() {
    let folder = folder();
    let messages = flows(ExportSettings::stream(7));
    let path = message_file(&folder, messages.iter().map(|message| &message.octets[..]));
    let lines = run(Command::new(PYTHON).args(["-c", READER]).arg(&path), PACKAGE);
    let seen: Vec<serde_json::Map<String, serde_json::Value>> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(seen.len(), RECORDS as usize);
    for (number, record) in seen.iter().enumerate() {
        let ours = flow(u32::try_from(number).unwrap());
        assert_eq!(record.len(), ours.len());
        for ((name, seen), ours) in record.iter().zip(&ours) {
            let expected = ours.as_milliseconds().map_or_else(|| ours.to_string(), |time| time.to_string());
            assert_eq!(*seen, expected, "{name} of {number}");
        }
    }
}

#[test]
fn we_read_what_python_ipfix_wrote() {
    let folder = folder();
    let path = folder.path().join("python.ipfix");
    run(Command::new(PYTHON).args(["-c", WRITER]).arg(&path).env("PYTHONUTF8", "1"), PACKAGE);
    let mut framer = Framer::new();
    framer.push(&std::fs::read(&path).unwrap());
    let mut session = CollectingSession::new(Transport::File, Arc::default(), Arc::new(Registry::standard()));
    let mut seen = Vec::new();
    while let Some(message) = framer.next_message().unwrap() {
        let summary = session.receive(0, message, &mut |record| {
            assert_eq!(record.domain(), 9);
            seen.push(
                record.fields().map(|(field, value)| format!("{}={value}", field.name)).collect::<Vec<_>>(),
            );
            let unknown = record.fields().last().map(|(_, value)| matches!(value, Value::Octets(_)));
            assert_eq!(unknown, Some(true), "we are not told what tenantName is");
        });
        assert!(summary.is_ok(), "{summary:?}");
    }
    assert_eq!(framer.pending(), 0);
    let expected = |name: &str| {
        format!(
            "flowStartSeconds=1763000000 flowStartMilliseconds=1763000000123 sourceIPv4Address=10.0.0.1 \
             sourceIPv6Address=fd00::1 octetDeltaCount=1099511627776 packetDeltaCount=7 reverseOctetDeltaCount=9 \
             interfaceName={name} sourceMacAddress=02:00:00:00:00:01 dataRecordsReliability=true absoluteError=0.25 \
             e4711id12=61636d65"
        )
    };
    let seen: Vec<String> = seen.iter().map(|fields| fields.join(" ")).collect();
    assert_eq!(seen, [expected(""), expected(&"é".repeat(200))]);
}
