//! What a flow record is: one table of its fields, elements and document types.
//!
//! The agent makes its templates and records from this table, the collector its index mapping, the store its
//! columns and the dashboards their field list. No sockets, no clock, no Kubernetes client.

pub mod kind;
pub mod protocol;

pub mod record;

pub mod field;
pub mod profile;

pub mod session;

pub mod derived;
pub mod index;

pub mod definitions;
pub mod page;

pub use derived::{DERIVED, DerivedField};
pub use field::{FIELDS, Family, Field};
pub use index::IndexType;
pub use kind::{FlowKind, FlowType, Party};
pub use profile::Profile;
pub use record::{Counters, FlowEndReason, FlowRecord};
pub use session::session;
