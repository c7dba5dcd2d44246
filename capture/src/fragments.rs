//! Fragmented IP packets put together (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! Fragments come in any order, and more than once. A packet whose fragments overlap with different octets is given
//! up (RFC 5722 section 4), as is one of which the capture cut a fragment. Bounded in packets and octets: the
//! oldest incomplete packet gives way. Each packet that is lost counts once.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use etherparse::defrag::IpDefragBuf;
use etherparse::{IpFragOffset, IpNumber};

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct FragmentKey {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) identification: u32,
    pub(crate) protocol: u8,
}

/// One fragment.
pub(crate) struct Fragment<'a> {
    pub(crate) key: FragmentKey,
    pub(crate) offset: IpFragOffset,
    pub(crate) more: bool,
    pub(crate) payload: &'a [u8],
    /// The capture holds less of it than was sent.
    pub(crate) cut: bool,
}

/// Packets of which not all fragments have come.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    packets: HashMap<FragmentKey, Packet>,
    order: VecDeque<FragmentKey>,
}

#[derive(Debug)]
enum Packet {
    Incomplete(IpDefragBuf),
    /// Lost and counted: its other fragments are passed over.
    GivenUp,
}

impl Fragments {
    /// Takes a fragment; gives the payload out when the packet is whole. Adds to `lost` for each packet given up.
    pub(crate) fn take(&mut self, fragment: &Fragment<'_>, lost: &mut u64) -> Option<Vec<u8>> {
        let key = fragment.key;
        if !self.packets.contains_key(&key) {
            if self.packets.len() >= MOST_PACKETS {
                self.give_up_oldest(lost);
            }
            self.order.push_back(key);
        }
        let packet = self.packets.entry(key).or_insert_with(|| {
            Packet::Incomplete(IpDefragBuf::new(IpNumber(key.protocol), Vec::new(), Vec::new()))
        });
        let Packet::Incomplete(buffer) = packet else { return None };
        let fits = !fragment.cut && !contradicts(buffer, fragment);
        if !fits || buffer.add(fragment.offset, fragment.more, fragment.payload).is_err() {
            *packet = Packet::GivenUp;
            *lost += 1;
            return None;
        }
        if !buffer.is_complete() {
            return None;
        }
        match self.forget(key) {
            Some(Packet::Incomplete(buffer)) => Some(buffer.take_bufs().0),
            _ => None,
        }
    }

    /// How many packets are incomplete.
    pub(crate) fn incomplete(&self) -> usize {
        self.packets.values().filter(|packet| matches!(packet, Packet::Incomplete(_))).count()
    }

    fn give_up_oldest(&mut self, lost: &mut u64) {
        if let Some(oldest) = self.order.pop_front()
            && let Some(Packet::Incomplete(_)) = self.packets.remove(&oldest)
        {
            *lost += 1;
        }
    }

    fn forget(&mut self, key: FragmentKey) -> Option<Packet> {
        self.order.retain(|known| *known != key);
        self.packets.remove(&key)
    }
}

/// Whether a fragment says something else than the fragments before it about the same octets, or lies beyond the end.
fn contradicts(packet: &IpDefragBuf, fragment: &Fragment<'_>) -> bool {
    let start = usize::from(fragment.offset.byte_offset());
    let end = start + fragment.payload.len();
    let ends_before_known = !fragment.more && packet.data().len() > end;
    ends_before_known
        || packet.sections().iter().any(|known| {
            let (from, to) = (start.max(known.start.into()), end.min(known.end.into()));
            from < to && packet.data().get(from..to) != fragment.payload.get(from - start..to - start)
        })
}

