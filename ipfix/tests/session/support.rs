//! Messages octet by octet, and records as text.

use std::sync::Arc;

use podflow_ipfix::collect::{CollectingSession, DataRecord, MessageSummary, Transport};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::{DecodeError, Limits};

/// A fixed time: milliseconds since 1970.
pub(crate) const NOW: u64 = 1_763_000_000_000;

/// An IPFIX message of these sets.
pub(crate) fn message(domain: u32, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut message = vec![0, 10];
    message.extend(u16::try_from(16 + body.len()).expect("a message").to_be_bytes());
    message.extend(1_763_000_000_u32.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend(domain.to_be_bytes());
    message.extend(body);
    message
}

/// A set.
pub(crate) fn set(id: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = u16::try_from(4 + body.len()).expect("a set");
    [&id.to_be_bytes()[..], &length.to_be_bytes(), body].concat()
}

/// A template set of one template: (enterprise, id, length) of each field.
pub(crate) fn template(id: u16, fields: &[(u32, u16, u16)]) -> Vec<u8> {
    set(2, template_record(id, None, fields))
}

/// An options template set of one template.
pub(crate) fn options_template(id: u16, scope: u16, fields: &[(u32, u16, u16)]) -> Vec<u8> {
    set(3, template_record(id, Some(scope), fields))
}

/// A template record.
pub(crate) fn template_record(id: u16, scope: Option<u16>, fields: &[(u32, u16, u16)]) -> Vec<u8> {
    let count = u16::try_from(fields.len()).expect("few fields");
    let mut record = [id.to_be_bytes(), count.to_be_bytes()].concat();
    record.extend(scope.map(u16::to_be_bytes).into_iter().flatten());
    for (enterprise, element, length) in fields {
        let bit = if *enterprise == 0 { 0 } else { 0x8000 };
        record.extend((element | bit).to_be_bytes());
        record.extend(length.to_be_bytes());
        if *enterprise != 0 {
            record.extend(enterprise.to_be_bytes());
        }
    }
    record
}

/// A variable-length value with its length before it.
pub(crate) fn variable(octets: impl AsRef<[u8]>) -> Vec<u8> {
    let octets = octets.as_ref();
    match u8::try_from(octets.len()) {
        Ok(short) if short < 255 => [&[short], octets].concat(),
        _ => [&[255], &u16::try_from(octets.len()).expect("a value").to_be_bytes()[..], octets].concat(),
    }
}

/// A session with the default limits.
pub(crate) fn session(transport: Transport) -> CollectingSession {
    limited(transport, Limits::default())
}

/// A session with other limits.
pub(crate) fn limited(transport: Transport, limits: Limits) -> CollectingSession {
    CollectingSession::new(transport, Arc::new(limits), Arc::new(Registry::standard()))
}

/// A record as text: `name=value` of each field.
pub(crate) fn text(record: &DataRecord<'_>) -> String {
    record.fields().map(|(field, value)| format!("{}={value}", field.name)).collect::<Vec<_>>().join(" ")
}

/// What a message brings, and its records as text.
pub(crate) fn receive(
    session: &mut CollectingSession,
    now_ms: u64,
    message: &[u8],
) -> Result<(MessageSummary, Vec<String>), DecodeError> {
    let mut records = Vec::new();
    let summary = session.receive(now_ms, message, &mut |record| records.push(text(&record)))?;
    Ok((summary, records))
}

/// The records of a message that is well formed.
pub(crate) fn records(session: &mut CollectingSession, message: &[u8]) -> Vec<String> {
    receive(session, NOW, message).expect("a well-formed message").1
}
