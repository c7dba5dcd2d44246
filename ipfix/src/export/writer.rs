//! One message that is being filled.
//!
//! The length fields hold 0xFFFF until the set and the message are closed, so that a half-written buffer never
//! passes for a message. Whether something fits is asked before it is added.

use crate::message::{MessageHeader, SET_HEADER_LENGTH, Version};

/// A message that is being filled.
#[derive(Debug)]
pub(super) struct MessageWriter {
    octets: Vec<u8>,
    largest: usize,
    open_set: Option<OpenSet>,
    pub(super) records: u32,
    pub(super) options_records: u32,
}

#[derive(Debug)]
struct OpenSet {
    id: u16,
    start: usize,
    /// Octets of the shortest record: padding must stay below it.
    shortest: usize,
}

impl MessageWriter {
    /// An empty message of at most `largest` octets.
    pub(super) fn new(largest: usize) -> Self {
        let mut octets = Vec::with_capacity(largest.min(ROOM_AT_FIRST));
        octets.resize(MessageHeader::LENGTH, 0xff);
        Self { octets, largest, open_set: None, records: 0, options_records: 0 }
    }

    /// Whether nothing was added yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.octets.len() == MessageHeader::LENGTH
    }

    /// Whether a record of so many octets fits into a set of this id.
    pub(super) fn fits(&self, id: u16, octets: usize) -> bool {
        let header =
            if self.open_set.as_ref().is_some_and(|set| set.id == id) { 0 } else { SET_HEADER_LENGTH };
        self.octets.len() + header + octets <= self.largest
    }

    /// Appends a record, in a new set where the open one has another id.
    pub(super) fn add(&mut self, id: u16, shortest: usize, record: &[u8], pad: bool) {
        if self.open_set.as_ref().is_none_or(|set| set.id != id) {
            self.close_set(pad);
            self.open_set = Some(OpenSet { id, start: self.octets.len(), shortest });
            self.octets.extend(id.to_be_bytes());
            self.octets.extend([0xff; 2]);
        }
        self.octets.extend_from_slice(record);
    }

    /// Fills the lengths in and gives the message out.
    pub(super) fn close(mut self, export_time: u32, sequence: u32, domain: u32, pad: bool) -> Vec<u8> {
        self.close_set(pad);
        let length = self.octets.len();
        let mut header = Vec::with_capacity(MessageHeader::LENGTH);
        header.extend(Version::Ipfix.number().to_be_bytes());
        header.extend(length_field(length));
        header.extend(export_time.to_be_bytes());
        header.extend(sequence.to_be_bytes());
        header.extend(domain.to_be_bytes());
        self.octets.splice(..MessageHeader::LENGTH, header);
        self.octets
    }

    fn close_set(&mut self, pad: bool) {
        let Some(OpenSet { start, shortest, .. }) = self.open_set.take() else { return };
        let padding = self.octets.len().next_multiple_of(4) - self.octets.len();
        // Padding as long as a record would be read as one (RFC 7011 section 3.3.1).
        if pad && padding < shortest && self.octets.len() + padding <= self.largest {
            self.octets.resize(self.octets.len() + padding, 0);
        }
        let length = length_field(self.octets.len() - start);
        if let Some(field) = self.octets.get_mut(start + 2..start + 4) {
            field.copy_from_slice(&length);
        }
    }
}

/// A length of at most 65,535, which every message is checked against before something is added.
fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// Room reserved for a message at first: most never grow to the 65,535 octets that a stream allows.
const ROOM_AT_FIRST: usize = 2_048;
