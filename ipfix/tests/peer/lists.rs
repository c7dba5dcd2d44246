//! Flow records with lists that libfixbuf wrote (`lists.c`), read by us: every value is what the writer says it wrote, and
//! the elements that nobody knows are called what the file says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use podflow_ipfix::collect::{CollectingSession, Transport};
use podflow_ipfix::framing::Framer;
use podflow_ipfix::registry::Registry;
use podflow_ipfix::value::{ListContent, ListRecord, Value};
use serde_json::{Map, Value as Json, json};

use crate::files::{folder, run};

/// Several messages' worth.
const RECORDS: usize = 100;

#[test]
fn we_read_every_list_that_libfixbuf_wrote() {
    let folder = folder();
    let path = folder.path().join("lists.ipfix");
    let said = run(Command::new(program(folder.path())).arg(&path).arg(RECORDS.to_string()), "libfixbuf9");
    let written: Vec<Json> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(written.len(), RECORDS);

    let mut framer = Framer::new();
    framer.push(&std::fs::read(&path).expect("the file that was written"));
    let mut session = CollectingSession::new(Transport::File, Arc::default(), Arc::new(Registry::standard()));
    let (mut seen, mut learned, mut messages) = (Vec::new(), 0, 0);
    while let Some(message) = framer.next_message().expect("well framed") {
        let received = session.receive(0, message, &mut |record| {
            if !record.is_options() {
                seen.push(object(record.fields().map(|(field, value)| (&*field.name, value))));
            }
        });
        learned += received.expect("well formed").elements_learned;
        messages += 1;
    }
    assert_eq!(framer.pending(), 0);
    assert!(learned >= 3, "{learned} descriptions: ours, and libfixbuf's own elements");
    assert!(messages > 2, "{messages} messages");
    for (seen, written) in seen.iter().zip(&written) {
        assert_eq!(seen, written);
    }
    assert_eq!(seen.len(), RECORDS);
}

/// The writer, compiled.
fn program(folder: &Path) -> PathBuf {
    let flags = run(Command::new("pkg-config").args(["--cflags", "--libs", "libfixbuf"]), "libfixbuf-dev");
    let program = folder.join("lists");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer/lists.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Werror", "-o"]).arg(&program).arg(source).args(flags.split_whitespace());
    run(&mut compiler, "gcc and libfixbuf-dev");
    program
}

fn object<'v>(fields: impl Iterator<Item = (&'v str, Value<'v>)>) -> Json {
    Json::Object(fields.map(|(name, value)| (name.to_owned(), json(&value))).collect::<Map<_, _>>())
}

fn json(value: &Value<'_>) -> Json {
    let record = |record: &ListRecord<'_>| {
        object(record.template.fields().iter().map(|field| &*field.name).zip(record.values.iter().cloned()))
    };
    match value {
        Value::Unsigned(number) | Value::Milliseconds(number) => json!(number),
        Value::List(list) => match &list.content {
            ListContent::Basic { values, .. } => values.iter().map(json).collect(),
            ListContent::SubTemplate { records, .. } | ListContent::Multi(records) => {
                records.iter().map(record).collect()
            }
        },
        other => json!(other.to_string()),
    }
}
