//! Names for the ends of a flow, and the decision whether this Node exports it.
//!
//! `place` says what an address is from this Node's view, `decide` is the table of who exports what, `name` puts a
//! record together. The agent names only what is local; the collector fills in the rest.

mod place;

mod decide;

mod name;

pub(crate) use decide::{Left, Verdict};
pub(crate) use name::{Names, tcp_state};
