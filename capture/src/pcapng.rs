//! The pcapng format: sections of blocks, of which those that describe interfaces and hold packets are read.
//!
//! ```text
//! type │ length │ body, padded to four octets │ length again
//! ```
//!
//! Blocks of other kinds are passed over by their length, options of other kinds too.

use std::io::Read;

use crate::file::{ByteOrder, CaptureError, Frame, MOST_OCTETS, NANOSECONDS, Octets};
use crate::link::LinkType;

/// The state of the section that is being read.
#[derive(Debug)]
pub(crate) struct PcapNg {
    order: ByteOrder,
    interfaces: Vec<Interface>,
}

/// What a section says about one of its interfaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Interface {
    link: LinkType,
    /// Octets of a packet that are captured at most; 0 for all.
    longest: u32,
    /// A time's unit: a negative power of 10, or of 2 when the top bit is set.
    resolution: u8,
    /// What times count from, seconds since 1970.
    start: i64,
}

impl Default for PcapNg {
    fn default() -> Self {
        Self { order: ByteOrder::Little, interfaces: Vec::new() }
    }
}

impl PcapNg {
    /// Whether a file that begins with these octets is of this format.
    pub(crate) fn is(magic: [u8; 4]) -> bool {
        u32::from_be_bytes(magic) == SECTION_HEADER
    }

