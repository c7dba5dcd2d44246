//! Old indices are deleted, if they are ours: by their exact name **and** by the `_meta.podflow` of their mapping.
//! Others of the same prefix are listed once and never touched.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use elasticsearch::http::Method;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::document::time::{DAY_MILLIS, civil};
use crate::receive::now_ms;

use super::lifecycle::{self, Keeper};
use super::{Server, foreign};

/// Every hour until `stop`: what is not ours is looked at, and what is too old is deleted, or dated for the server.
pub(super) async fn run(server: &Server, keeper: &Keeper, stop: &CancellationToken) {
    let mut told = BTreeSet::new();
    loop {
        let round = async {
            foreign::look(server).await?;
            match (keeper, server.config.retention) {
                (Keeper::Collector, Some(retention)) => delete_expired(server, retention, &mut told).await,
                (Keeper::Policy(_), _) => lifecycle::date_indices(server).await,
                _ => Ok(()),
            }
        };
        match stop.run_until_cancelled(round).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(fault)) => warn!("looking after the indices: {fault:#}; trying again in an hour"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(BETWEEN_ROUNDS)).await.is_none() {
            return;
        }
    }
}

async fn delete_expired(server: &Server, retention: Duration, told: &mut BTreeSet<String>) -> Result<()> {
    let prefix = &server.config.index_prefix;
    for name in daily_indices(server).await? {
        let Some(day) = day_of(prefix, &name) else {
            if told.insert(name.clone()) {
                info!(index = name, "not a daily index of ours: retention leaves it alone");
            }
            continue;
        };
        if !is_expired(day, retention, now_ms()) {
            continue;
        }
        if !is_ours(server, &name).await? {
            if told.insert(name.clone()) {
                info!(index = name, "its mapping has no _meta.podflow: retention leaves it alone");
            }
            continue;
        }
        let answer = server.client.send(Method::Delete, &name, None).await?;
        if answer.status != 200 && answer.status != 404 {
            bail!("DELETE {name}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        info!(index = name, "older than the retention: deleted");
    }
    Ok(())
}

/// The indices whose names begin as ours do.
pub(super) async fn daily_indices(server: &Server) -> Result<Vec<String>> {
    let prefix = &server.config.index_prefix;
    let indices = server.client.get(&format!("_cat/indices/{prefix}*?format=json&h=index")).await?;
    let names = indices.as_array().into_iter().flatten().filter_map(|index| index["index"].as_str());
    Ok(names.map(str::to_owned).collect())
}

async fn is_ours(server: &Server, name: &str) -> Result<bool> {
    let mappings = server.client.get(&format!("{name}/_mapping")).await?;
    Ok(mappings[name]["mappings"]["_meta"]["podflow"].is_string())
}

/// The day of an index of exactly our name, as days since 1970.
pub(super) fn day_of(prefix: &str, name: &str) -> Option<i64> {
    let date = name.strip_prefix(prefix)?;
    let mut parts = date.strip_suffix(foreign::BESIDE).unwrap_or(date).split('.');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.bytes().all(|digit| digit.is_ascii_digit()).then(|| part.parse::<i64>().ok())?
    };
    let date = (number(4)?, number(2)?, number(2)?);
    if parts.next().is_some() {
        return None;
    }
    // The day whose date this is; a date that no day has is no date.
    let (year, month, day) = date;
    let near = (year - 1970) * 365 + (year - 1969) / 4 + (month - 1) * 30 + day - 1;
    (near - 40..near + 40).find(|day| civil(*day) == date)
}

/// Whether all of a day's documents are older than the retention.
fn is_expired(day: i64, retention: Duration, now_ms: i64) -> bool {
    let end = (day + 1).saturating_mul(DAY_MILLIS);
    end.saturating_add(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX)) <= now_ms
}

const BETWEEN_ROUNDS: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_have_a_day() {
        for (name, day) in [
            ("flow-1970.01.01", Some(0)),
            ("flow-1970.12.31", Some(364)),
            ("flow-1970.12.31-podflow", Some(364)),
            ("flow-1970.12.31-podflow-podflow", None),
            ("flow-2000.02.29", Some(11_016)),
            ("flow-2026.11.22", Some(20_779)),
            ("flow-2026.02.29", None),
            ("flow-2026.13.01", None),
            ("flow-2026.11", None),
            ("flow-2026.11.22.1", None),
            ("flow-2026-11-22", None),
            ("flow-+026.11.22", None),
            ("flow-aggregator-2026.11.22", None),
            ("flow-", None),
        ] {
            assert_eq!(day_of("flow-", name), day, "{name}");
        }
    }

    #[test]
    fn every_day_of_a_century_is_found() {
        for day in 0..36_600 {
            let (year, month, of_month) = civil(day);
            assert_eq!(day_of("f", &format!("f{year:04}.{month:02}.{of_month:02}")), Some(day));
        }
    }

    #[test]
    fn a_day_expires_when_its_last_moment_does() {
        let week = Duration::from_secs(7 * 86_400);
        assert!(!is_expired(100, week, 108 * DAY_MILLIS - 1));
        assert!(is_expired(100, week, 108 * DAY_MILLIS));
    }
}
