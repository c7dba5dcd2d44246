//! A TCP stream to messages (RFC 7011 section 10.4: messages follow each other without anything between).
//!
//! The header's length tells where the next message begins. A header that cannot be one means that the framing is
//! lost: there is no way to find it again, and the connection has to be closed.

use thiserror::Error;

use crate::message::{MessageHeader, Version};

/// Cuts a stream of octets into messages.
#[derive(Debug, Default)]
pub struct Framer {
    octets: Vec<u8>,
    start: usize,
    position: u64,
    lost: Option<FramingError>,
}

/// Why a stream cannot be read on.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FramingError {
    /// What stands where a message should begin has another version.
    #[error("no IPFIX message at octet {position} of the stream: version {version}")]
    Version {
        /// Octets of the stream before it.
        position: u64,
        /// What stands there.
        version: u16,
    },
    /// The message would be shorter than its own header.
    #[error("message of {length} octets at octet {position} of the stream is shorter than its header")]
    Length {
        /// Octets of the stream before it.
        position: u64,
        /// What stands there.
        length: u16,
    },
}

impl Framer {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets as they come. Holds at most what was pushed since the last message was taken, so push no more
    /// than a buffer between two rounds of [`Framer::next_message`].
    pub fn push(&mut self, octets: &[u8]) {
        if self.start > 0 {
            self.octets.drain(..self.start);
            self.start = 0;
        }
        self.octets.extend_from_slice(octets);
    }

    /// The next whole message, none where more octets are needed.
    ///
    /// # Errors
    /// When the framing is lost; from then on always.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, FramingError> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        let rest = self.rest();
        let length = match frame(rest, self.position) {
            Ok(Some(length)) if length <= rest.len() => length,
            Ok(_) => return Ok(None),
            Err(lost) => {
                self.lost = Some(lost.clone());
                return Err(lost);
            }
        };
        let message = self.start..self.start + length;
        self.start += length;
        self.position += length as u64;
        Ok(self.octets.get(message))
    }

    /// Octets that wait for the rest of their message. More than none at the end of a stream means it was cut.
    pub fn pending(&self) -> usize {
        self.rest().len()
    }

    /// The octets that wait for the rest of their message, or among which the framing was lost.
    pub fn rest(&self) -> &[u8] {
        self.octets.get(self.start..).unwrap_or_default()
    }
}

/// The length of the message that begins here; none where fewer than four octets are there.
fn frame(octets: &[u8], position: u64) -> Result<Option<usize>, FramingError> {
    // The version alone shows garbage, two octets before the length is there.
    let Some(version) = octets.first_chunk::<2>().copied().map(u16::from_be_bytes) else { return Ok(None) };
    if version != Version::Ipfix.number() {
        return Err(FramingError::Version { position, version });
    }
    let Some([_, _, high, low]) = octets.first_chunk::<4>().copied() else { return Ok(None) };
    let length = u16::from_be_bytes([high, low]);
    if usize::from(length) < MessageHeader::LENGTH {
        return Err(FramingError::Length { position, length });
    }
    Ok(Some(usize::from(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: [u8; 17] = [0, 10, 0, 17, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 7, 99];

    #[test]
    fn octet_by_octet_or_all_at_once() {
        let stream = [MESSAGE, MESSAGE, MESSAGE].concat();
        let mut framer = Framer::new();
        let mut seen = 0;
        for octet in &stream {
            framer.push(&[*octet]);
            while let Some(message) = framer.next_message().unwrap() {
                assert_eq!(message, MESSAGE);
                seen += 1;
            }
        }
        assert_eq!((seen, framer.pending()), (3, 0));
        framer.push(&stream[..40]);
        while framer.next_message().unwrap().is_some() {}
        assert_eq!(framer.pending(), 6);
    }

    #[test]
    fn lost_framing_is_told_with_its_place() {
        let mut framer = Framer::new();
        framer.push(&MESSAGE);
        framer.push(b"GET / HTTP/1.1");
        assert!(framer.next_message().unwrap().is_some());
        let lost = FramingError::Version { position: 17, version: 0x4745 };
        assert_eq!(framer.next_message(), Err(lost.clone()));
        assert_eq!(framer.next_message(), Err(lost));

        let mut framer = Framer::new();
        framer.push(&[0, 10, 0, 15]);
        assert_eq!(framer.next_message(), Err(FramingError::Length { position: 0, length: 15 }));
    }
}