/// Incomplete packets that are kept: of at most 64 kB each, 16 MB in all.
pub(crate) const MOST_PACKETS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(identification: u32) -> FragmentKey {
        let address = IpAddr::from([10, 0, 0, 1]);
        FragmentKey { source: address, destination: address, identification, protocol: 17 }
    }

    fn fragment(identification: u32, eighths: u16, more: bool, payload: &[u8]) -> Fragment<'_> {
        let offset = IpFragOffset::try_new(eighths).unwrap();
        Fragment { key: key(identification), offset, more, payload, cut: false }
    }

    /// The octets of a packet from one of its eighths to another.
    fn octets(from: u8, to: u8) -> Vec<u8> {
        (from..to).flat_map(|eighth| [eighth; 8]).collect()
    }

    #[test]
    fn in_any_order_and_more_than_once() {
        let parts = [(0, octets(0, 2)), (2, octets(2, 4)), (4, octets(4, 5))];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let (mut fragments, mut lost) = (Fragments::default(), 0);
            let mut take = |place: usize| {
                let (eighths, payload) = &parts[place];
                fragments.take(&fragment(7, *eighths, *eighths < 4, payload), &mut lost)
            };
            assert_eq!(take(order[0]), None);
            assert_eq!(take(order[0]), None, "the same again");
            assert_eq!(take(order[1]), None);
            assert_eq!(take(order[2]), Some(octets(0, 5)), "{order:?}");
            assert_eq!((lost, fragments.incomplete()), (0, 0));
        }
    }

    #[test]
    fn overlapping_ones_agree_or_the_packet_is_lost_once() {
        let (mut fragments, mut lost) = (Fragments::default(), 0);
        assert_eq!(fragments.take(&fragment(1, 0, true, &octets(0, 3)), &mut lost), None);
        assert_eq!(fragments.take(&fragment(1, 1, false, &octets(1, 5)), &mut lost), Some(octets(0, 5)));
        assert_eq!(fragments.take(&fragment(2, 0, true, &octets(0, 3)), &mut lost), None);
        assert_eq!(fragments.take(&fragment(2, 2, false, &octets(9, 12)), &mut lost), None);
        assert_eq!(lost, 1);
        // Its last fragments do not make a packet of what is left, nor count again.
        assert_eq!(fragments.take(&fragment(2, 0, true, &octets(0, 3)), &mut lost), None);
        assert_eq!(fragments.take(&fragment(2, 3, false, &octets(3, 5)), &mut lost), None);
        assert_eq!((lost, fragments.incomplete()), (1, 0));
        // An end before what is known.
        assert_eq!(fragments.take(&fragment(3, 2, true, &octets(2, 4)), &mut lost), None);
        assert_eq!(fragments.take(&fragment(3, 1, false, &octets(1, 3)), &mut lost), None);
        assert_eq!(lost, 2);
    }

    #[test]
    fn a_cut_fragment_loses_its_packet() {
        let (mut fragments, mut lost) = (Fragments::default(), 0);
        let last = octets(1, 2);
        assert_eq!(fragments.take(&fragment(1, 0, true, &octets(0, 1)), &mut lost), None);
        let cut = Fragment { cut: true, ..fragment(1, 1, false, &last) };
        assert_eq!(fragments.take(&cut, &mut lost), None);
        assert_eq!((lost, fragments.incomplete()), (1, 0));
    }

    #[test]
    fn the_oldest_of_too_many_gives_way() {
        let (mut fragments, mut lost) = (Fragments::default(), 0);
        let most = u32::try_from(MOST_PACKETS).unwrap();
        for identification in 0..most {
            assert_eq!(fragments.take(&fragment(identification, 0, true, &octets(0, 1)), &mut lost), None);
        }
        assert_eq!((lost, fragments.incomplete()), (0, MOST_PACKETS));
        assert_eq!(fragments.take(&fragment(most, 0, true, &octets(0, 1)), &mut lost), None);
        assert_eq!((lost, fragments.incomplete()), (1, MOST_PACKETS));
        let last = octets(1, 2);
        assert_eq!(fragments.take(&fragment(1, 1, false, &last), &mut lost), Some(octets(0, 2)));
        assert_eq!(fragments.take(&fragment(0, 1, false, &last), &mut lost), None, "it gave way");
    }
}
