//! The collector: IPFIX to documents in Elasticsearch or the embedded store, and the web page.

pub mod config;

pub mod app;

mod receive;

pub mod definitions;

mod decode;

pub mod document;

mod live;

mod sink;

pub mod redeliver;

pub mod account;

pub mod store;

pub mod es;

mod page;

pub mod kibana;

mod http;
