//! What a dashboard is made of, as the page reads it and as `saved` packs it for Kibana.

use serde::Serialize;
use serde_json::Value;

/// A page of panels with a name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dashboard {
    /// Stable: links, URLs and imports over an older file rely on it.
    pub id: String,
    /// What the user picks it by.
    pub title: String,
    /// One sentence on the question that it answers.
    pub description: String,
    /// In the order of reading.
    pub panels: Vec<Panel>,
}

/// One panel and its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// Stable and unique among all dashboards; also the saved object's id.
    pub id: String,
    /// What is drawn, and in which unit.
    pub title: String,
    /// Where on the dashboard.
    pub grid: Grid,
    /// What is drawn.
    #[serde(flatten)]
    pub content: Content,
}

/// A place in Kibana's grid: 48 columns, rows of 20 pixels.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Grid {
    /// Columns from the left.
    pub x: u16,
    /// Rows from the top.
    pub y: u16,
    /// Columns.
    pub w: u16,
    /// Rows.
    pub h: u16,
}

/// What a panel shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Content {
    /// A Vega spec with Kibana's markers in its data requests.
    Vega {
        /// The spec, strict JSON.
        spec: Value,
    },
    /// A table of documents: Kibana's saved search.
    Search {
        /// Document fields, in the order of the columns after the time.
        columns: Vec<String>,
    },
    /// Text with links.
    Markdown {
        /// Kibana's markdown.
        text: String,
    },
}
