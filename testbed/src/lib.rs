//! Nodes and Pods as network namespaces on one machine, with real traffic.
//!
//! The namespaces are anonymous: only file descriptors of this process hold them, so whatever ends the
//! process ends them too, and the machine's own network namespace is never changed. What the kernel
//! counted can be read back from conntrack and from nftables, to be compared with what was exported.

pub mod user_namespace;

pub mod tools;

pub mod folder;

pub mod namespace;

pub mod shape;

pub mod plan;

mod links;

mod tracking;

mod inventory;

pub mod bed;

pub mod stop;

pub mod traffic;

pub mod counts;

pub use bed::{Node, Pod, Service, Testbed};
pub use folder::Folder;
pub use namespace::Namespace;
pub use shape::Shape;
pub use stop::Stop;
pub use tracking::{ZONE_IPV4, ZONE_IPV6};
