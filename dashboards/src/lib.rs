//! The dashboards' sources, made into saved objects for Kibana and served to the web page.
//!
//! A dashboard is a list of panels; a panel is a Vega spec made from a template under `specs/`, a table of
//! flow records, or text. Kibana gets them as `kibana.ndjson`, our own page as JSON; the specs are the same.

mod template;

mod panel;

mod catalogue;

mod fields;

mod saved;

mod requests;

mod check;

pub use catalogue::dashboards;
pub use check::{Fault, Target, check};
pub use fields::{IndexField, index_fields};
pub use panel::{Content, Dashboard, Grid, Panel};
pub use requests::{Request, requests};
pub use saved::{INDEX_PATTERN, kibana_ndjson, opensearch_ndjson};
pub use template::TemplateError;
