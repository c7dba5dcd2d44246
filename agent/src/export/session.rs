//! Fills messages with records and knows, until they are sent, which reports they hold.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use podflow_flow::{FlowRecord, Profile, profile};
use podflow_ipfix::element::IANA;
use podflow_ipfix::error::{EncodeError, TemplateFault};
use podflow_ipfix::export::{ExportSettings, ExportingSession, Message};
use podflow_ipfix::registry::Registry;
use podflow_ipfix::template::{FieldSpecifier, Template, TemplateId};

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

/// The template with dateTimeSeconds (flowStartSeconds 150, flowEndSeconds 151) of so many octets: collectors with
/// Antrea's old definitions take them for numbers of eight.
fn with_seconds(template: &Template, octets: u16) -> Result<Template, TemplateFault> {
    let fields = template.fields().iter().map(|field| {
        let is_seconds = field.element.enterprise == IANA && matches!(field.element.id, 150 | 151);
        if is_seconds { FieldSpecifier::new(field.element, octets) } else { *field }
    });
    Template::new(template.id(), fields.collect())
}

/// What adding a record did beside adding it.
pub(crate) struct Added {
    /// Strings were cut so that it fits a datagram.
    pub(crate) strings_cut: bool,
}

impl Session {
    /// A session that begins with its templates.
    pub(crate) fn new(profile: Profile, seconds_octets: u16, settings: ExportSettings) -> Result<Self> {
        let registry = Registry::standard();
        let flows = [profile.template(true)?, profile.template(false)?];
        let mut templates = flows
            .iter()
            .map(|template| with_seconds(template, seconds_octets))
            .collect::<Result<Vec<_>, _>>()?;
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

    /// The options record of what was not sent, alone: on a stream, everything else was said at its beginning.
    ///
    /// # Errors
    /// When it is not as its template; then nothing was added.
    pub(crate) fn account(&mut self, tally: &Tally, now_ms: u64) -> Result<(), EncodeError> {
        if self.profile.sends_options() {
            self.messages.add(now_ms, options::statistics_id(), options::statistics(tally))?;
            self.messages.flush(now_ms);
        }
        Ok(())
    }

    /// Gives up what was not sent: the last first, so that given back one by one they keep their order.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = Report> + use<> {
        self.messages.restart();
        std::mem::take(&mut self.in_hand).into_iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(session: &mut Session) -> Vec<u8> {
        session.introduce(&Tally::default(), 1_000).unwrap();
        let message = session.next_message().unwrap();
        // Header 16, set header 4, template header 4; then element 150 and its length.
        message.octets[24..28].to_vec()
    }

    #[test]
    fn seconds_have_four_octets_or_eight() {
        for octets in [4_u16, 8] {
            let mut session = Session::new(Profile::V09, octets, ExportSettings::stream(1)).unwrap();
            assert_eq!(seconds(&mut session), [0, 150, 0, octets.to_be_bytes()[1]]);
        }
    }

    #[test]
    fn sequence_numbers_count_data_and_options_records_of_what_is_sent() {
        let mut session = Session::new(Profile::Full, 4, ExportSettings::stream(1)).unwrap();
        session.introduce(&Tally::default(), 1_000).unwrap();
        let mut first = session.next_message().unwrap();
        session.number(&mut first);
        assert_eq!(first.octets[8..12], [0; 4]);
        assert!(first.options_records > 10, "statistics and our enterprise elements");
        session.account(&Tally::default(), 2_000).unwrap();
        let mut second = session.next_message().unwrap();
        session.number(&mut second);
        assert_eq!(second.octets[8..12], first.options_records.to_be_bytes());
    }

    #[test]
    fn old_collectors_get_no_options() {
        for profile in [Profile::V09, Profile::Antrea] {
            let mut session = Session::new(profile, 4, ExportSettings::stream(1)).unwrap();
            session.introduce(&Tally::default(), 1_000).unwrap();
            session.account(&Tally::default(), 1_000).unwrap();
            let message = session.next_message().unwrap();
            assert_eq!((message.records, message.options_records), (0, 0));
            assert!(session.next_message().is_none());
        }
    }
}
