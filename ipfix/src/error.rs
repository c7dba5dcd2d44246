//! Why a message could not be read. Every failure knows what was being read and at which octet of the message.

use thiserror::Error;

/// Why a message was dropped (whole: RFC 7011 section 3.1 knows no half of a message).
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum DecodeError {
    /// The octets end before what was being read does.
    #[error("{what} at byte {offset} wants {wanted} octets, {left} are left")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where in the message.
        offset: usize,
        /// How many octets it takes.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// Neither IPFIX nor a NetFlow version that is decoded.
    #[error("version {0} is neither IPFIX (10) nor NetFlow v9 or v5")]
    Version(u16),
    /// The header's length is not that of the octets received.
    #[error("message length {header} in the header, {received} octets received")]
    MessageLength {
        /// What the header says.
        header: usize,
        /// What arrived.
        received: usize,
    },
    /// A set whose length is shorter than its own header, or longer than the message.
    #[error("set {id} at byte {offset} has length {length}, {left} octets are left")]
    SetLength {
        /// The set's id.
        id: u16,
        /// Where in the message.
        offset: usize,
        /// What its header says.
        length: u16,
        /// How many octets there are, the set's header included.
        left: usize,
    },
    /// A template record that contradicts itself.
    #[error("template {id} at byte {offset}: {fault}")]
    Template {
        /// The id it wants, as it stands.
        id: u16,
        /// Where in the message.
        offset: usize,
        /// What is wrong with it.
        fault: TemplateFault,
    },
    /// What is left in a set is neither a record nor padding.
    #[error("{left} octets at byte {offset} are neither a record nor padding")]
    TrailingData {
        /// Where in the message.
        offset: usize,
        /// How many octets.
        left: usize,
    },
    /// A list of RFC 6313 that does not fit its field.
    #[error("{what} at byte {offset} does not fit its field")]
    List {
        /// Which part of the list.
        what: &'static str,
        /// Where in the message.
        offset: usize,
    },
    /// Lists within lists beyond the limit.
    #[error("lists at byte {offset} are nested more than {limit} deep")]
    Nesting {
        /// Where in the message.
        offset: usize,
        /// The limit.
        limit: usize,
    },
    /// More values than the limit: a template of empty fields can make a short message endless work.
    #[error("more than {limit} values in one message, at byte {offset}")]
    Values {
        /// Where in the message.
        offset: usize,
        /// The limit.
        limit: usize,
    },
    /// More observation domains than the limit in one session.
    #[error("observation domain {domain} is beyond the limit of {limit} in one session")]
    Domains {
        /// The domain.
        domain: u32,
        /// The limit.
        limit: usize,
    },
}

/// What is wrong with a template record.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TemplateFault {
    /// Ids below 256 name sets, not templates (RFC 7011 section 3.4.1).
    #[error("ids below 256 are reserved for sets")]
    ReservedId,
    /// An options template without a scope (RFC 7011 section 3.4.2.2).
    #[error("an options template has at least one scope field")]
    NoScope,
    /// More scope fields than fields.
    #[error("it has more scope fields than fields")]
    ScopeBeyondFields,
    /// More fields than the limit.
    #[error("it has more fields than the limit")]
    TooManyFields,
    /// Every field has length 0: such records have no end.
    #[error("its records have no octets")]
    EmptyRecords,
    /// Its shortest record does not fit a message.
    #[error("its records do not fit a message")]
    RecordTooLong,
}

impl DecodeError {
    /// A short name of the kind of failure, for a counter's label: one of few.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Version(_) => "version",
            Self::MessageLength { .. } => "message_length",
            Self::SetLength { .. } => "set_length",
            Self::Template { .. } => "template",
            Self::TrailingData { .. } => "trailing_data",
            Self::List { .. } => "list",
            Self::Nesting { .. } => "nesting",
            Self::Values { .. } => "values",
            Self::Domains { .. } => "domains",
        }
    }

    /// The octet of the message at which reading ended.
    pub const fn offset(&self) -> usize {
        match self {
            Self::Version(_) => 0,
            Self::MessageLength { .. } => 2,
            Self::Domains { .. } => 12,
            Self::Truncated { offset, .. }
            | Self::SetLength { offset, .. }
            | Self::Template { offset, .. }
            | Self::TrailingData { offset, .. }
            | Self::List { offset, .. }
            | Self::Nesting { offset, .. }
            | Self::Values { offset, .. } => *offset,
        }
    }
}

/// Why a record could not be added to a message.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum EncodeError {
    /// No template of this id was given to the session.
    #[error("no template {0} in this exporting session")]
    UnknownTemplate(u16),
    /// Two templates of one id.
    #[error("template {0} is defined twice")]
    TemplateTwice(u16),
    /// A template that does not fit one message.
    #[error("template {id} takes {octets} octets, a message has room for {room}")]
    TemplateTooLong {
        /// The template.
        id: u16,
        /// What it takes.
        octets: usize,
        /// What there is.
        room: usize,
    },
    /// Fewer or more values than the template has fields.
    #[error("template {id} has {fields} fields, the record has {values} values")]
    FieldCount {
        /// The template.
        id: u16,
        /// Its fields.
        fields: usize,
        /// The values given.
        values: usize,
    },
    /// A value that does not fit its field.
    #[error("{name}: {value} does not fit a field of length {length}")]
    Value {
        /// The element's name.
        name: String,
        /// The value.
        value: String,
        /// The field's length, 65535 for variable.
        length: u16,
    },
    /// The record does not fit a message even with its strings cut to nothing.
    #[error("a record of template {id} takes {octets} octets, a message has room for {room}")]
    RecordTooLong {
        /// The template.
        id: u16,
        /// What it takes with empty strings.
        octets: usize,
        /// What there is.
        room: usize,
    },
}
