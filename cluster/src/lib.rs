//! Who is behind an address at a time: Pods, Services and Nodes, from the Kubernetes API or an inventory file.
//!
//! Sources write into one [`Directory`]; agent and collector only read it. Nothing here knows flows.

pub mod inventory;
pub mod kubernetes;

pub mod object;

pub mod directory;

mod services;
mod shared;
mod tenure;

pub use directory::{Directory, Owner};
pub use inventory::Inventory;
pub use object::{Node, Pod, Service, ServicePort, ServicePortName};
