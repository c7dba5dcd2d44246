//! The collector: IPFIX to documents in Elasticsearch or the embedded store, and the web page.

pub mod config;

pub mod app;

mod receive;

pub mod definitions;

mod decode;

pub mod document;

mod sink;

pub mod redeliver;

pub mod account;

#[allow(dead_code, unused_imports, reason = "the query API reads what nothing else does")]
pub mod store;

mod es;

mod page;

mod http;
