//! The collector: IPFIX to documents in Elasticsearch or the embedded store, and the web page.

pub mod document;

#[allow(dead_code, unused_imports, reason = "the query API reads what nothing else does")]
pub mod store;