    /// The next frame; none at the end of the file.
    pub(crate) fn next_frame<R: Read>(
        &mut self,
        octets: &mut Octets<R>,
    ) -> Result<Option<Frame>, CaptureError> {
        loop {
            let offset = octets.offset();
            let Some(kind) = octets.next::<4>("a block's header")? else { return Ok(None) };
            // The number of a section header reads the same in both byte orders.
            let kind = self.order.u32(kind);
            let length = octets.array("a block's header")?;
            let mut rest = 8;
            if kind == SECTION_HEADER {
                let magic = octets.array("a section's header")?;
                self.begin_section(magic).map_err(|what| CaptureError::Damaged { offset, what })?;
                rest = 12;
            }
            let length = self.order.u32(length);
            // The length counts itself twice.
            let Some(body) = length.checked_sub(rest + 4).filter(|_| length.is_multiple_of(4)) else {
                return Err(CaptureError::Damaged { offset, what: format!("a block of {length} octets") });
            };
            let frame = match kind {
                INTERFACE_DESCRIPTION | PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    if body as usize > MOST_OCTETS {
                        let what = format!("a packet's block of {length} octets");
                        return Err(CaptureError::Damaged { offset, what });
                    }
                    let body = octets.vector(body as usize, "a packet")?;
                    let read = if kind == INTERFACE_DESCRIPTION {
                        self.describe(&body).map(|()| None)
                    } else {
                        self.frame(kind, &body).map(Some)
                    };
                    let short =
                        || CaptureError::Damaged { offset, what: "a block too short for it".to_owned() };
                    read.ok_or_else(short)?
                }
                _ => {
                    octets.skip(body.into(), "a block")?;
                    None
                }
            };
            let again = self.order.u32(octets.array("a block")?);
            if again != length {
                let what = format!("a block of {length} octets that ends as one of {again}");
                return Err(CaptureError::Damaged { offset, what });
            }
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    fn begin_section(&mut self, magic: [u8; 4]) -> Result<(), String> {
        let orders = [ByteOrder::Little, ByteOrder::Big];
        let Some(order) = orders.into_iter().find(|order| order.u32(magic) == BYTE_ORDER) else {
            return Err(format!("a section of the unknown byte order {magic:02x?}"));
        };
        self.order = order;
        self.interfaces.clear();
        Ok(())
    }

    fn describe(&mut self, body: &[u8]) -> Option<()> {
        // The link type is the first half of its word.
        let link = self.order.u16(*body.first_chunk()?);
        let [_, longest] = self.order.words(body)?;
        let (resolution, start) = clock(self.order, body.get(8..)?);
        let interface = Interface { link: LinkType::of(link.into()), longest, resolution, start };
        if self.interfaces.len() < MOST_INTERFACES {
            self.interfaces.push(interface);
        }
        Some(())
    }

    fn frame(&self, kind: u32, body: &[u8]) -> Option<Frame> {
        let interface = |number: u32| self.interfaces.get(number as usize).copied();
        let (interface, time, captured, sent, data) = if kind == SIMPLE_PACKET {
            let [sent] = self.order.words(body)?;
            let data = body.get(4..)?;
            let longest = interface(0).map(|interface| interface.longest).filter(|longest| *longest > 0);
            let captured = sent.min(longest.unwrap_or(u32::MAX)).min(u32::try_from(data.len()).ok()?);
            (interface(0), None, captured, sent, data)
        } else {
            let [number, high, low, captured, sent] = self.order.words(body)?;
            // The old kind counts lost packets in the second half of the interface's word.
            let number = if kind == PACKET { self.order.u16(*body.first_chunk()?).into() } else { number };
            (interface(number), Some(u64::from(high) << 32 | u64::from(low)), captured, sent, body.get(20..)?)
        };
        Some(Frame {
            time_ns: interface.zip(time).map_or(0, |(interface, time)| interface.nanoseconds(time)),
            link: interface.map_or(LinkType::Undescribed, |interface| interface.link),
            octets: data.get(..captured as usize)?.to_vec(),
            cut: sent.saturating_sub(captured) as usize,
        })
    }
}

impl Interface {
    /// A packet's time since 1970.
    fn nanoseconds(self, ticks: u64) -> u64 {
        let exponent = u32::from(self.resolution & 0x7f);
        let per_second = if self.resolution & 0x80 == 0 {
            10_u128.checked_pow(exponent)
        } else {
            1_u128.checked_shl(exponent)
        };
        let Some(per_second) = per_second else { return 0 };
        let since_start = u128::from(ticks) * u128::from(NANOSECONDS) / per_second;
        let start = self.start.saturating_mul(1_000_000_000);
        u64::try_from(since_start).unwrap_or(u64::MAX).saturating_add_signed(start)
    }
}

/// An interface's resolution of times (microseconds where it does not say) and their start, from its options.
fn clock(order: ByteOrder, mut options: &[u8]) -> (u8, i64) {
    let (mut resolution, mut start) = (6, 0);
    while let Some((&[code_0, code_1, length_0, length_1], rest)) = options.split_first_chunk() {
        let (code, length) = (order.u16([code_0, code_1]), usize::from(order.u16([length_0, length_1])));
        let Some(value) = rest.get(..length).filter(|_| code != END_OF_OPTIONS) else { break };
        match (code, value) {
            (TIME_RESOLUTION, [exponent]) => resolution = *exponent,
            (TIME_START, value) => {
                start = value.try_into().map_or(start, |octets| order.u64(octets).cast_signed());
            }
            _ => {}
        }
        options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    (resolution, start)
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
/// The kind before the enhanced one.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const END_OF_OPTIONS: u16 = 0;
const TIME_RESOLUTION: u16 = 9;
const TIME_START: u16 = 14;
/// Interfaces of one section: a capture of all interfaces of a big Node has some thousands.
const MOST_INTERFACES: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_of_ten_and_of_two() {
        let at = |resolution, start, ticks| {
            Interface { link: LinkType::Ethernet, longest: 0, resolution, start }.nanoseconds(ticks)
        };
        assert_eq!(at(6, 0, 1_500_000), 1_500_000_000);
        assert_eq!(at(9, 0, 1_500), 1_500);
        assert_eq!(at(0, 0, 3), 3_000_000_000);
        assert_eq!(at(0x80 | 10, 0, 1 << 11), 2_000_000_000);
        assert_eq!(at(0x7f, 0, u64::MAX), 0);
        assert_eq!(at(6, 100, 1_000_000), 101_000_000_000);
        assert_eq!(at(6, -100, 101_000_000), 1_000_000_000);
        assert_eq!(at(6, i64::MIN, 5), 0);
    }

    #[test]
    fn options_that_say_nothing_of_the_clock_or_are_cut_do_not_hide_it() {
        let options = |parts: &[&[u8]]| clock(ByteOrder::Big, &parts.concat());
        let name: &[u8] = b"\0\x02\0\x03\xff\xfe!\0";
        let zone: &[u8] = b"\0\x0a\0\x04\0\0\0\x01";
        let nanoseconds: &[u8] = b"\0\x09\0\x01\x09\0\0\0";
        let start: &[u8] = b"\0\x0e\0\x08\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(options(&[name, zone, nanoseconds, start, &[0; 4]]), (9, -1));
        // Without an end, with one too early, with one that is cut.
        assert_eq!(options(&[nanoseconds]), (9, 0));
        assert_eq!(options(&[&[0; 4], nanoseconds]), (6, 0));
        assert_eq!(options(&[nanoseconds, b"\0\x0e\0\x08\0"]), (9, 0));
    }
}
