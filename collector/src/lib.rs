//! The collector: IPFIX to documents in Elasticsearch or the embedded store, and the web page.

pub mod document;
