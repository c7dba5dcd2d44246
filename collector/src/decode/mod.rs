//! Messages to documents in batches. Each decoder is one thread that owns its exporters' sessions.

mod assemble;
mod exporters;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::debug;

use podflow_ipfix::collect::{
    CollectingSession, DataRecord, MessageSummary, Sequence, Transport, UdpSessions,
};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::{DecodeError, Limits};

use crate::account::{Account, MessageDrop};
use crate::document::shape::Origin;
use crate::receive::Input;
use crate::receive::bad_input::BadInput;
use crate::sink::Batch;

pub(crate) use assemble::{Assembler, AssemblerSettings};
pub(crate) use exporters::{Exporter, Exporters};

/// Sessions of some exporters, and what their records become.
pub(crate) struct Decoder {
    udp: UdpSessions,
    streams: HashMap<u64, CollectingSession>,
    limits: Arc<Limits>,
    registry: Arc<Registry>,
    assembler: Assembler,
    exporters: Exporters,
    account: Account,
    bad_input: BadInput,
    began: Instant,
}

impl Decoder {
    /// A decoder without sessions.
    pub(crate) fn new(
        limits: Arc<Limits>,
        registry: Arc<Registry>,
        assembler: Assembler,
        exporters: Exporters,
        account: Account,
        bad_input: BadInput,
    ) -> Self {
        Self {
            udp: UdpSessions::new(Arc::clone(&limits), Arc::clone(&registry)),
            streams: HashMap::new(),
            limits,
            registry,
            assembler,
            exporters,
            account,
            bad_input,
            began: Instant::now(),
        }
    }

    /// Decodes until the queue is closed and empty, then hands on what is left and ends.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Input>, sink: mpsc::Sender<Batch>) {
        let mut inputs = Vec::with_capacity(ROUND);
        let mut next_expiry = Instant::now() + EXPIRY;
        loop {
            let patience = self.assembler.patience();
            match tokio::time::timeout(patience, queue.recv_many(&mut inputs, ROUND)).await {
                Ok(0) => break,
                Ok(_) => {
                    for input in inputs.drain(..) {
                        self.take(input);
                        send(&mut self.assembler, &sink).await;
                    }
                }
                Err(_) => {}
            }
            self.assembler.ask_again(false);
            self.assembler.close_due();
            send(&mut self.assembler, &sink).await;
            if Instant::now() >= next_expiry {
                next_expiry = Instant::now() + EXPIRY;
                self.udp.expire(self.uptime_ms());
            }
        }
        self.assembler.ask_again(true);
        self.assembler.close();
        send(&mut self.assembler, &sink).await;
    }

    fn take(&mut self, input: Input) {
        let now = self.uptime_ms();
        match input {
            Input::Datagram { from, received_ms, octets } => {
                let exporter = from.ip().to_canonical();
                let Self { udp, assembler, exporters, .. } = self;
                let received = udp.receive(
                    now,
                    from,
                    &octets,
                    &mut record_taker(assembler, exporters, exporter, received_ms),
                );
                let summary = received.map(|received| received.summary);
                self.settle(exporter, "udp", received_ms, summary, 0);
            }
            Input::Message { connection, from, received_ms, octets } => {
                let exporter = from.ip().to_canonical();
                let Self { streams, assembler, exporters, limits, registry, .. } = self;
                let session = streams.entry(connection).or_insert_with(|| {
                    CollectingSession::new(Transport::Stream, Arc::clone(limits), Arc::clone(registry))
                });
                let summary = session.receive(
                    now,
                    &octets,
                    &mut record_taker(assembler, exporters, exporter, received_ms),
                );
                let templates = session.template_count();
                self.settle(exporter, "tcp", received_ms, summary, templates);
            }
            Input::Closed { connection } => {
                self.streams.remove(&connection);
            }
        }
    }

    /// Counts what a message was, and says what was wrong with it.
    fn settle(
        &self,
        exporter: IpAddr,
        transport: &'static str,
        received_ms: i64,
        summary: Result<MessageSummary, DecodeError>,
        templates: usize,
    ) {
        let summary = match summary {
            Ok(summary) => summary,
            Err(error) => {
                self.account.message_dropped(MessageDrop::Malformed, 1);
                self.bad_input.note(
                    exporter,
                    error.reason(),
                    format_args!("{transport} message dropped: {error}"),
                );
                return;
            }
        };
        self.account.options_records(summary.options_records.into());
        let Some(header) = summary.header else { return };
        if let Some(template) = summary.unknown_template {
            let domain = header.domain;
            self.bad_input.note(
                exporter,
                "unknown_template",
                format_args!(
                    "no template {template} for observation domain {domain}; its data is held a while"
                ),
            );
        }
        for (kind, count, what) in [
            ("lost_sets", summary.sets_lost, "data sets given up: their template did not come"),
            ("reserved_sets", summary.sets_reserved, "sets with reserved ids skipped"),
            ("templates_refused", summary.templates_refused, "templates refused: the session has too many"),
        ] {
            for _ in 0..count {
                self.bad_input.note(exporter, kind, what);
            }
        }
        if transport == "tcp" && summary.templates_redefined > 0 {
            let what = "template redefined without a withdrawal; the new definition is used";
            self.bad_input.note(exporter, "template_redefined", what);
        }
        match summary.sequence {
            Sequence::Gap(missing) => debug!(exporter = %exporter, missing, "gap in sequence numbers"),
            Sequence::Unreliable => {
                self.bad_input.note(
                    exporter,
                    "sequence_unreliable",
                    "sequence numbers that do not count records",
                );
            }
            _ => {}
        }
        self.exporters.heard(exporter, transport, &header, &summary, templates, received_ms);
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is done with each record of an exporter's message.
fn record_taker<'s>(
    assembler: &'s mut Assembler,
    exporters: &'s Exporters,
    exporter: IpAddr,
    received_ms: i64,
) -> impl FnMut(DataRecord<'_>) + 's {
    let mut skew = None;
    move |record| {
        if record.is_options() {
            return;
        }
        let skew = *skew.get_or_insert_with(|| exporters.skew_ms(exporter, record.domain()));
        let origin = Origin::of(&record, exporter, received_ms, skew);
        assembler.take(&origin, record.fields());
    }
}

/// Hands full batches to the sink, and waits where it cannot take more.
async fn send(assembler: &mut Assembler, sink: &mpsc::Sender<Batch>) {
    while let Some(batch) = assembler.next_full() {
        // The sink ends after the decoders.
        sink.send(batch).await.unwrap_or_default();
    }
}

/// Messages taken off the queue at once.
const ROUND: usize = 64;

/// How often silent sessions are looked for.
const EXPIRY: Duration = Duration::from_secs(60);
