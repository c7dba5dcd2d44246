//! pcap and pcapng files, one frame after the other.
//!
//! The library finds the packets and blocks; what is in them is read here, because it takes every timestamp for
//! nanoseconds and ends at an option that it does not understand.

use std::io::Read;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::{Endianness, TsResolution};
use thiserror::Error;

use crate::link::LinkType;

/// Why a capture file cannot be read (on).
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The library says.
    #[error("reading the capture file")]
    Read(#[source] pcap_file::PcapError),
    /// A block that contradicts itself.
    #[error("{0} of the capture file is shorter than its header says")]
    Short(&'static str),
}

/// One frame as captured.
#[derive(Debug)]
pub struct Frame {
    /// When, nanoseconds since 1970.
    pub time_ns: u64,
    /// What its first octets are.
    pub link: LinkType,
    /// What was captured of it.
    pub octets: Vec<u8>,
    /// Octets that the capture left out.
    pub cut: usize,
}

/// A capture file that is being read.
pub struct CaptureFile<R: Read> {
    reader: Reader<R>,
}

enum Reader<R: Read> {
    Pcap(PcapReader<R>),
    PcapNg(PcapNgReader<R>),
}

impl<R: Read> CaptureFile<R> {
    /// Reads the file's header. `magic` are its first octets, which tell the formats apart; the reader begins
    /// with them all the same.
    ///
    /// # Errors
    /// When the header is malformed.
    pub fn open(magic: [u8; 4], reader: R) -> Result<Self, CaptureError> {
        let reader = if magic == PCAPNG_MAGIC {
            Reader::PcapNg(PcapNgReader::new(reader).map_err(CaptureError::Read)?)
        } else {
            Reader::Pcap(PcapReader::new(reader).map_err(CaptureError::Read)?)
        };
        Ok(Self { reader })
    }

    /// Whether a file that begins with these octets is a capture file.
    pub fn is_capture(magic: [u8; 4]) -> bool {
        magic == PCAPNG_MAGIC || PCAP_MAGICS.contains(&u32::from_be_bytes(magic))
    }

    /// The next frame; none at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn next_frame(&mut self) -> Option<Result<Frame, CaptureError>> {
        match &mut self.reader {
            Reader::Pcap(reader) => pcap_frame(reader),
            Reader::PcapNg(reader) => pcapng_frame(reader).transpose(),
        }
    }
}

fn pcap_frame<R: Read>(reader: &mut PcapReader<R>) -> Option<Result<Frame, CaptureError>> {
    let header = reader.header();
    let packet = match reader.next_raw_packet()? {
        Ok(packet) => packet,
        Err(error) => return Some(Err(CaptureError::Read(error))),
    };
    let unit = if header.ts_resolution == TsResolution::NanoSecond { 1 } else { 1_000 };
    Some(Ok(Frame {
        time_ns: u64::from(packet.ts_sec) * NANOSECONDS + u64::from(packet.ts_frac) * unit,
        link: LinkType::of(u32::from(header.datalink)),
        cut: (packet.orig_len as usize).saturating_sub(packet.data.len()),
        octets: packet.data.into_owned(),
    }))
}

fn pcapng_frame<R: Read>(reader: &mut PcapNgReader<R>) -> Result<Option<Frame>, CaptureError> {
    loop {
        // The block borrows the reader: what is needed of it is copied before the interfaces are asked.
        let block = match reader.next_raw_block() {
            None => return Ok(None),
            Some(block) => block.map_err(CaptureError::Read)?,
        };
        let (kind, body) = (block.type_, block.body.into_owned());
        let word = Words { little: reader.section().endianness == Endianness::Little, octets: &body };
        let (interface, time, length, whole, start) = match kind {
            ENHANCED_PACKET_BLOCK => {
                let time = (u64::from(word.at(1)?) << 32) | u64::from(word.at(2)?);
                (word.at(0)?, Some(time), word.at(3)?, word.at(4)?, 20)
            }
            // No time, and no length but that of the block, which is padded to four octets.
            SIMPLE_PACKET_BLOCK => {
                let left = u32::try_from(body.len().saturating_sub(4)).unwrap_or(u32::MAX);
                (0, None, word.at(0)?.min(left), word.at(0)?, 4)
            }
            _ => continue,
        };
        let octets = body
            .get(start..)
            .and_then(|data| data.get(..length as usize))
            .ok_or(CaptureError::Short("packet"))?;
        // A packet of an interface that was not described cannot be read.
        let Some(described) = reader.interfaces().get(interface as usize) else { continue };
        let (resolution, offset) = clock(&described.options);
        return Ok(Some(Frame {
            time_ns: nanoseconds(time.unwrap_or(0), resolution).saturating_add_signed(offset),
            link: LinkType::of(u32::from(described.linktype)),
            cut: (whole as usize).saturating_sub(octets.len()),
            octets: octets.to_vec(),
        }));
    }
}

/// The 32-bit words of a block in its section's byte order.
struct Words<'a> {
    little: bool,
    octets: &'a [u8],
}

impl Words<'_> {
    fn at(&self, place: usize) -> Result<u32, CaptureError> {
        let word = self.octets.get(place * 4..).and_then(<[u8]>::first_chunk::<4>);
        let word = *word.ok_or(CaptureError::Short("packet header"))?;
        Ok(if self.little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) })
    }
}

/// An interface's timestamp resolution (microseconds where it does not say) and offset in nanoseconds.
fn clock(options: &[InterfaceDescriptionOption<'_>]) -> (u8, i64) {
    let (mut resolution, mut offset) = (6, 0);
    for option in options {
        match option {
            InterfaceDescriptionOption::IfTsResol(exponent) => resolution = *exponent,
            InterfaceDescriptionOption::IfTsOffset(seconds) => {
                offset = i64::try_from(*seconds).unwrap_or(0).saturating_mul(1_000_000_000);
            }
            _ => {}
        }
    }
    (resolution, offset)
}

/// Ticks to nanoseconds: the resolution is a negative power of 10, or of 2 when its top bit is set.
fn nanoseconds(ticks: u64, resolution: u8) -> u64 {
    let exponent = u32::from(resolution & 0x7f);
    let per_second =
        if resolution & 0x80 == 0 { 10_u128.checked_pow(exponent) } else { 1_u128.checked_shl(exponent) };
    let Some(per_second) = per_second.filter(|per_second| *per_second > 0) else { return 0 };
    u64::try_from(u128::from(ticks) * u128::from(NANOSECONDS) / per_second).unwrap_or(u64::MAX)
}

/// The first block of a pcapng file is a section header.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// pcap in either byte order, with microseconds or nanoseconds.
const PCAP_MAGICS: [u32; 4] = [0xa1b2_c3d4, 0xd4c3_b2a1, 0xa1b2_3c4d, 0x4d3c_b2a1];
const SIMPLE_PACKET_BLOCK: u32 = 3;
const ENHANCED_PACKET_BLOCK: u32 = 6;
const NANOSECONDS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_of_ten_and_of_two() {
        assert_eq!(nanoseconds(1_500_000, 6), 1_500_000_000);
        assert_eq!(nanoseconds(1_500, 9), 1_500);
        assert_eq!(nanoseconds(3, 0), 3_000_000_000);
        assert_eq!(nanoseconds(1 << 11, 0x80 | 10), 2_000_000_000);
        assert_eq!(nanoseconds(u64::MAX, 0x7f), 0);
    }
}
