//! How a document field is indexed: the types of Elasticsearch's mapping that we use, and no others.

/// The index type of a document field, by Elasticsearch's name for it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum IndexType {
    /// Whole numbers; above 2^63 - 1 they are saturated before they are sent.
    Long,
    /// float32 and float64.
    Double,
    /// `true` and `false`.
    Boolean,
    /// IPv4 and IPv6 addresses; also searchable as text under `.keyword`.
    Ip,
    /// Names; `ignore_above` [`KEYWORD_LIMIT`]; also under `.keyword`, which existing dashboards ask for.
    Keyword,
    /// Times; JSON shows milliseconds in UTC.
    Date,
}

/// `ignore_above` of keyword fields, in characters: 32,766 octets is Lucene's limit of a term, and a character
/// takes at most four.
pub const KEYWORD_LIMIT: usize = 8191;

impl IndexType {
    /// Elasticsearch's name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Ip => "ip",
            Self::Keyword => "keyword",
            Self::Date => "date",
        }
    }

    /// Whether the field has a `.keyword` sub-field.
    pub const fn has_keyword(self) -> bool {
        matches!(self, Self::Ip | Self::Keyword)
    }
}
