//! pcap and pcapng files, one frame after the other: what both formats have in common.
//!
//! Both are counts and lengths before octets. They are read here rather than by a library, because a capture has to
//! be read to its last whole packet whatever else is in it: the libraries end at an option or an interface name that
//! they do not understand, and lose why a file could not be read.

use std::io::{self, Read};

use thiserror::Error;

use crate::link::LinkType;
use crate::pcap::Pcap;
use crate::pcapng::PcapNg;

/// Why a capture file cannot be read (on). What stood before it has been read.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The operating system says.
    #[error("reading the capture file at octet {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// As when the capturing program was killed, or the disk was full.
    #[error("the capture file ends at octet {offset}, within {what}")]
    Cut {
        /// Where it ends.
        offset: u64,
        /// What is not whole.
        what: &'static str,
    },
    /// A length or number that cannot be; where the next packet begins is not known.
    #[error("the capture file is damaged at octet {offset}: {what}")]
    Damaged {
        /// Where the packet or block begins.
        offset: u64,
        /// What was found.
        what: String,
    },
}

/// One frame as captured.
#[derive(Clone, Debug, Eq, PartialEq)]
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
#[derive(Debug)]
pub struct CaptureFile<R: Read> {
    octets: Octets<R>,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

impl<R: Read> CaptureFile<R> {
    /// Reads the file's header. `magic` are its first octets, which tell the formats apart; the reader begins
    /// with them all the same.
    ///
    /// # Errors
    /// When the header is not whole.
    pub fn open(magic: [u8; 4], reader: R) -> Result<Self, CaptureError> {
        let mut octets = Octets { reader, offset: 0 };
        let format = match Pcap::of(magic) {
            Some(pcap) => Format::Pcap(pcap.open(&mut octets)?),
            None => Format::PcapNg(PcapNg::default()),
        };
        Ok(Self { octets, format })
    }

    /// Whether a file that begins with these octets is a capture file.
    pub fn is_capture(magic: [u8; 4]) -> bool {
        PcapNg::is(magic) || Pcap::of(magic).is_some()
    }

    /// The next frame; none at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn next_frame(&mut self) -> Option<Result<Frame, CaptureError>> {
        match &mut self.format {
            Format::Pcap(pcap) => pcap.next_frame(&mut self.octets).transpose(),
            Format::PcapNg(pcapng) => pcapng.next_frame(&mut self.octets).transpose(),
        }
    }
}

/// The file's octets, with how many have been read.
#[derive(Debug)]
pub(crate) struct Octets<R: Read> {
    reader: R,
    offset: u64,
}

impl<R: Read> Octets<R> {
    /// How many have been read.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next so many octets; none when the file ends exactly here.
    pub(crate) fn next<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<Option<[u8; N]>, CaptureError> {
        let mut octets = [0; N];
        let before = self.offset;
        match self.fill(&mut octets, what) {
            Ok(()) => Ok(Some(octets)),
            Err(CaptureError::Cut { offset, .. }) if offset == before => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next so many octets, which must be there.
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CaptureError> {
        let mut octets = [0; N];
        self.fill(&mut octets, what)?;
        Ok(octets)
    }

    /// The next so many octets, which must be there. Memory is taken for those that are, not for those that a
    /// damaged length promises.
    pub(crate) fn vector(&mut self, length: usize, what: &'static str) -> Result<Vec<u8>, CaptureError> {
        let mut octets = Vec::with_capacity(length.min(TAKEN_AT_ONCE));
        while octets.len() < length {
            let before = octets.len();
            octets.resize(length.min(before + TAKEN_AT_ONCE), 0);
            self.fill(octets.get_mut(before..).unwrap_or_default(), what)?;
        }
        Ok(octets)
    }

    /// Passes over octets, which must be there.
    pub(crate) fn skip(&mut self, mut length: u64, what: &'static str) -> Result<(), CaptureError> {
        let mut buffer = [0; 4_096];
        while length > 0 {
            let next = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
            let Some(part) = buffer.get_mut(..next) else { break };
            self.fill(part, what)?;
            length -= next as u64;
        }
        Ok(())
    }

    fn fill(&mut self, mut buffer: &mut [u8], what: &'static str) -> Result<(), CaptureError> {
        while !buffer.is_empty() {
            match self.reader.read(buffer) {
                Ok(0) => return Err(CaptureError::Cut { offset: self.offset, what }),
                Ok(read) => {
                    self.offset += read as u64;
                    buffer = buffer.get_mut(read..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(CaptureError::Read { offset: self.offset, source }),
            }
        }
        Ok(())
    }
}

/// Numbers in the byte order of the machine that captured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    pub(crate) const fn u16(self, octets: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(octets),
            Self::Big => u16::from_be_bytes(octets),
        }
    }

    pub(crate) const fn u32(self, octets: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(octets),
            Self::Big => u32::from_be_bytes(octets),
        }
    }

    pub(crate) const fn u64(self, octets: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(octets),
            Self::Big => u64::from_be_bytes(octets),
        }
    }

    /// So many 32-bit numbers from the beginning of `octets`; none where it is shorter.
    pub(crate) fn words<const N: usize>(self, octets: &[u8]) -> Option<[u32; N]> {
        let mut words = [0; N];
        for (word, octets) in words.iter_mut().zip(octets.get(..N * 4)?.chunks_exact(4)) {
            *word = self.u32(octets.try_into().ok()?);
        }
        Some(words)
    }
}

/// Octets of one packet at most. The capture library of all common programs takes no more than 256 kB (128 MB of USB
/// frames, in which there is no IP).
pub(crate) const MOST_OCTETS: usize = 16 << 20;
/// Memory that is taken before there are octets for it: most packets.
const TAKEN_AT_ONCE: usize = 4 * 1_024;
pub(crate) const NANOSECONDS: u64 = 1_000_000_000;
