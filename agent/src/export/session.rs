//! Fills messages with records and knows, until they are sent, which reports they hold.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use podflow_flow::session::STATISTICS;
use podflow_flow::{FlowRecord, Profile, profile};
use podflow_ipfix::collect::NotSent;
use podflow_ipfix::error::EncodeError;
use podflow_ipfix::export::{ExportSettings, ExportingSession, Message, reliability};
use podflow_ipfix::template::TemplateId;
use podflow_ipfix::value::Value;

use crate::store::{Report, Tally};

/// One transport session's messages.
pub(crate) struct Session {
    profile: Profile,
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
    pub(crate) fn new(profile: Profile, seconds_octets: u16, settings: ExportSettings) -> Result<Self> {
        let messages = podflow_flow::session(profile, seconds_octets, settings)
            .context("making the export session's templates")?;
        Ok(Self { profile, messages, in_hand: VecDeque::new(), sequence: 0 })
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
        let outcome = if self.profile.sends_options() {
            self.messages.set_standing(STATISTICS, [statistics(tally)])
        } else {
            Ok(())
        };
        self.messages.send_templates(now_ms);
        self.messages.flush(now_ms);
        outcome
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
            self.messages.add(now_ms, STATISTICS, statistics(tally))?;
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

/// What was lost before it could be sent (RFC 7011 section 4.3).
fn statistics(tally: &Tally) -> [Value<'static>; 4] {
    let not_sent =
        NotSent { flows: tally.lost_flows, packets: tally.lost_packets, octets: tally.lost_octets };
    reliability(std::process::id(), not_sent)
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
