//! Connection tracking tables: netlink octets, or Open vSwitch's text, in; [`Entry`] values out.
//!
//! Reading the kernel's goes `socket` → `message` → `attributes` → `entry`; `ovs` is the other table, and `source`
//! the choice between them. Everything but `socket`, `ovs` and `switches` is pure: it takes octets and gives values,
//! so that recorded dumps and a fuzzer can drive it. This folder knows nothing of flows, names or exports.

pub(crate) mod attributes;

pub(crate) mod entry;

pub(crate) mod message;

pub(crate) mod request;

pub(crate) mod socket;

pub(crate) mod ovs;

pub(crate) mod source;

pub(crate) mod zones;

pub(crate) mod switches;

pub(crate) use entry::{Counters, Entry, Layer4, Tuple, Zones};
