//! From a decoded record to the document that is stored (design: documents and indices).

pub mod model;
