//! Files of messages (RFC 5655): what is written is read back, whole files one after the other are a file, and what
//! others may write into one is read too.

use podflow_ipfix::ElementKey;
use podflow_ipfix::collect::{CollectingSession, MessageSummary, Transport};
use podflow_ipfix::export::{ExportSettings, ExportingSession};
use podflow_ipfix::framing::Framer;
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};
use podflow_ipfix::value::Value;

use super::support::{NOW, message, session, set, template, text};

const FLOWS: TemplateId = TemplateId::constant(256);

/// A file of so many flows of a domain, in messages of a few each.
fn file(domain: u32, flows: u64) -> Vec<u8> {
    let fields =
        vec![FieldSpecifier::new(ElementKey::iana(1), 8), FieldSpecifier::variable(ElementKey::iana(82))];
    let templates = vec![Template::new(FLOWS, fields).expect("a template")];
    let settings = ExportSettings::stream(domain);
    let mut exporter = ExportingSession::new(settings, templates, &Registry::standard()).expect("a session");
    let mut file = Vec::new();
    for flow in 0..flows {
        exporter.add(NOW, FLOWS, [Value::Unsigned(flow), Value::text("eth0")]).expect("a record");
        if flow % 7 == 0 {
            exporter.flush(NOW);
        }
    }
    exporter.flush(NOW);
    while let Some(message) = exporter.next_message() {
        file.extend(message.octets);
    }
    file
}

/// The records of a file, each with its domain, and what its messages brought; the rest that is no whole message.
fn read(file: &[u8]) -> (Vec<String>, Vec<MessageSummary>, usize) {
    let mut reader: CollectingSession = session(Transport::File);
    let (mut framer, mut seen, mut summaries) = (Framer::new(), Vec::new(), Vec::new());
    for piece in file.chunks(100) {
        framer.push(piece);
        while let Some(message) = framer.next_message().expect("messages") {
            let received = reader.receive(NOW, message, &mut |record| {
                seen.push(format!("{} {}", record.domain(), text(&record)));
            });
            summaries.push(received.expect("well-formed messages"));
        }
    }
    (seen, summaries, framer.pending())
}

fn flows(domain: u32, flows: u64) -> Vec<String> {
    (0..flows).map(|flow| format!("{domain} octetDeltaCount={flow} interfaceName=eth0")).collect()
}

#[test]
fn what_was_written_is_read() {
    let (seen, summaries, rest) = read(&file(7, 100));
    assert_eq!((seen, rest), (flows(7, 100), 0));
    assert!(summaries.len() > 10);
    assert!(summaries.iter().all(|summary| summary.templates_redefined == 0));
}

#[test]
fn files_one_after_the_other_are_a_file() {
    // The same exporter twice, and another one: sequence numbers begin anew and templates come again.
    let (seen, summaries, rest) = read(&[file(7, 20), file(7, 20), file(8, 5)].concat());
    assert_eq!((seen, rest), ([flows(7, 20), flows(7, 20), flows(8, 5)].concat(), 0));
    let templates: u32 = summaries.iter().map(|summary| summary.templates).sum();
    let redefined: u32 = summaries.iter().map(|summary| summary.templates_redefined).sum();
    assert_eq!((templates, redefined), (3, 0), "the same template again is no fault of a file");
}

#[test]
fn templates_may_change_be_withdrawn_and_come_behind_their_data() {
    let octets = [(0, 1, 4)];
    let packets = [(0, 2, 4)];
    let data = || set(256, [0, 0, 0, 5]);
    let withdrawal = set(2, [1, 0, 0, 0]);
    let file = [
        message(1, 0, &[data()]),
        message(1, 1, &[template(256, &octets)]),
        message(1, 1, &[data()]),
        message(1, 2, &[withdrawal]),
        message(1, 2, &[template(256, &packets), data()]),
    ];
    let (seen, summaries, rest) = read(&file.concat());
    assert_eq!(seen, ["1 octetDeltaCount=5", "1 octetDeltaCount=5", "1 packetDeltaCount=5"]);
    assert_eq!((summaries[1].sets_claimed, summaries[3].templates_withdrawn, rest), (1, 1, 0));
}

#[test]
fn a_cut_file_gives_its_whole_messages() {
    let whole = file(7, 50);
    let (all, messages, _) = read(&whole);
    for cut in [1, 15, 16, 17, whole.len() / 2, whole.len() - 1] {
        let (seen, summaries, rest) = read(&whole[..cut]);
        assert_eq!(seen, all[..seen.len()], "{cut}");
        assert!(rest > 0 && summaries.len() < messages.len(), "{cut}: {rest}");
    }
}
