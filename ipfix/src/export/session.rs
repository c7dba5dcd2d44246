//! One transport session of an exporter: records in, messages out.

use std::collections::{HashMap, VecDeque};

use super::writer::MessageWriter;
use crate::error::EncodeError;
use crate::message::{MessageHeader, OPTIONS_TEMPLATE_SET, SET_HEADER_LENGTH, TEMPLATE_SET, Version};
use crate::registry::Registry;
use crate::template::{CompiledTemplate, Template, TemplateId, write_template};
use crate::value::{Value, write_value};

/// How messages leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExportTransport {
    /// Datagrams of at most so many octets; see [`udp_message_size`].
    Udp {
        /// The largest message.
        largest_message: usize,
    },
    /// TCP, TLS or a file: messages of up to 65,535 octets, templates once.
    Stream,
}

/// What an exporting session is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExportSettings {
    /// Observation domain id.
    pub domain: u32,
    /// How messages leave.
    pub transport: ExportTransport,
    /// UDP: templates are sent again after so many milliseconds.
    pub refresh_ms: u64,
    /// UDP: templates are sent again after so many messages.
    pub refresh_messages: u32,
    /// UDP: templates go first again when nothing was sent for so many milliseconds.
    pub refresh_after_pause_ms: u64,
    /// Whether data sets are filled up with zeros to a multiple of four octets (RFC 7011 section 3.3.1 allows it).
    pub pad_sets: bool,
}

impl ExportSettings {
    /// A session over TCP, TLS or into a file.
    pub const fn stream(domain: u32) -> Self {
        Self::with(domain, ExportTransport::Stream)
    }

    /// A session over UDP with messages of at most so many octets; templates at least every 30 s, every 1,000
    /// messages, and first after a pause of 10 s.
    pub const fn udp(domain: u32, largest_message: usize) -> Self {
        Self::with(domain, ExportTransport::Udp { largest_message })
    }

    const fn with(domain: u32, transport: ExportTransport) -> Self {
        Self {
            domain,
            transport,
            refresh_ms: 30_000,
            refresh_messages: 1_000,
            refresh_after_pause_ms: 10_000,
            pad_sets: false,
        }
    }
}

/// One message, ready to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The octets.
    pub octets: Vec<u8>,
    /// How many data records it holds: what is lost when it cannot be sent.
    pub records: u32,
    /// How many options records it holds; they count in the sequence number too.
    pub options_records: u32,
}

/// What adding a record did beside adding it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Added {
    /// Whether strings were cut, because the record alone exceeded a message.
    pub strings_cut: bool,
}

/// What is appended to a message.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Template,
    Record { shortest: usize, options: bool },
}

/// One transport session of an exporter.
#[derive(Debug)]
pub struct ExportingSession {
    settings: ExportSettings,
    templates: Vec<CompiledTemplate>,
    places: HashMap<TemplateId, usize>,
    sequence: u32,
    open: Option<MessageWriter>,
    ready: VecDeque<Message>,
    templates_sent_ms: Option<u64>,
    messages_since_templates: u32,
    last_message_ms: u64,
    record: Vec<u8>,
    /// Options records that follow the templates each time these are sent: template and octets.
    standing: Vec<(TemplateId, Vec<u8>)>,
}

impl ExportingSession {
    /// A session that will send these templates first, in this order.
    ///
    /// # Errors
    /// When two templates have one id, or one does not fit a message.
    pub fn new(
        settings: ExportSettings,
        templates: Vec<Template>,
        registry: &Registry,
    ) -> Result<Self, EncodeError> {
        let room =
            largest_message(settings.transport).saturating_sub(MessageHeader::LENGTH + SET_HEADER_LENGTH);
        let mut places = HashMap::new();
        for (place, template) in templates.iter().enumerate() {
            let id = template.id();
            if places.insert(id, place).is_some() {
                return Err(EncodeError::TemplateTwice(id.number()));
            }
            let octets = template_octets(template).len();
            if octets > room {
                return Err(EncodeError::TemplateTooLong { id: id.number(), octets, room });
            }
        }
        Ok(Self {
            settings,
            templates: templates
                .into_iter()
                .map(|template| CompiledTemplate::new(template, Version::Ipfix, registry))
                .collect(),
            places,
            sequence: 0,
            open: None,
            ready: VecDeque::new(),
            templates_sent_ms: None,
            messages_since_templates: 0,
            last_message_ms: 0,
            record: Vec::new(),
            standing: Vec::new(),
        })
    }

