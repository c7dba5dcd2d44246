//! Before the first document: who is there, who deletes old indices, the index template, and indices that are there
//! already.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use elasticsearch::http::Method;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use podflow_daemon::backoff::Backoff;

use crate::receive::now_ms;

use super::lifecycle::{self, Keeper};
use super::product::Product;
use super::template::Abilities;
use super::verdict::Trouble;
use super::{Server, body, foreign, template};

/// Prepares the servers, as often as it takes; `None` when told to stop.
pub(super) async fn prepare(server: &Server, stop: &CancellationToken) -> Option<Keeper> {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
    let mut told = String::new();
    loop {
        let fault = match stop.run_until_cancelled(once(server)).await? {
            Ok((product, keeper)) => {
                info!(
                    server = product.name,
                    template = server.config.template,
                    retention = keeper.text(),
                    "index template is in place"
                );
                server.health.is_known(&product.name);
                server.is_well();
                return Some(keeper);
            }
            Err(fault) => format!("{fault:#}"),
        };
        if fault != told {
            error!("preparing the index template: {fault}; trying again until it works");
            told.clone_from(&fault);
        }
        server.is_ill(Trouble::Unavailable, &fault);
        stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait())).await?;
    }
}

/// Asks who is there and puts what is needed.
async fn once(server: &Server) -> Result<(Product, Keeper)> {
    let product = Product::ask(&server.client).await?;
    let keeper = lifecycle::settle(&server.client, &server.config, &product).await?;
    let lifecycle = match &keeper {
        Keeper::Policy(name) => Some(name.as_str()),
        _ => None,
    };
    put_template(server, Abilities { logsdb: product.has_logsdb(), lifecycle }).await?;
    tell_of_overlaps(server).await?;
    foreign::look(server).await?;
    Ok((product, keeper))
}

async fn put_template(server: &Server, abilities: Abilities<'_>) -> Result<()> {
    let path = format!("_index_template/{}", server.config.template);
    let body = template::body(&server.config, abilities);
    let body = serde_json::to_vec(&body).context("writing the index template")?;
    let answer = server.client.send(Method::Put, &path, Some(body.into())).await?;
    if answer.status == 200 {
        return Ok(());
    }
    let reason: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let reason = reason["error"]["reason"].as_str().map(str::to_owned);
    let reason = reason.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned());
    if reason.contains("same priority") {
        bail!(
            "PUT {path}: {reason}; delete that template, or set store.elasticsearch.templatePriority to a \
             number that no other has"
        );
    }
    bail!("PUT {path}: status {}: {reason}", answer.status);
}

/// Says which other template stands above ours: then indices are not as we want them.
async fn tell_of_overlaps(server: &Server) -> Result<()> {
    let mut index = server.config.index_prefix.clone().into_bytes();
    // A day that no index has: an existing index hides what its template would be.
    body::day(now_ms(), &mut index);
    let index = format!("{}-not-there", String::from_utf8_lossy(&index));
    let path = format!("_index_template/_simulate_index/{index}");
    let answer = server.client.send(Method::Post, &path, None).await?;
    if answer.status != 200 {
        // It is only for a message: not all servers have it.
        return Ok(());
    }
    let simulated: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if simulated["template"]["mappings"]["_meta"]["podflow"].is_string() {
        return Ok(());
    }
    let overlapping = simulated["overlapping"].as_array().into_iter().flatten();
    let names: Vec<&str> = overlapping.filter_map(|other| other["name"].as_str()).collect();
    warn!(
        template = server.config.template,
        others = names.join(", "),
        "another index template stands above ours, so new indices are made after it: raise \
         store.elasticsearch.templatePriority"
    );
    Ok(())
}
