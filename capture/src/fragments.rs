//! Fragmented IP packets put together (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! Bounded in packets and octets: the oldest incomplete packet gives way and is counted.

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
}

/// Packets of which not all fragments have come.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    packets: HashMap<FragmentKey, IpDefragBuf>,
    order: VecDeque<FragmentKey>,
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
        let empty = || IpDefragBuf::new(IpNumber(key.protocol), Vec::new(), Vec::new());
        let packet = self.packets.entry(key).or_insert_with(empty);
        if packet.add(fragment.offset, fragment.more, fragment.payload).is_err() {
            self.forget(key);
            *lost += 1;
            return None;
        }
        if !packet.is_complete() {
            return None;
        }
        self.forget(key).map(|packet| packet.take_bufs().0)
    }

    /// How many packets are incomplete.
    pub(crate) fn incomplete(&self) -> usize {
        self.packets.len()
    }

    fn give_up_oldest(&mut self, lost: &mut u64) {
        if let Some(oldest) = self.order.pop_front() {
            self.packets.remove(&oldest);
            *lost += 1;
        }
    }

    fn forget(&mut self, key: FragmentKey) -> Option<IpDefragBuf> {
        self.order.retain(|known| *known != key);
        self.packets.remove(&key)
    }
}

/// Incomplete packets that are kept: of at most 64 kB each, 16 MB in all.
const MOST_PACKETS: usize = 256;
