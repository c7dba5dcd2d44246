//! Retention by the server's own index lifecycle management, where it has that: a policy that deletes, and for each
//! daily index the day from which its age counts.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use elasticsearch::http::Method;
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use crate::config::Elasticsearch as Config;
use crate::document::time::DAY_MILLIS;

use super::product::Product;
use super::retention::{daily_indices, day_of};
use super::{Client, Server};

/// Who deletes old indices.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Keeper {
    /// Nobody: the configuration says so.
    Nobody,
    /// A policy that the configuration's own index settings name.
    Users,
    /// A policy of the server, which we put there.
    Policy(String),
    /// This collector.
    Collector,
}

impl Keeper {
    /// In a few words, for the log and `/status`.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Nobody => "none: indices are kept".to_owned(),
            Self::Users => "by the lifecycle policy that store.elasticsearch.settings names".to_owned(),
            Self::Policy(name) => format!("by the server's lifecycle policy {name}"),
            Self::Collector => "by this collector, which deletes its own indices".to_owned(),
        }
    }
}

/// Finds out who does it, and puts the policy there where the server does.
///
/// # Errors
/// When the server does not answer, or refuses the policy.
pub(super) async fn settle(client: &Client, config: &Config, product: &Product) -> Result<Keeper> {
    if names_policy(&config.settings) {
        return Ok(Keeper::Users);
    }
    let Some(retention) = config.retention else { return Ok(Keeper::Nobody) };
    let status = client.send(Method::Get, "_ilm/status", None).await?;
    if status.status != 200 {
        return Ok(Keeper::Collector);
    }
    let status: Value = serde_json::from_slice(&status.body).unwrap_or_default();
    if status["operation_mode"].as_str().is_some_and(|mode| mode != "RUNNING") {
        warn!(mode = status["operation_mode"].as_str(), "lifecycle management of the server is not running");
    }
    let name = &config.template;
    let path = format!("_ilm/policy/{name}");
    let body = serde_json::to_vec(&policy(retention, product)).context("writing the lifecycle policy")?;
    let answer = client.send(Method::Put, &path, Some(body.into())).await?;
    if answer.status != 200 {
        bail!("PUT {path}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(Keeper::Policy(name.clone()))
}

/// Tells the server from which day each of our daily indices counts; by itself it counts from their creation, and a late
/// record's index would be kept too long.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn date_indices(server: &Server) -> Result<()> {
    let prefix = &server.config.index_prefix;
    let settings = server.client.get(&format!("{prefix}*/_settings/index.lifecycle.*")).await?;
    for name in daily_indices(server).await? {
        let Some(day) = day_of(prefix, &name) else { continue };
        let lifecycle = &settings[&name]["settings"]["index"]["lifecycle"];
        // Only those that our template made have our policy.
        if lifecycle["name"] != server.config.template.as_str() || !lifecycle["origination_date"].is_null() {
            continue;
        }
        let path = format!("{name}/_settings");
        let body = json!({ "index.lifecycle.origination_date": day.saturating_mul(DAY_MILLIS) });
        let body = serde_json::to_vec(&body).context("writing settings")?;
        let answer = server.client.send(Method::Put, &path, Some(body.into())).await?;
        if answer.status != 200 {
            bail!("PUT {path}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        info!(index = name, "the index's age counts from its day");
    }
    Ok(())
}

/// Deletes an index when the last of its day is older than the retention.
fn policy(retention: Duration, product: &Product) -> Value {
    let hours = retention.as_secs().div_ceil(3600) + 24;
    let mut policy = json!({ "phases": {
        "hot": { "min_age": "0ms", "actions": {} },
        "delete": { "min_age": format!("{hours}h"), "actions": { "delete": {} } },
    } });
    if product.has_policy_meta() {
        policy["_meta"] = json!({ "podflow": env!("CARGO_PKG_VERSION") });
    }
    json!({ "policy": policy })
}

/// Whether index settings name a policy, in any of the notations that servers take.
fn names_policy(settings: &Map<String, Value>) -> bool {
    settings.contains_key("lifecycle.name")
        || settings.contains_key("index.lifecycle.name")
        || settings.get("lifecycle").is_some_and(|lifecycle| !lifecycle["name"].is_null())
        || settings
            .get("index")
            .is_some_and(|index| !index["lifecycle"]["name"].is_null() || !index["lifecycle.name"].is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_own_policy_is_seen() {
        for (settings, named) in [
            (json!({"lifecycle.name": "mine"}), true),
            (json!({"index.lifecycle.name": "mine"}), true),
            (json!({"lifecycle": {"name": "mine"}}), true),
            (json!({"index": {"lifecycle": {"name": "mine"}}}), true),
            (json!({"codec": "best_compression"}), false),
            (json!({"lifecycle": {"parse_origination_date": true}}), false),
        ] {
            assert_eq!(names_policy(settings.as_object().unwrap()), named, "{settings}");
        }
    }
}
