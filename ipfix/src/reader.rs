//! A borrowed slice with a cursor that knows its offset in the message.
//!
//! A child made with [`Reader::sub`] cannot see beyond its part. No index is computed outside this file; every
//! failure names what was being read and where.

use crate::error::DecodeError;

/// Octets still to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets, offset: 0 }
    }

    /// A reader of octets that stand at `offset` in their message.
    pub(crate) const fn at(octets: &'a [u8], offset: usize) -> Self {
        Self { rest: octets, offset }
    }

    /// Where in the message the next octet stands.
    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    /// What is still to be read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, wanted: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(wanted) else {
            return Err(DecodeError::Truncated { what, offset: self.offset, wanted, left: self.rest.len() });
        };
        self.rest = rest;
        self.offset += wanted;
        Ok(taken)
    }

    pub(crate) fn sub(&mut self, wanted: usize, what: &'static str) -> Result<Self, DecodeError> {
        let offset = self.offset;
        Ok(Self::at(self.take(wanted, what)?, offset))
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError::Truncated {
                what,
                offset: self.offset,
                wanted: N,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        self.offset += N;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array::<2>(what).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array::<4>(what).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array::<8>(what).map(u64::from_be_bytes)
    }

    /// The octets of one field: a fixed length, or the variable-length form of RFC 7011 section 7: one octet
    /// of length, or 255 and two octets of length.
    pub(crate) fn field(&mut self, length: u16) -> Result<&'a [u8], DecodeError> {
        let length = match length {
            VARIABLE_LENGTH => match self.u8("length of a variable-length field")? {
                255 => usize::from(self.u16("long length of a variable-length field")?),
                short => usize::from(short),
            },
            fixed => usize::from(fixed),
        };
        self.take(length, "field")
    }

    /// Leaves out so many octets; `None` where there are fewer.
    #[inline]
    pub(crate) fn skip(&mut self, octets: usize) -> Option<()> {
        let (_, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        self.offset += octets;
        Some(())
    }

    /// The octets of one field of a record that was measured before: as [`Self::field`], without a word on what is wrong.
    #[inline]
    pub(crate) fn measured(&mut self, length: u16) -> Option<&'a [u8]> {
        let (length, before) = match (length, self.rest) {
            (VARIABLE_LENGTH, [255, high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 3),
            (VARIABLE_LENGTH, [255, ..] | []) => return None,
            (VARIABLE_LENGTH, [short, ..]) => (usize::from(*short), 1),
            (fixed, _) => (usize::from(fixed), 0),
        };
        let (_, rest) = self.rest.split_at_checked(before)?;
        let (taken, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        self.offset += before + length;
        Some(taken)
    }
}

/// The field length that says "each record carries its own" (RFC 7011 section 7).
pub(crate) const VARIABLE_LENGTH: u16 = 65_535;
