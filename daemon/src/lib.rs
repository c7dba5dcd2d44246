//! What every process of ours needs around its work.
//!
//! Nothing here knows flows or IPFIX. The modules stand in the order in which a process meets them.

pub mod logging;

pub mod config;

pub mod shutdown;

pub mod readiness;

pub mod http;

pub mod tls;

pub mod backoff;
