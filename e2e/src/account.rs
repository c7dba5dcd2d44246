//! The collector's account, which has to balance whenever somebody looks at it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::http;

/// The `/status` of the collector whose page is at `page`.
///
/// # Errors
/// When nobody answers, or received is not what was stored, was there before, was refused, was dropped or is on its way.
pub async fn status(page: &str) -> Result<Value> {
    let status = http::get(&format!("{page}/status")).await?;
    let left = difference(&status).with_context(|| format!("no account: {status}"))?;
    ensure!(left == 0, "the books are off by {left}: {status}");
    Ok(status)
}

fn difference(status: &Value) -> Option<i64> {
    let mut left = status["received"]["records"].as_i64()?;
    for outcome in ["stored", "duplicates", "rejected", "in_flight"] {
        left -= status[outcome].as_i64()?;
    }
    for dropped in status["dropped"].as_object()?.values() {
        left -= dropped.as_i64()?;
    }
    Some(left)
}
