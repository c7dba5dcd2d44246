//! One record, borrowed from its message, and its fields.

use std::slice;

use super::options::{ExporterOptions, Sampling};
use crate::element::ElementKey;
use crate::message::{MessageHeader, Version};
use crate::reader::Reader;
use crate::template::{CompiledTemplate, TemplateField};
use crate::value::{ListContext, Value, read_value};

/// One data or options record.
#[derive(Clone, Copy)]
pub struct DataRecord<'a> {
    pub(super) header: MessageHeader,
    pub(super) place: u32,
    pub(super) template: &'a CompiledTemplate,
    pub(super) octets: &'a [u8],
    pub(super) context: ListContext<'a>,
    pub(super) options: &'a ExporterOptions,
}

impl<'a> DataRecord<'a> {
    /// The header of the message it came in. A record whose template came later keeps its own message's.
    pub const fn header(&self) -> &MessageHeader {
        &self.header
    }

    /// IPFIX or a version of NetFlow.
    pub const fn version(&self) -> Version {
        self.header.version
    }

    /// The observation domain id.
    pub const fn domain(&self) -> u32 {
        self.header.domain
    }

    /// When the message left the exporter, seconds since 1970.
    pub const fn export_time(&self) -> u32 {
        self.header.export_time
    }

    /// The sequence number of its message.
    pub const fn sequence(&self) -> u32 {
        self.header.sequence
    }

    /// Its place in the message: the octet at which it begins. With domain, export time and sequence number it tells
    /// records apart, whether or not the sets before it could be decoded.
    pub const fn place(&self) -> u32 {
        self.place
    }

    /// Its template.
    pub const fn template(&self) -> &'a CompiledTemplate {
        self.template
    }

    /// Whether it is an options record: about the exporter, not a flow.
    pub const fn is_options(&self) -> bool {
        self.template.is_options()
    }

    /// Its octets as received.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// How the packets behind it were sampled, where the exporter has said so for the selector that the record names,
    /// or for all.
    pub fn sampling(&self) -> Option<Sampling> {
        if self.options.sampling.is_empty() {
            return None;
        }
        let is_selector = |key: ElementKey| matches!((key.enterprise, key.id), (0, 302 | 48));
        let named = self
            .fields()
            .find(|(field, _)| is_selector(field.key))
            .and_then(|(_, value)| value.as_unsigned());
        self.options.sampling.get(&named.unwrap_or(0)).copied()
    }

    /// Its fields in order. Allocates only for ill-formed strings and for lists.
    pub fn fields(&self) -> Fields<'a> {
        Fields { fields: self.template.fields().iter(), reader: Reader::new(self.octets), record: *self }
    }
}

/// The fields of one record in order, each with its value.
pub struct Fields<'a> {
    fields: slice::Iter<'a, TemplateField>,
    reader: Reader<'a>,
    record: DataRecord<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a TemplateField, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.fields.next()?;
        // The record was measured with the same template when its message was checked.
        let octets = self.reader.field(field.length).ok()?;
        let value = read_value(field.data_type, octets, &self.record.context);
        match (value, self.record.header.uptime) {
            (Value::Milliseconds(moment), Some(uptime)) if field.since_start => {
                let moment = u32::try_from(moment).unwrap_or(u32::MAX);
                Some((field, Value::Milliseconds(uptime.date(moment))))
            }
            (value, _) => Some((field, value)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fields.size_hint()
    }
}

impl ExactSizeIterator for Fields<'_> {}
