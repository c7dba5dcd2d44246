//! What the demo and the tests of the whole share: agents and a collector of one testbed, all in one process.

pub mod local;
