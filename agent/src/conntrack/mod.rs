//! The kernel's connection tracking table: netlink octets in, [`Entry`] values out.
//!
//! Reading goes `socket` → `message` → `attributes` → `entry`. Everything but `socket` and `switches` is pure:
//! it takes octets and gives values, so that recorded dumps and a fuzzer can drive it. This folder knows nothing
//! of flows, names or exports.

pub(crate) mod attributes;

pub(crate) mod entry;

pub(crate) mod message;

pub(crate) mod request;

pub(crate) mod socket;

pub(crate) mod switches;

pub(crate) use entry::{Counters, Entry, Layer4, Tuple, Zones};
