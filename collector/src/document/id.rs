//! A document's `_id`, from what the record said on the wire, so that a record sent twice is one document.
//!
//! ```text
//! 0               4                                             15 octets, 20 characters of base64url
//! +---------------+---------------------------------------------+
//! | second        | first 11 octets of a fixed 128-bit hash      |
//! +---------------+---------------------------------------------+
//! ```
//! The second comes first because ids that grow with time cost Elasticsearch half of what random ones do.

use std::fmt;
use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_128;

use super::model::DocumentId;
use super::shape::Origin;

/// Characters of an id's text.
pub const TEXT_LENGTH: usize = 20;

/// What makes a record of ours the same record when it comes again, from whichever port or address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlowIdentity {
    /// Observation domain of the exporter.
    pub domain: u32,
    /// IE 148.
    pub flow_id: u64,
    /// IE 153, milliseconds since 1970.
    pub end_ms: u64,
    /// IE 136.
    pub end_reason: u64,
    /// IE 86, 85 and their reverse.
    pub totals: [u64; 4],
}

/// Where a record without a flowId stood: exporters that do not resend never use a place twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WireIdentity {
    /// The exporter's address.
    pub exporter: IpAddr,
    /// Observation domain of the exporter.
    pub domain: u32,
    /// Export time of the message, milliseconds since 1970.
    pub export_ms: u64,
    /// Sequence number in the message header.
    pub sequence: u32,
    /// Where in its message the record stands.
    pub place: u32,
    /// Hash of the record's octets: two exporting processes of one host may share all of the above.
    pub octets: u64,
}

impl FlowIdentity {
    /// The id: second of the flow's end, hash over the rest.
    pub fn id(&self) -> DocumentId {
        let mut key = HashKey::new(b"flow");
        key.add(&self.domain.to_be_bytes());
        key.add(&self.flow_id.to_be_bytes());
        key.add(&self.end_ms.to_be_bytes());
        key.add(&self.end_reason.to_be_bytes());
        for total in self.totals {
            key.add(&total.to_be_bytes());
        }
        compose(self.end_ms, key.hash())
    }
}

impl WireIdentity {
    /// The identity of a record by where it came from.
    pub(crate) const fn of(origin: &Origin) -> Self {
        Self {
            exporter: origin.exporter,
            domain: origin.domain,
            export_ms: origin.export_ms,
            sequence: origin.sequence,
            place: origin.place,
            octets: origin.octets,
        }
    }

    /// The id: second of the export, hash over everything.
    pub fn id(&self) -> DocumentId {
        let mut key = HashKey::new(b"wire");
        match self.exporter {
            IpAddr::V4(ip) => key.add(&ip.octets()),
            IpAddr::V6(ip) => key.add(&ip.octets()),
        }
        key.add(&self.domain.to_be_bytes());
        key.add(&self.export_ms.to_be_bytes());
        key.add(&self.sequence.to_be_bytes());
        key.add(&self.place.to_be_bytes());
        key.add(&self.octets.to_be_bytes());
        compose(self.export_ms, key.hash())
    }
}

/// What is hashed, put together first: the hash of a short key then takes a tenth of the time.
struct HashKey {
    octets: [u8; 72],
    length: usize,
}

impl HashKey {
    fn new(kind: &[u8; 4]) -> Self {
        let mut key = Self { octets: [0; 72], length: 0 };
        key.add(kind);
        key
    }

    /// Both identities fit.
    fn add(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        self.octets[self.length..end].copy_from_slice(part);
        self.length = end;
    }

    fn hash(&self) -> u128 {
        xxh3_128(&self.octets[..self.length])
    }
}

impl DocumentId {
    /// The id's text, unpadded base64url.
    pub fn text(&self) -> [u8; TEXT_LENGTH] {
        let mut text = [0; TEXT_LENGTH];
        for (triple, quad) in self.0.as_chunks::<3>().0.iter().zip(text.as_chunks_mut::<4>().0) {
            let [a, b, c] = triple.map(usize::from);
            let bits = a << 16 | b << 8 | c;
            *quad = [18, 12, 6, 0].map(|shift| ALPHABET[bits >> shift & 0x3f]);
        }
        text
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().iter().try_for_each(|character| fmt::Write::write_char(f, char::from(*character)))
    }
}

fn compose(millis: u64, hash: u128) -> DocumentId {
    let mut id = [0; 15];
    // Seconds beyond 2106 would not fit: such an id sorts last and is as unique as any.
    let second = u32::try_from(millis / 1000).unwrap_or(u32::MAX);
    id[..4].copy_from_slice(&second.to_be_bytes());
    id[4..].copy_from_slice(&hash.to_be_bytes()[..11]);
    DocumentId(id)
}

/// RFC 4648 section 5.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const FLOW: FlowIdentity = FlowIdentity {
        domain: 7,
        flow_id: 42,
        end_ms: 1_795_377_600_123,
        end_reason: 2,
        totals: [1, 2, 3, 4],
    };

    fn wire() -> WireIdentity {
        WireIdentity {
            exporter: "10.0.0.5".parse().unwrap(),
            domain: 7,
            export_ms: 1_795_377_600_000,
            sequence: 9,
            place: 0,
            octets: 77,
        }
    }

    #[test]
    fn the_text_is_base64url() {
        let octets: Vec<u8> = (0..15).map(|i| i * 17 + 5).collect();
        let id = DocumentId(octets.clone().try_into().unwrap());
        assert_eq!(id.to_string(), URL_SAFE_NO_PAD.encode(octets));
        assert_eq!(id.to_string().len(), TEXT_LENGTH);
    }

    #[test]
    fn begins_with_the_second() {
        let second = 1_795_377_600_u32.to_be_bytes();
        assert_eq!(FLOW.id().0[..4], second);
        assert_eq!(wire().id().0[..4], second);
    }

    #[test]
    fn every_part_matters_and_nothing_else() {
        let same = FLOW;
        assert_eq!(same.id(), FLOW.id());
        for other in [
            FlowIdentity { domain: 8, ..FLOW },
            FlowIdentity { flow_id: 43, ..FLOW },
            FlowIdentity { end_ms: FLOW.end_ms + 1, ..FLOW },
            FlowIdentity { end_reason: 3, ..FLOW },
            FlowIdentity { totals: [1, 2, 4, 3], ..FLOW },
        ] {
            assert_ne!(other.id(), FLOW.id(), "{other:?}");
        }
        for other in [
            WireIdentity { exporter: "10.0.0.6".parse().unwrap(), ..wire() },
            WireIdentity { domain: 8, ..wire() },
            WireIdentity { export_ms: 1_795_377_600_001, ..wire() },
            WireIdentity { sequence: 10, ..wire() },
            WireIdentity { place: 1, ..wire() },
            WireIdentity { octets: 78, ..wire() },
        ] {
            assert_ne!(other.id(), wire().id(), "{other:?}");
        }
    }

    #[test]
    fn ids_do_not_change_between_releases() {
        // An id made by one release must be found by the next: a changed hash would store resent records twice.
        // The values were computed with another implementation of the hash (Python's xxhash).
        assert_eq!(FLOW.id().to_string(), "awNJwDEQRZ-gwa_oUszR");
        assert_eq!(wire().id().to_string(), "awNJwG-VfedhmouzH-dJ");
    }
}
