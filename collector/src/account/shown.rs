//! The account on the metrics page: all of one moment, so that what is scraped balances as `/status` does.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};

use super::Account;

/// An account, shown.
#[derive(Debug)]
pub(super) struct Shown(pub(super) Account);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let account = &self.0;
        let metrics: [(&str, &str, &dyn EncodeMetric); 15] = [
            ("received_messages", "Messages taken from sockets.", &account.messages),
            (
                "received_records",
                "Data records decoded, and those that an earlier run left in the spool.",
                &account.records,
            ),
            ("recovered_records", "Records that an earlier run left in the spool.", &account.recovered),
            (
                "options_records",
                "Options records decoded; they are about the exporter and become no documents.",
                &account.options_records,
            ),
            ("stored_records", "Records stored for the first time.", &account.stored),
            ("duplicate_records", "Records that had been stored before.", &account.duplicates),
            ("rejected_records", "Records that the store refused.", &account.rejected),
            ("dropped_records", "Records dropped, by reason.", &account.dropped),
            ("dropped_messages", "Messages not decoded, by reason.", &account.dropped_messages),
            ("in_flight_records", "Records on their way to the store.", &account.in_flight),
            (
                "waited_for_names_records",
                "Records that waited for the owner of an address.",
                &account.waited_for_names,
            ),
            (
                "unnamed_records",
                "Records stored without the owner of an address of the cluster.",
                &account.unnamed,
            ),
            (
                "adjusted_values",
                "Values that were changed to fit a document, by what was done.",
                &account.adjusted,
            ),
            (
                "moved_exporters",
                "UDP exporters that went on under another port, with the templates they had sent before.",
                &account.moved_exporters,
            ),
            (
                "evicted_udp_sessions",
                "UDP sessions forgotten to make room for new ones, with their templates.",
                &account.evicted_sessions,
            ),
        ];
        // No entry is made while these are written.
        let _reading = account.entry();
        for (name, help, metric) in metrics {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::super::Drop;
    use super::*;

    /// The sum of a metric's lines.
    fn metric(page: &str, name: &str) -> i64 {
        let of_it = |line: &&str| {
            let rest = line.strip_prefix("podflow_collector_").and_then(|line| line.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let values = page.lines().filter(of_it).map(|line| line.rsplit(' ').next().unwrap());
        values.map(|value| value.parse::<i64>().unwrap()).sum()
    }

    #[test]
    fn the_page_balances_while_entries_are_made() {
        let mut registry = Registry::default();
        let account = Account::register(&mut registry);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let entries = || {
                for _ in 0..20_000 {
                    account.received(7, 1);
                    account.stored(3);
                    account.duplicates(1);
                    account.rejected(1);
                    account.dropped(Drop::Shutdown, 1);
                }
                ended.store(true, Ordering::Release);
            };
            scope.spawn(entries);
            loop {
                let last = ended.load(Ordering::Acquire);
                let mut page = String::new();
                text::encode(&mut page, &registry).unwrap();
                let outcomes = ["stored", "duplicate", "rejected", "dropped"]
                    .map(|outcome| metric(&page, &format!("{outcome}_records_total")));
                let in_flight = metric(&page, "in_flight_records");
                assert_eq!(
                    metric(&page, "received_records_total"),
                    outcomes.iter().sum::<i64>() + in_flight,
                    "{page}"
                );
                if last {
                    assert_eq!((outcomes, in_flight), ([60_000, 20_000, 20_000, 40_000], 0));
                    break;
                }
            }
        });
    }
}
