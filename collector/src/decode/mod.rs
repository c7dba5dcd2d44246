//! Messages to documents in batches. Each decoder is one thread that owns its exporters' sessions.

mod start;
mod templates;

mod assemble;
mod exporters;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::debug;

use podflow_ipfix::collect::{
    CollectingSession, DataRecord, MessageSummary, Received, Sequence, Transport, UdpSessions,
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
pub(crate) use start::{Shared, start};
pub(crate) use templates::TemplateFiles;

/// Sessions of some exporters, and what their records become.
pub(crate) struct Decoder {
    udp: UdpSessions,
    streams: HashMap<u64, CollectingSession>,
    parts: DecoderParts,
    began: Instant,
}

/// What a decoder works with.
pub(crate) struct DecoderParts {
    pub(crate) limits: Arc<Limits>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) assembler: Assembler,
    pub(crate) exporters: Exporters,
    pub(crate) account: Account,
    pub(crate) bad_input: BadInput,
    /// Where its exporters' UDP templates are kept.
    pub(crate) templates: Option<TemplateFiles>,
    /// Whether options records become documents.
    pub(crate) options: bool,
}

impl Decoder {
    /// A decoder that knows the UDP templates that an earlier run kept, and nothing else.
    pub(crate) fn new(parts: DecoderParts) -> Self {
        let mut udp = UdpSessions::new(Arc::clone(&parts.limits), Arc::clone(&parts.registry));
        if let Some(templates) = &parts.templates {
            templates.restore(&mut udp);
        }
        Self { udp, streams: HashMap::new(), parts, began: Instant::now() }
    }

    /// Decodes until the queue is closed and empty, then hands on what is left and ends.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Input>, sink: mpsc::Sender<Batch>) {
        let mut inputs = Vec::with_capacity(ROUND);
        let mut next_expiry = Instant::now() + EXPIRY;
        loop {
            let patience = self.parts.assembler.patience();
            match tokio::time::timeout(patience, queue.recv_many(&mut inputs, ROUND)).await {
                Ok(0) => break,
                Ok(_) => {
                    for input in inputs.drain(..) {
                        self.take(input);
                        send(&mut self.parts.assembler, &sink).await;
                    }
                }
                Err(_) => {}
            }
            self.parts.assembler.ask_again(false);
            self.parts.assembler.close_due();
            send(&mut self.parts.assembler, &sink).await;
            if Instant::now() >= next_expiry {
                next_expiry = Instant::now() + EXPIRY;
                self.udp.expire(self.uptime_ms());
                self.save_templates();
            }
        }
        self.save_templates();
        self.parts.assembler.ask_again(true);
        self.parts.assembler.close();
        send(&mut self.parts.assembler, &sink).await;
    }

    fn take(&mut self, input: Input) {
        let now = self.uptime_ms();
        match input {
            Input::Datagram { from, received_ms, octets, room: _room } => {
                let exporter = from.ip().to_canonical();
                let mut on_record = record_taker(&mut self.parts, exporter, received_ms);
                let received = self.udp.receive(now, from, &octets, &mut on_record);
                drop(on_record);
                let summary = received.map(|received| self.account_for(&received));
                self.settle(exporter, "udp", received_ms, summary, 0);
            }
            Input::Message { connection, kind, from, received_ms, octets, room: _room } => {
                let exporter = from.ip().to_canonical();
                let (limits, registry) = (&self.parts.limits, &self.parts.registry);
                let session = self.streams.entry(connection).or_insert_with(|| {
                    CollectingSession::new(Transport::Stream, Arc::clone(limits), Arc::clone(registry))
                });
                let mut on_record = record_taker(&mut self.parts, exporter, received_ms);
                let summary = session.receive(now, &octets, &mut on_record);
                drop(on_record);
                let templates = session.template_count();
                self.settle(exporter, kind.word(), received_ms, summary, templates);
            }
            Input::Closed { connection } => {
                self.streams.remove(&connection);
            }
        }
    }

    /// Counts what a datagram did to the table of sessions.
    fn account_for(&self, received: &Received) -> MessageSummary {
        if received.templates_taken_over {
            self.parts.account.exporter_moved();
        }
        self.parts.account.sessions_evicted(received.sessions_evicted.into());
        received.summary
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
        let DecoderParts { account, bad_input, exporters, .. } = &self.parts;
        let summary = match summary {
            Ok(summary) => summary,
            Err(error) => {
                account.message_dropped(MessageDrop::Malformed, 1);
                bad_input.note(
                    exporter,
                    error.reason(),
                    format_args!("{transport} message dropped: {error}"),
                );
                return;
            }
        };
        account.options_records(summary.options_records.into());
        let Some(header) = summary.header else { return };
        if let Some(template) = summary.unknown_template {
            let domain = header.domain;
            bad_input.note(
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
            (
                "withdrawals_ignored",
                summary.withdrawals_ignored,
                "withdrawals of templates over UDP, where there are none, or of unknown ones",
            ),
            (
                "descriptions_refused",
                summary.elements_refused,
                "descriptions of elements with a name that misleads, or beyond the limit",
            ),
        ] {
            for _ in 0..count {
                bad_input.note(exporter, kind, what);
            }
        }
        if transport != "udp" && summary.templates_redefined > 0 {
            let what = "template redefined without a withdrawal; the new definition is used";
            bad_input.note(exporter, "template_redefined", what);
        }
        match summary.sequence {
            Sequence::Gap(missing) => debug!(exporter = %exporter, missing, "gap in sequence numbers"),
            Sequence::Unreliable => {
                bad_input.note(exporter, "sequence_unreliable", "sequence numbers that do not count records");
            }
            _ => {}
        }
        exporters.heard(exporter, transport, &header, &summary, templates, received_ms);
    }

    fn save_templates(&self) {
        if let Some(templates) = &self.parts.templates {
            templates.save(&self.udp, self.uptime_ms());
        }
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is done with each record of an exporter's message.
fn record_taker(
    parts: &mut DecoderParts,
    exporter: IpAddr,
    received_ms: i64,
) -> impl FnMut(DataRecord<'_>) + use<'_> {
    let DecoderParts { assembler, exporters, options, .. } = parts;
    let mut skew = None;
    move |record| {
        if record.is_options() && !*options {
            return;
        }
        let skew = *skew.get_or_insert_with(|| exporters.skew_ms(exporter, record.domain()));
        let origin = Origin::of(&record, exporter, received_ms, skew);
        assembler.take(&origin, &record);
    }
}

/// Hands full batches to the sink, and waits where it cannot take more.
async fn send(assembler: &mut Assembler, sink: &mpsc::Sender<Batch>) {
    assembler.account();
    while let Some(batch) = assembler.next_full() {
        // The sink ends after the decoders.
        sink.send(batch).await.unwrap_or_default();
    }
}

/// Messages taken off the queue at once.
const ROUND: usize = 64;

/// How often silent sessions are looked for, and templates kept.
const EXPIRY: Duration = Duration::from_secs(60);
