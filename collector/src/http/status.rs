//! `/status`: the account, the store and the exporters, as JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::account::{Account, Statement};
use crate::decode::{Exporter, Exporters};
use crate::document::time;
use crate::sink::Sink;

/// What `/status` is made from.
pub(crate) struct Status {
    pub(crate) started_ms: i64,
    pub(crate) export_interval: Duration,
    pub(crate) account: Account,
    pub(crate) exporters: Exporters,
    pub(crate) sink: Sink,
    pub(crate) directory: std::sync::Arc<podflow_cluster::Directory>,
}

impl Status {
    /// The page, as of now.
    pub(crate) fn json(&self) -> Value {
        let Statement {
            messages,
            records,
            stored,
            duplicates,
            rejected,
            dropped,
            dropped_messages,
            in_flight,
        } = self.account.statement();
        let (spooled, spooled_octets) = self.sink.waiting();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started": text(self.started_ms),
            "store": {
                "kind": self.sink.kind(), "state": self.sink.state(), "retention": self.sink.retention(),
            },
            "export_interval_seconds": self.export_interval.as_secs(),
            "received": { "messages": messages, "records": records, "dropped_messages": counts(dropped_messages) },
            "stored": stored,
            "duplicates": duplicates,
            "rejected": rejected,
            "dropped": counts(dropped),
            "in_flight": in_flight,
            "spool": { "documents": spooled, "octets": spooled_octets },
            "exporters_forgotten": self.exporters.forgotten(),
            "exporters": self.exporters.all().iter().map(|exporter| self.exporter(exporter)).collect::<Vec<_>>(),
        })
    }

    fn exporter(&self, exporter: &Exporter) -> Value {
        let node = self.directory.node_with_address(exporter.address);
        json!({
            "address": exporter.address,
            "domain": exporter.domain,
            "node": node.map(|node| node.name.to_string()),
            "transport": exporter.transport,
            "messages": exporter.messages,
            "records": exporter.records,
            "gaps": exporter.gaps,
            "templates": exporter.templates,
            "sequence_numbers": if exporter.counts_wrongly { "unreliable" } else { "counted" },
            "not_sent": exporter.not_sent.map(|not_sent| json!({
                "flows": not_sent.flows, "packets": not_sent.packets, "octets": not_sent.octets,
            })),
            "last_seen": text(exporter.last_seen_ms),
            "clock_skew_ms": exporter.skew_ms,
        })
    }
}

fn counts(counts: Vec<(&'static str, u64)>) -> Map<String, Value> {
    counts.into_iter().map(|(reason, count)| (reason.to_owned(), count.into())).collect()
}

fn text(millis: i64) -> String {
    let mut text = Vec::with_capacity(24);
    time::write(millis, &mut text);
    String::from_utf8(text).unwrap_or_default()
}
