//! The message header and the sets behind it (RFC 7011 section 3.1 and 3.3).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |       version number (10)     |            length             |
//! +-------------------------------+-------------------------------+
//! |                    export time, seconds since 1970            |
//! +---------------------------------------------------------------+
//! |          sequence number: data records before this message    |
//! +---------------------------------------------------------------+
//! |                    observation domain id                      |
//! +---------------------------------------------------------------+
//! ```

use crate::error::DecodeError;
use crate::netflow::{Uptime, read_v5_header, read_v9_header};
use crate::reader::Reader;

/// Which protocol a message is of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// NetFlow version 5: one fixed record, no templates.
    NetFlow5,
    /// NetFlow version 9 (RFC 3954).
    NetFlow9,
    /// IPFIX (RFC 7011).
    Ipfix,
}

impl Version {
    /// The version number on the wire: 5, 9 or 10.
    pub const fn number(self) -> u16 {
        match self {
            Self::NetFlow5 => 5,
            Self::NetFlow9 => 9,
            Self::Ipfix => 10,
        }
    }

    /// The version that a datagram begins with, none where it is of no protocol we decode.
    pub fn of(octets: &[u8]) -> Option<Self> {
        match octets.first_chunk::<2>()? {
            [0, 5] => Some(Self::NetFlow5),
            [0, 9] => Some(Self::NetFlow9),
            [0, 10] => Some(Self::Ipfix),
            _ => None,
        }
    }
}

/// What the header of a message says, whichever its version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageHeader {
    /// The protocol.
    pub version: Version,
    /// When the message left the exporter, seconds since 1970.
    pub export_time: u32,
    /// IPFIX: data records sent before this message; NetFlow v9: messages; NetFlow v5: flows.
    pub sequence: u32,
    /// Observation domain id (NetFlow v9: source id; NetFlow v5: engine type and id).
    pub domain: u32,
    /// NetFlow's clock since the exporter started; none for IPFIX.
    pub uptime: Option<Uptime>,
}

impl MessageHeader {
    /// Octets of an IPFIX message header.
    pub const LENGTH: usize = 16;

    /// What its templates and sequence numbers belong to, within a session.
    pub(crate) const fn key(&self) -> (Version, u32) {
        (self.version, self.domain)
    }

    /// Reads the header of a message of any version; the reader stands behind it.
    pub(crate) fn read(octets: &[u8]) -> Result<(Self, Reader<'_>), DecodeError> {
        match Version::of(octets) {
            Some(Version::NetFlow5) => read_v5_header(octets),
            Some(Version::NetFlow9) => read_v9_header(octets),
            _ => Self::read_ipfix(octets),
        }
    }

    /// Reads the header of an IPFIX message and checks that the octets are one whole message.
    fn read_ipfix(octets: &[u8]) -> Result<(Self, Reader<'_>), DecodeError> {
        let mut reader = Reader::new(octets);
        let version = reader.u16("version")?;
        if version != Version::Ipfix.number() {
            return Err(DecodeError::Version(version));
        }
        let length = usize::from(reader.u16("message length")?);
        let export_time = reader.u32("export time")?;
        let sequence = reader.u32("sequence number")?;
        let domain = reader.u32("observation domain id")?;
        if length != octets.len() {
            return Err(DecodeError::MessageLength { header: length, received: octets.len() });
        }
        Ok((Self { version: Version::Ipfix, export_time, sequence, domain, uptime: None }, reader))
    }
}

/// One set: its id and a reader that sees no more than it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set<'a> {
    /// 2 templates, 3 options templates, 256 and above data; the rest is reserved.
    pub(crate) id: u16,
    /// The set's octets without its header.
    pub(crate) body: Reader<'a>,
}

impl<'a> Set<'a> {
    /// The next set of a message; none at its end.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, DecodeError> {
        if reader.is_empty() {
            return Ok(None);
        }
        let (offset, left) = (reader.offset(), reader.len());
        let id = reader.u16("set id")?;
        let length = reader.u16("set length")?;
        let body = usize::from(length).checked_sub(SET_HEADER_LENGTH).filter(|body| *body <= reader.len());
        let Some(body) = body else {
            return Err(DecodeError::SetLength { id, offset, length, left });
        };
        Ok(Some(Self { id, body: reader.sub(body, "set")? }))
    }
}

/// Set id of template sets (RFC 7011 section 3.3.2).
pub(crate) const TEMPLATE_SET: u16 = 2;
/// Set id of options template sets.
pub(crate) const OPTIONS_TEMPLATE_SET: u16 = 3;
/// Lowest id of data sets, and so of templates.
pub(crate) const FIRST_DATA_SET: u16 = 256;
/// Octets of a set header.
pub(crate) const SET_HEADER_LENGTH: usize = 4;
