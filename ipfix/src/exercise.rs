//! What the fuzz targets do, so that plain tests can replay what they found. Not for other use.
//!
//! Each function takes any octets, reads everything there is to read in them, and checks what must hold whatever they
//! are. It returns or panics; it never hangs.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::collect::{CollectingSession, DataRecord, Transport, UdpSessions};
use crate::framing::Framer;
use crate::limits::Limits;
use crate::registry::{Registry, add_definitions};

/// Messages of any protocol in one session of each transport: the octets are cut into messages at a length of two
/// octets before each.
pub fn message(octets: &[u8]) {
    for transport in [Transport::Udp, Transport::Stream, Transport::File] {
        let (limits, bounds) = (small(), small());
        let mut session = CollectingSession::new(transport, Arc::new(limits), Arc::new(Registry::standard()));
        let mut now_ms = 0;
        for message in pieces(octets) {
            now_ms += 700;
            let mut given = 0;
            let received = session.receive(now_ms, message, &mut |record| {
                given += 1;
                read_all(&record);
            });
            if let Ok(summary) = received {
                assert_eq!(given, summary.records + summary.options_records, "each record is counted");
            } else {
                assert_eq!(given, 0, "a malformed message gives nothing out");
            }
            assert!(session.template_count() <= bounds.templates_per_session);
        }
    }
}

/// NetFlow messages: as [`message()`], with the version set to 9 and to 5.
pub fn netflow(octets: &[u8]) {
    let mut sessions = UdpSessions::new(Arc::new(small()), Arc::new(Registry::standard()));
    for (place, piece) in pieces(octets).enumerate() {
        let version = if piece.first().is_some_and(|first| first & 1 == 0) { 9 } else { 5 };
        let mut message = piece.to_vec();
        if let [high, low, ..] = &mut message[..] {
            (*high, *low) = (0, version);
        }
        let from = SocketAddr::from(([10, 0, 0, 1], if place % 5 == 4 { 2_000 } else { 1_000 }));
        // What comes of it is checked by the other target; here it must only end.
        drop(sessions.receive(place as u64, from, &message, &mut |record| read_all(&record)));
    }
}

/// Bounds that a short input can reach.
fn small() -> Limits {
    Limits { held_octets: 4_096, templates_per_session: 64, values_per_message: 4_096, ..Limits::default() }
}

/// A stream in pieces: whatever the pieces, the messages are the same.
pub fn framing(octets: &[u8]) {
    let whole = messages(std::iter::once(octets));
    let cut = octets.len() / 3;
    let (start, end) = octets.split_at(cut);
    assert_eq!(whole, messages([start, end].into_iter()));
    // Octet by octet where there are few, or it would take all the time there is.
    let piece = octets.len() / 64 + 1 + octets.last().map_or(0, |last| usize::from(*last) % 8);
    assert_eq!(whole, messages(octets.chunks(piece)));
}

/// A definition file.
pub fn definitions(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let mut registry = Registry::standard();
    match add_definitions(&mut registry, "definitions.yml", text) {
        Ok(count) => assert!(registry.added_count() <= count),
        Err(error) => {
            assert!(error.faults.iter().all(|fault| fault.starts_with("definitions.yml:")));
            assert_eq!(registry.added_count(), 0, "a file with a fault changes nothing");
        }
    }
}

/// Saved templates: what was read is saved and read the same.
pub fn saved(octets: &[u8]) {
    let sessions = || UdpSessions::new(Arc::default(), Arc::new(Registry::standard()));
    let mut first = sessions();
    let elements = first.restore(1_000, 5, octets, |_| true).elements;
    let templates =
        |of: &UdpSessions| of.sessions().map(|(_, session, _)| session.template_count()).sum::<usize>();
    let mut second = sessions();
    let restored = second.restore(1_000, 5, &first.save(1_000, 5), |_| true);
    assert_eq!((restored.damage, restored.templates, restored.elements), (None, templates(&first), elements));
    assert_eq!(templates(&first), templates(&second));
}

fn messages<'o>(pieces: impl Iterator<Item = &'o [u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut framer, mut messages, mut lost) = (Framer::new(), Vec::new(), false);
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next_message() {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => break,
                Err(_) => {
                    lost = true;
                    break;
                }
            }
        }
    }
    (messages, lost)
}

/// Octets cut at lengths that they themselves give.
fn pieces(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (piece, behind) = behind.split_at(length);
        rest = behind;
        Some(piece)
    })
}

/// Reads every value, as a document would.
fn read_all(record: &DataRecord<'_>) {
    let fields = record.fields().len();
    let mut seen = 0;
    for (_, value) in record.fields() {
        seen += 1;
        std::hint::black_box(value.to_string());
    }
    assert_eq!(seen, fields, "a checked record has all its fields");
    std::hint::black_box(record.sampling());
}