    /// Adds a data or options record: the values of its template's fields in order. `now_ms` are milliseconds since
    /// 1970. Full messages become ready.
    ///
    /// # Errors
    /// When the values are not those of the template; then nothing was added.
    pub fn add<'v>(
        &mut self,
        now_ms: u64,
        template: TemplateId,
        values: impl IntoIterator<Item = Value<'v>>,
    ) -> Result<Added, EncodeError> {
        let id = template.number();
        let place = *self.places.get(&template).ok_or(EncodeError::UnknownTemplate(id))?;
        let mut record = std::mem::take(&mut self.record);
        let encoded = self.encode(place, values, &mut record);
        if encoded.is_ok() {
            if self.templates_due(now_ms) {
                self.send_templates(now_ms);
            }
            self.append(now_ms, id, self.kind(place), &record);
        }
        self.record = record;
        encoded.map(|strings_cut| Added { strings_cut })
    }

    /// Sets the options records of a template that follow the templates each time these are sent, in the place of those
    /// set before.
    ///
    /// # Errors
    /// As [`ExportingSession::add`]; then those set before are gone.
    pub fn set_standing<'v, V: IntoIterator<Item = Value<'v>>>(
        &mut self,
        template: TemplateId,
        records: impl IntoIterator<Item = V>,
    ) -> Result<(), EncodeError> {
        self.standing.retain(|(of, _)| *of != template);
        let place =
            *self.places.get(&template).ok_or_else(|| EncodeError::UnknownTemplate(template.number()))?;
        for values in records {
            let mut octets = Vec::new();
            self.encode(place, values, &mut octets)?;
            self.standing.push((template, octets));
        }
        Ok(())
    }

    /// Sends all templates now, in a new message: options templates, the standing options records, data templates.
    pub fn send_templates(&mut self, now_ms: u64) {
        self.flush(now_ms);
        // Descriptions of elements go before the templates that use them, for readers who look only once.
        self.append_templates(now_ms, true);
        let standing = std::mem::take(&mut self.standing);
        for (template, octets) in &standing {
            let kind = self.places.get(template).map_or(Kind::Template, |place| self.kind(*place));
            self.append(now_ms, template.number(), kind, octets);
        }
        self.standing = standing;
        self.append_templates(now_ms, false);
        self.templates_sent_ms = Some(now_ms);
        self.messages_since_templates = 0;
    }

    /// Makes the message that is being filled ready, full or not.
    pub fn flush(&mut self, now_ms: u64) {
        let Some(open) = self.open.take().filter(|open| !open.is_empty()) else { return };
        let (records, options_records) = (open.records, open.options_records);
        // Seconds of 32 bits, until 2106 (RFC 7011 section 3.1).
        let export_time = u32::try_from(now_ms / 1_000).unwrap_or(u32::MAX);
        let octets = open.close(export_time, self.sequence, self.settings.domain, self.settings.pad_sets);
        self.sequence = self.sequence.wrapping_add(records).wrapping_add(options_records);
        self.messages_since_templates = self.messages_since_templates.saturating_add(1);
        self.last_message_ms = now_ms;
        self.ready.push_back(Message { octets, records, options_records });
    }

    /// The next message that is ready.
    pub fn next_message(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    /// Begins a new transport session: after a TCP connection is made anew. Sequence numbers begin at 0, templates
    /// go first. Messages that were not taken are dropped; answers how many records they held.
    pub fn restart(&mut self) -> u32 {
        let open = self.open.take().map_or(0, |open| open.records);
        let ready: u32 = self.ready.drain(..).map(|message| message.records).sum();
        self.sequence = 0;
        self.templates_sent_ms = None;
        self.messages_since_templates = 0;
        open + ready
    }

    /// The sequence number of the message that is being filled, or of the next one.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// When the last message became ready, as given to [`ExportingSession::add`]; 0 before the first.
    pub const fn last_message_ms(&self) -> u64 {
        self.last_message_ms
    }

    fn templates_due(&self, now_ms: u64) -> bool {
        let Some(sent_ms) = self.templates_sent_ms else { return true };
        let udp = matches!(self.settings.transport, ExportTransport::Udp { .. });
        let paused = self.open.is_none()
            && now_ms.saturating_sub(self.last_message_ms.max(sent_ms))
                >= self.settings.refresh_after_pause_ms;
        udp && (now_ms.saturating_sub(sent_ms) >= self.settings.refresh_ms
            || self.messages_since_templates >= self.settings.refresh_messages
            || paused)
    }

    fn append_templates(&mut self, now_ms: u64, options: bool) {
        let of_kind =
            self.templates.iter().map(CompiledTemplate::wire).filter(|wire| wire.is_options() == options);
        let records: Vec<Vec<u8>> = of_kind.map(template_octets).collect();
        let set = if options { OPTIONS_TEMPLATE_SET } else { TEMPLATE_SET };
        for octets in &records {
            self.append(now_ms, set, Kind::Template, octets);
        }
    }

    /// What a record of a template counts as, and how short it can be.
    fn kind(&self, place: usize) -> Kind {
        self.templates.get(place).map_or(Kind::Template, |template| Kind::Record {
            shortest: template.shortest_record(),
            options: template.is_options(),
        })
    }

    fn append(&mut self, now_ms: u64, set: u16, kind: Kind, octets: &[u8]) {
        if self.open.as_ref().is_some_and(|open| !open.fits(set, octets.len())) {
            self.flush(now_ms);
        }
        let largest = largest_message(self.settings.transport);
        let open = self.open.get_or_insert_with(|| MessageWriter::new(largest));
        let (shortest, counter) = match kind {
            Kind::Template => (0, None),
            Kind::Record { shortest, options: false } => (shortest, Some(&mut open.records)),
            Kind::Record { shortest, options: true } => (shortest, Some(&mut open.options_records)),
        };
        if let Some(counter) = counter {
            *counter += 1;
        }
        open.add(set, shortest, octets, self.settings.pad_sets);
    }

    /// Writes the record; cuts its longest strings where it alone exceeds a message. Answers whether it did.
    fn encode<'v>(
        &self,
        place: usize,
        values: impl IntoIterator<Item = Value<'v>>,
        record: &mut Vec<u8>,
    ) -> Result<bool, EncodeError> {
        let Some(template) = self.templates.get(place) else { return Ok(false) };
        let values: Vec<Value<'v>> = values.into_iter().collect();
        let (id, fields) = (template.id().number(), template.fields().len());
        if values.len() != fields {
            return Err(EncodeError::FieldCount { id, fields, values: values.len() });
        }
        let room = largest_message(self.settings.transport) - MessageHeader::LENGTH - SET_HEADER_LENGTH;
        let cut = write_record(template, &values, usize::MAX, record)?;
        if record.len() <= room {
            return Ok(cut);
        }
        // The longest length of strings with which the record fits: the short ones stay whole.
        let (mut fits, mut exceeds) = (0, record.len());
        while exceeds - fits > 1 {
            let middle = fits.midpoint(exceeds);
            write_record(template, &values, middle, record)?;
            if record.len() <= room { fits = middle } else { exceeds = middle }
        }
        write_record(template, &values, fits, record)?;
        if record.len() > room {
            return Err(EncodeError::RecordTooLong { id, octets: record.len(), room });
        }
        Ok(true)
    }
}

