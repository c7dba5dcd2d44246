//! Fills messages with records and knows, until they are sent, which reports they hold.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use podflow_flow::{FlowRecord, Profile, profile};
use podflow_ipfix::error::EncodeError;
use podflow_ipfix::export::{ExportSettings, ExportingSession, Message};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::TemplateId;

use super::options;
use crate::store::{Report, Tally};

/// One transport session's messages.
pub(crate) struct Session {
    profile: Profile,
    registry: Registry,
    messages: ExportingSession,
    /// Reports in messages that were not sent yet, in the order of the messages.
    in_hand: VecDeque<Report>,
    /// Sequence number of the next message that is sent. Messages that are sent again count, so it is ours to keep.
    sequence: u32,
}

/// What adding a record did beside adding it.
pub(crate) struct Added {
    /// Strings were cut so that it fits a datagram.
    pub(crate) strings_cut: bool,
}

impl Session {
    /// A session that begins with its templates.
    pub(crate) fn new(profile: Profile, settings: ExportSettings) -> Result<Self> {
        let registry = Registry::standard();
        let mut templates = vec![profile.template(true)?, profile.template(false)?];
        templates.extend(options::templates(profile)?);
        let messages = ExportingSession::new(settings, templates, &registry)
            .context("making the export session's templates")?;
        Ok(Self { profile, registry, messages, in_hand: VecDeque::new(), sequence: 0 })
    }

    /// Adds the record of a report.
    ///
    /// # Errors
    /// When it cannot be written; then nothing was added.
    pub(crate) fn add(&mut self, report: Report, record: &FlowRecord<'_>) -> Result<Added, EncodeError> {
        let id = if record.is_ipv4() { profile::TEMPLATE_IPV4 } else { profile::TEMPLATE_IPV6 };
        let added =
            self.messages.add(report.made_ms, TemplateId::constant(id), self.profile.values(record))?;
        self.in_hand.push_back(report);
        Ok(Added { strings_cut: added.strings_cut })
    }

    /// Templates, and with the full profile the options records: what a session begins with and says again now and
    /// then, so that a path and a collector without traffic stay warm.
    ///
    /// # Errors
    /// When an options record is not as its template; then the templates went without it.
    pub(crate) fn introduce(&mut self, tally: &Tally, now_ms: u64) -> Result<(), EncodeError> {
        self.messages.send_templates(now_ms);
        let outcome = if self.profile.sends_options() { self.add_options(tally, now_ms) } else { Ok(()) };
        self.messages.flush(now_ms);
        outcome
    }

    fn add_options(&mut self, tally: &Tally, now_ms: u64) -> Result<(), EncodeError> {
        self.messages.add(now_ms, options::statistics_id(), options::statistics(tally))?;
        for record in options::types(self.profile, &self.registry) {
            self.messages.add(now_ms, options::types_id(), record)?;
        }
        Ok(())
    }

    /// Makes what was added ready to be sent.
    pub(crate) fn flush(&mut self, now_ms: u64) {
        self.messages.flush(now_ms);
    }

    /// The next message.
    pub(crate) fn next_message(&mut self) -> Option<Message> {
        self.messages.next_message()
    }

    /// Gives a message its sequence number (RFC 7011 section 3.1: octets 8 to 11), just before it is sent.
    pub(crate) fn number(&mut self, message: &mut Message) {
        if let Some(field) = message.octets.get_mut(8..12) {
            field.copy_from_slice(&self.sequence.to_be_bytes());
        }
        self.sequence = self.sequence.wrapping_add(message.records).wrapping_add(message.options_records);
    }

    /// A message was sent: its reports are out of hand.
    pub(crate) fn sent(&mut self, message: &Message) {
        let flows = usize::try_from(message.records).unwrap_or(usize::MAX).min(self.in_hand.len());
        self.in_hand.drain(..flows);
    }

    /// When the last message was made, milliseconds since 1970; 0 before the first.
    pub(crate) fn last_message_ms(&self) -> u64 {
        self.messages.last_message_ms()
    }

    /// Gives up what was not sent: the last first, so that given back one by one they keep their order.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = Report> + use<> {
        self.messages.restart();
        std::mem::take(&mut self.in_hand).into_iter().rev()
    }
}
