//! What a message brought, in numbers.

use super::options::NotSent;
use super::sequence::Sequence;
use crate::message::MessageHeader;
use crate::template::CompiledTemplate;

/// What one message brought, beside its records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MessageSummary {
    /// The message's header; none before it was read.
    pub header: Option<MessageHeader>,
    /// What its sequence number says.
    pub sequence: Sequence,
    /// Data records given out, those of held sets included.
    pub records: u32,
    /// Options records given out.
    pub options_records: u32,
    /// Templates that were new, or sent again.
    pub templates: u32,
    /// Templates that took the place of a different one. Over a stream that is the exporter's error.
    pub templates_redefined: u32,
    /// Templates that were refused at the limit.
    pub templates_refused: u32,
    /// Templates withdrawn.
    pub templates_withdrawn: u32,
    /// Templates whose lifetime ended without a refresh.
    pub templates_expired: u32,
    /// Withdrawals over UDP, where there are none, and of templates that were not there.
    pub withdrawals_ignored: u32,
    /// Data sets without a template, held for it to come.
    pub sets_held: u32,
    /// Held data sets that were decoded now.
    pub sets_claimed: u32,
    /// Held data sets given up: too old, too many, or malformed under the template that came.
    pub sets_lost: u32,
    /// Sets with reserved ids, skipped.
    pub sets_reserved: u32,
    /// Elements that the exporter described and that are known from now on (RFC 5610).
    pub elements_learned: u32,
    /// Descriptions of elements that were not believed, or beyond the limit.
    pub elements_refused: u32,
    /// What the exporting process says it could not send, where the message has that (RFC 7011 section 4.3).
    pub not_sent: Option<NotSent>,
    /// The template id of the first data set without a template, for the log.
    pub unknown_template: Option<u16>,
}

impl MessageSummary {
    /// Counts records given out.
    pub(super) fn count_records(&mut self, template: &CompiledTemplate, records: usize) {
        let counter = if template.is_options() { &mut self.options_records } else { &mut self.records };
        *counter += count(records);
    }
}

/// A count of things in a message; never near the end of 32 bits.
pub(super) fn count(things: usize) -> u32 {
    u32::try_from(things).unwrap_or(u32::MAX)
}
