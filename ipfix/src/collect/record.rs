//! One record, borrowed from its message, and its fields.

use std::slice;
use std::sync::Arc;

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
    pub(super) template: &'a Arc<CompiledTemplate>,
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
    pub fn template(&self) -> &'a CompiledTemplate {
        self.template
    }

    /// Its template, to be kept: while somebody has it, no other template has its address.
    pub const fn shared_template(&self) -> &'a Arc<CompiledTemplate> {
        self.template
    }

    /// Whether it is an options record: about the exporter, not a flow.
    pub fn is_options(&self) -> bool {
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

    /// Its fields' octets, to be taken one field after the other.
    pub const fn field_octets(&self) -> FieldOctets<'a> {
        FieldOctets { reader: Reader::new(self.octets) }
    }

    /// The value of one of its fields, from the octets that it has on the wire.
    pub fn value(&self, field: &TemplateField, octets: &'a [u8]) -> Value<'a> {
        let value = read_value(field.data_type, octets, &self.context);
        match (value, self.header.uptime) {
            (Value::Milliseconds(moment), Some(uptime)) if field.since_start => {
                let moment = u32::try_from(moment).unwrap_or(u32::MAX);
                Value::Milliseconds(uptime.date(moment))
            }
            (value, _) => value,
        }
    }

    /// Its fields in order. Allocates only for ill-formed strings and for lists.
    pub fn fields(&self) -> Fields<'a> {
        Fields { fields: self.template.fields().iter(), reader: Reader::new(self.octets), record: *self }
    }
}

/// The octets of one record's fields.
#[derive(Clone, Debug)]
pub struct FieldOctets<'a> {
    reader: Reader<'a>,
}

impl<'a> FieldOctets<'a> {
    /// Takes the next field, whose length in the template is given; also where in the record its octets begin.
    /// `None` where the template has other lengths: with its own, the record was measured when its message was checked.
    #[inline]
    pub fn take(&mut self, length: u16) -> Option<(usize, &'a [u8])> {
        let octets = self.reader.measured(length)?;
        Some((self.reader.offset() - octets.len(), octets))
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
        let octets = self.reader.measured(field.length)?;
        Some((field, self.record.value(field, octets)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fields.size_hint()
    }
}

impl ExactSizeIterator for Fields<'_> {}
