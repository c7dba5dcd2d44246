//! What is known of each exporter: for `/status`, and for telling its clock from ours.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use podflow_ipfix::collect::{MessageSummary, NotSent, Sequence};
use podflow_ipfix::message::MessageHeader;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// All exporters heard so far; clones share one table.
#[derive(Clone, Debug)]
pub(crate) struct Exporters {
    table: Arc<Mutex<HashMap<Key, Exporter>>>,
    limit: usize,
    known: Gauge,
    forgotten: Counter,
    gaps: Counter,
}

/// One observation domain of an exporter.
type Key = (IpAddr, u32);

/// What one observation domain of an exporter sent.
#[derive(Clone, Debug)]
pub(crate) struct Exporter {
    /// The exporter's address.
    pub(crate) address: IpAddr,
    /// Its observation domain.
    pub(crate) domain: u32,
    /// `udp`, `tcp` or `tls`.
    pub(crate) transport: &'static str,
    /// Messages decoded.
    pub(crate) messages: u64,
    /// Data records decoded.
    pub(crate) records: u64,
    /// Units missing by its sequence numbers: records, over NetFlow v9 messages.
    pub(crate) gaps: u64,
    /// Templates that it sent, repeated ones counted again over UDP.
    pub(crate) templates: u64,
    /// What it says it could not send, since it started (RFC 7011 section 4.3).
    pub(crate) not_sent: Option<NotSent>,
    /// Whether its sequence numbers have been found not to count, so that no gaps are told.
    pub(crate) counts_wrongly: bool,
    /// When it was heard last, milliseconds since 1970.
    pub(crate) last_seen_ms: i64,
    /// How much less its export times are than our clock, by the quickest of its messages, milliseconds.
    pub(crate) skew_ms: i64,
}

impl Exporters {
    /// A table of at most `limit` exporters.
    pub(crate) fn new(limit: usize) -> Self {
        let (known, forgotten, gaps) = Default::default();
        Self { table: Arc::default(), limit, known, forgotten, gaps }
    }

    /// Shows in `registry` how many there are; which ones, and what each sent, is for `/status`.
    pub(crate) fn show(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("podflow_collector");
        registry.register(
            "exporters",
            "Exporters known, one for each observation domain",
            self.known.clone(),
        );
        registry.register(
            "forgotten_exporters",
            "Exporters that gave way to others because there are too many",
            self.forgotten.clone(),
        );
        registry.register(
            "missing_records",
            "Records (messages of NetFlow v9) that sequence numbers say were sent and did not come, or not yet",
            self.gaps.clone(),
        );
    }

    /// How many had to give way.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.get()
    }

    /// A message came.
    pub(super) fn heard(
        &self,
        address: IpAddr,
        transport: &'static str,
        header: &MessageHeader,
        summary: &MessageSummary,
        templates: usize,
        received_ms: i64,
    ) {
        let mut table = self.lock();
        let key = (address, header.domain);
        if !table.contains_key(&key) && table.len() >= self.limit {
            // The one that was silent longest gives way.
            let oldest = table.iter().min_by_key(|(_, exporter)| exporter.last_seen_ms).map(|(key, _)| *key);
            oldest.and_then(|key| table.remove(&key));
            self.forgotten.inc();
        }
        let behind = received_ms - i64::from(header.export_time) * 1000;
        let exporter = table.entry(key).or_insert(Exporter {
            address,
            domain: header.domain,
            transport,
            messages: 0,
            records: 0,
            gaps: 0,
            templates: 0,
            not_sent: None,
            counts_wrongly: false,
            last_seen_ms: received_ms,
            skew_ms: behind,
        });
        exporter.transport = transport;
        exporter.messages += 1;
        exporter.records += u64::from(summary.records);
        exporter.templates =
            if templates > 0 { templates as u64 } else { exporter.templates.max(summary.templates.into()) };
        match summary.sequence {
            Sequence::Gap(missing) => {
                exporter.gaps += u64::from(missing);
                self.gaps.inc_by(missing.into());
            }
            Sequence::Late(found) => exporter.gaps = exporter.gaps.saturating_sub(found.into()),
            Sequence::Unreliable => {
                // What was taken for gaps was none.
                exporter.counts_wrongly = true;
                exporter.gaps = 0;
            }
            _ => {}
        }
        exporter.not_sent = summary.not_sent.or(exporter.not_sent);
        exporter.last_seen_ms = received_ms;
        // A message can only be late, so the smallest difference is the truest; a clock that is set later shows
        // after a while.
        exporter.skew_ms = behind.min(exporter.skew_ms.saturating_add(SKEW_RISE_MS));
        self.known.set(i64::try_from(table.len()).unwrap_or(i64::MAX));
    }

    /// What to add to an exporter's times to have ours; 0 while its clock agrees within the second that export
    /// times are told in.
    pub(super) fn skew_ms(&self, address: IpAddr, domain: u32) -> i64 {
        let skew = self.lock().get(&(address, domain)).map_or(0, |exporter| exporter.skew_ms);
        if skew.abs() <= AGREES_MS { 0 } else { skew }
    }

    /// Every exporter, by address and domain.
    pub(crate) fn all(&self) -> Vec<Exporter> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by_key(|exporter| (exporter.address, exporter.domain));
        all
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Exporter>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a message may add to the measured skew.
const SKEW_RISE_MS: i64 = 10;

/// Export times are whole seconds, and a batch waits a little in the exporter.
const AGREES_MS: i64 = 3000;

#[cfg(test)]
mod tests {
    use super::*;
    use podflow_ipfix::message::Version;

    fn heard(exporters: &Exporters, address: &str, export_time: u32, received_ms: i64) {
        let header =
            MessageHeader { version: Version::Ipfix, export_time, sequence: 0, domain: 7, uptime: None };
        let summary = MessageSummary { records: 2, sequence: Sequence::Gap(3), ..MessageSummary::default() };
        exporters.heard(address.parse().unwrap(), "udp", &header, &summary, 0, received_ms);
    }

    #[test]
    fn a_clock_that_is_wrong_is_measured() {
        let exporters = Exporters::new(10);
        let address = "10.0.0.5";
        for second in 0..100 {
            // Ten minutes behind, and 0.2 to 1.1 s on the way.
            heard(
                &exporters,
                address,
                1000 + second,
                i64::from(1600 + second) * 1000 + 200 + i64::from(second) * 9,
            );
        }
        let skew = exporters.skew_ms(address.parse().unwrap(), 7);
        assert!((600_000..602_000).contains(&skew), "{skew}");
        heard(&exporters, "10.0.0.6", 1000, 1_001_500);
        assert_eq!(exporters.skew_ms("10.0.0.6".parse().unwrap(), 7), 0, "a second and a half is no skew");
    }

    #[test]
    fn the_table_is_bounded_and_counts() {
        let exporters = Exporters::new(3);
        for number in 1..=5 {
            heard(&exporters, &format!("10.0.0.{number}"), 1000, 1_000_000 + number);
        }
        let all = exporters.all();
        assert_eq!(all.len(), 3);
        assert_eq!((exporters.forgotten(), exporters.known.get(), exporters.gaps.get()), (2, 3, 15));
        assert_eq!(all[0].address, "10.0.0.3".parse::<IpAddr>().unwrap());
        assert_eq!((all[0].messages, all[0].records, all[0].gaps), (1, 2, 3));
    }
}
