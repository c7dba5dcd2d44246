//! A borrowed walk over netlink attributes.
//!
//! ```text
//!  0      2      4                      length, rounded up to 4
//!  +------+------+----------------------+---------+
//!  |length| type | value (length - 4)   | padding |
//!  +------+------+----------------------+---------+
//! ```
//! Length and type are in host byte order; the two highest bits of the type are flags. A poll walks some 40 of them
//! for each connection, so nothing here allocates or copies.

/// One attribute: its type without the flag bits, and its value without the padding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The value as one octet.
    pub(crate) fn u8(&self) -> Option<u8> {
        self.value.first().copied()
    }

    /// The value as a 16-bit number in network byte order, as conntrack writes all its numbers.
    pub(crate) fn u16(&self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.value.first_chunk()?))
    }

    /// The value as a 32-bit number in network byte order.
    pub(crate) fn u32(&self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.value.first_chunk()?))
    }

    /// The value as a 64-bit number in network byte order.
    pub(crate) fn u64(&self) -> Option<u64> {
        Some(u64::from_be_bytes(*self.value.first_chunk()?))
    }

    /// The attributes nested in this one.
    pub(crate) fn nested(&self) -> Attributes<'a> {
        Attributes { rest: self.value }
    }
}

/// Iterates over the attributes of a message or of a nesting attribute. It ends at the first one whose length
/// cannot be: what came before it stays good.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (header, _) = self.rest.split_first_chunk::<HEADER>()?;
        let [length_low, length_high, kind_low, kind_high] = *header;
        let length = usize::from(u16::from_ne_bytes([length_low, length_high]));
        let value = self.rest.get(HEADER..length)?;
        // The last attribute of a message may come without its padding.
        self.rest = self.rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(Attribute { kind: u16::from_ne_bytes([kind_low, kind_high]) & KIND_MASK, value })
    }
}

/// Octets of an attribute's header.
const HEADER: usize = 4;

/// Attributes begin at multiples of this.
const ALIGNMENT: usize = 4;

/// The type without NLA_F_NESTED (0x8000) and NLA_F_NET_BYTEORDER (0x4000).
const KIND_MASK: u16 = 0x3fff;

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(HEADER + value.len()).unwrap();
        let mut octets = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        octets.extend_from_slice(value);
        octets.resize(octets.len().next_multiple_of(ALIGNMENT), 0);
        octets
    }

    #[test]
    fn values_are_read_without_their_padding() {
        let octets = [attribute(3, &[7]), attribute(0x8004, &attribute(1, &[0, 0, 1, 2]))].concat();
        let all: Vec<_> = Attributes::new(&octets).collect();
        assert_eq!((all[0].kind, all[0].value, all[0].u8(), all[0].u16()), (3, &[7][..], Some(7), None));
        assert_eq!(all[1].kind, 4);
        assert_eq!(all[1].nested().map(|inner| inner.u32()).collect::<Vec<_>>(), [Some(0x0102)]);
    }

    #[test]
    fn a_length_that_cannot_be_ends_the_walk() {
        for bad_length in [0_u16, 3, 9, u16::MAX] {
            let mut octets = attribute(3, &[7]);
            octets.extend_from_slice(&bad_length.to_ne_bytes());
            octets.extend_from_slice(&[1, 0, 0, 0, 0, 0]);
            let mut walk = Attributes::new(&octets);
            assert_eq!(walk.by_ref().count(), 1, "length {bad_length}");
            assert_eq!(walk.next(), None);
        }
    }

    #[test]
    fn the_last_attribute_may_lack_its_padding() {
        let mut octets = attribute(3, &[7]);
        octets.truncate(5);
        let mut walk = Attributes::new(&octets);
        assert_eq!(walk.next().and_then(|one| one.u8()), Some(7));
        assert_eq!(walk.next(), None);
    }
}
