//! The pcap format: a header, then each packet behind its own.
//!
//! ```text
//! magic │ version │ zone │ accuracy │ longest packet │ link type     24 octets
//! seconds │ fraction │ captured octets │ octets sent │ packet        16 octets and the packet, until the end
//! ```

use std::io::Read;

use crate::file::{ByteOrder, CaptureError, Frame, MOST_OCTETS, NANOSECONDS, Octets};
use crate::link::LinkType;

/// How the packets of a pcap file are to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pcap {
    order: ByteOrder,
    /// Nanoseconds in one unit of a time's fraction.
    unit_ns: u64,
    /// Octets that stand between a packet's header and the packet.
    more: usize,
    link: LinkType,
}

impl Pcap {
    /// What the file's first octets say; none where they are of no pcap file.
    pub(crate) fn of(magic: [u8; 4]) -> Option<Self> {
        [ByteOrder::Big, ByteOrder::Little].into_iter().find_map(|order| {
            let (unit_ns, more) = match order.u32(magic) {
                MICROSECONDS_MAGIC => (1_000, 0),
                NANOSECONDS_MAGIC => (1, 0),
                INTERFACES_MAGIC => (1_000, 8),
                _ => return None,
            };
            Some(Self { order, unit_ns, more, link: LinkType::Other(0) })
        })
    }

    /// Reads the file's header.
    pub(crate) fn open<R: Read>(self, octets: &mut Octets<R>) -> Result<Self, CaptureError> {
        let header: [u8; 24] = octets.array("its header")?;
        let [.., link] = self.order.words::<6>(&header).unwrap_or_default();
        // The upper half tells of a checksum behind each frame, which the IP packet's own length leaves out.
        Ok(Self { link: LinkType::of(link & 0xffff), ..self })
    }

    /// The next frame; none at the end of the file.
    pub(crate) fn next_frame<R: Read>(&self, octets: &mut Octets<R>) -> Result<Option<Frame>, CaptureError> {
        let offset = octets.offset();
        let Some(header) = octets.next::<16>("a packet's header")? else { return Ok(None) };
        let [seconds, fraction, captured, sent] = self.order.words(&header).unwrap_or_default();
        let (captured, sent) = (captured as usize, sent as usize);
        if captured > MOST_OCTETS {
            return Err(CaptureError::Damaged { offset, what: format!("a packet of {captured} octets") });
        }
        octets.skip(self.more as u64, "a packet's header")?;
        Ok(Some(Frame {
            time_ns: u64::from(seconds) * NANOSECONDS + u64::from(fraction) * self.unit_ns,
            link: self.link,
            octets: octets.vector(captured, "a packet")?,
            cut: sent.saturating_sub(captured),
        }))
    }
}

const MICROSECONDS_MAGIC: u32 = 0xa1b2_c3d4;
const NANOSECONDS_MAGIC: u32 = 0xa1b2_3c4d;
/// A variant of old Linux distributions, with the interface behind each packet's header.
const INTERFACES_MAGIC: u32 = 0xa1b2_cd34;