/// The largest message that a path carries: its MTU less the IP and UDP headers. Where the MTU is not known, packets
/// have no more than 512 octets (RFC 7011 section 10.3.3).
pub const fn udp_message_size(path_mtu: Option<u16>, ipv6: bool) -> usize {
    let headers = if ipv6 { 40 + 8 } else { 20 + 8 };
    let packet = match path_mtu {
        Some(mtu) if mtu as usize > UNKNOWN_MTU => mtu as usize,
        _ => UNKNOWN_MTU,
    };
    packet - headers
}

fn write_record(
    template: &CompiledTemplate,
    values: &[Value<'_>],
    longest_string: usize,
    record: &mut Vec<u8>,
) -> Result<bool, EncodeError> {
    record.clear();
    let mut cut = false;
    for (field, value) in template.fields().iter().zip(values) {
        cut |= write_value(record, field, value, longest_string)?;
    }
    Ok(cut)
}

fn template_octets(template: &Template) -> Vec<u8> {
    let mut octets = Vec::new();
    write_template(&mut octets, template);
    octets
}

const fn largest_message(transport: ExportTransport) -> usize {
    match transport {
        ExportTransport::Udp { largest_message } if largest_message < SMALLEST_MESSAGE => SMALLEST_MESSAGE,
        ExportTransport::Udp { largest_message } if largest_message < LARGEST_MESSAGE => largest_message,
        _ => LARGEST_MESSAGE,
    }
}

/// The length field's end (RFC 7011 section 3.1).
const LARGEST_MESSAGE: usize = 65_535;
/// Below this no useful template fits.
const SMALLEST_MESSAGE: usize = 128;
/// Octets of a packet where the path MTU is not known.
const UNKNOWN_MTU: usize = 512;
