//! What an element's octets mean: abstract data type, semantics and units.
//!
//! The numbers are those of RFC 5610 section 3.1 to 3.3 and IANA's registries, in which an exporter announces the
//! types of its own elements; the names are those of RFC 7012.

/// Makes an enum whose variants carry IANA's number and name.
macro_rules! registry_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every variant, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number an exporter sends (RFC 5610).
            pub const fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The name in IANA's registry.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The variant of a number, none where IANA has not assigned it.
            pub const fn from_number(number: u64) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The variant of a name, none where IANA has no such name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|variant| variant.name() == name)
            }
        }
    };
}

registry_enum! {
    /// Abstract data types (RFC 7012 section 3.1, RFC 6313 section 4.1, RFC 9740).
    DataType {
        /// Octets without further meaning.
        OctetArray = 0, "octetArray";
        /// 1 octet.
        Unsigned8 = 1, "unsigned8";
        /// 2 octets, or 1 by reduced-size encoding.
        Unsigned16 = 2, "unsigned16";
        /// 4 octets or fewer.
        Unsigned32 = 3, "unsigned32";
        /// 8 octets or fewer.
        Unsigned64 = 4, "unsigned64";
        /// 1 octet, two's complement.
        Signed8 = 5, "signed8";
        /// 2 octets or 1, two's complement.
        Signed16 = 6, "signed16";
        /// 4 octets or fewer, two's complement.
        Signed32 = 7, "signed32";
        /// 8 octets or fewer, two's complement.
        Signed64 = 8, "signed64";
        /// IEEE binary32.
        Float32 = 9, "float32";
        /// IEEE binary64, or binary32 by reduced-size encoding.
        Float64 = 10, "float64";
        /// 1 is true, 2 is false (RFC 7011 section 6.1.5).
        Boolean = 11, "boolean";
        /// 6 octets.
        MacAddress = 12, "macAddress";
        /// UTF-8.
        String = 13, "string";
        /// Seconds since 1970: 4 octets; old Antrea agents send 8.
        DateTimeSeconds = 14, "dateTimeSeconds";
        /// Milliseconds since 1970, 8 octets.
        DateTimeMilliseconds = 15, "dateTimeMilliseconds";
        /// NTP timestamp, 8 octets, precise to the microsecond.
        DateTimeMicroseconds = 16, "dateTimeMicroseconds";
        /// NTP timestamp, 8 octets, precise to the nanosecond.
        DateTimeNanoseconds = 17, "dateTimeNanoseconds";
        /// 4 octets.
        Ipv4Address = 18, "ipv4Address";
        /// 16 octets.
        Ipv6Address = 19, "ipv6Address";
        /// Zero or more values of one element (RFC 6313 section 4.5.1).
        BasicList = 20, "basicList";
        /// Zero or more records of one template (RFC 6313 section 4.5.2).
        SubTemplateList = 21, "subTemplateList";
        /// Zero or more records of several templates (RFC 6313 section 4.5.3).
        SubTemplateMultiList = 22, "subTemplateMultiList";
        /// 32 octets or fewer (RFC 9740).
        Unsigned256 = 23, "unsigned256";
    }
}

registry_enum! {
    /// Data type semantics (RFC 7012 section 3.2, RFC 5610 section 3.2).
    Semantics {
        /// None of the others.
        Default = 0, "default";
        /// An integral value.
        Quantity = 1, "quantity";
        /// A counter since the flow began.
        TotalCounter = 2, "totalCounter";
        /// A counter since the previous report.
        DeltaCounter = 3, "deltaCounter";
        /// A number that is a name.
        Identifier = 4, "identifier";
        /// A set of bits.
        Flags = 5, "flags";
        /// Structured data.
        List = 6, "list";
        /// An SNMP counter (RFC 8038).
        SnmpCounter = 7, "snmpCounter";
        /// An SNMP gauge (RFC 8038).
        SnmpGauge = 8, "snmpGauge";
    }
}

registry_enum! {
    /// Units (RFC 7012 section 3.3, RFC 5610 section 3.3).
    Units {
        /// No unit.
        None = 0, "none";
        /// Bits.
        Bits = 1, "bits";
        /// Octets.
        Octets = 2, "octets";
        /// Packets.
        Packets = 3, "packets";
        /// Flows.
        Flows = 4, "flows";
        /// Seconds.
        Seconds = 5, "seconds";
        /// Milliseconds.
        Milliseconds = 6, "milliseconds";
        /// Microseconds.
        Microseconds = 7, "microseconds";
        /// Nanoseconds.
        Nanoseconds = 8, "nanoseconds";
        /// Words of 4 octets.
        FourOctetWords = 9, "4-octet words";
        /// Messages.
        Messages = 10, "messages";
        /// Hops.
        Hops = 11, "hops";
        /// Entries.
        Entries = 12, "entries";
        /// Frames.
        Frames = 13, "frames";
        /// Ports.
        Ports = 14, "ports";
        /// Those of the element it is derived from.
        Inferred = 15, "inferred";
    }
}

impl DataType {
    /// How many octets a field of this type has when it is not reduced; none where the length varies.
    pub const fn natural_length(self) -> Option<u16> {
        match self {
            Self::Unsigned8 | Self::Signed8 | Self::Boolean => Some(1),
            Self::Unsigned16 | Self::Signed16 => Some(2),
            Self::Unsigned32 | Self::Signed32 | Self::Float32 | Self::DateTimeSeconds | Self::Ipv4Address => {
                Some(4)
            }
            Self::MacAddress => Some(6),
            Self::Unsigned64
            | Self::Signed64
            | Self::Float64
            | Self::DateTimeMilliseconds
            | Self::DateTimeMicroseconds
            | Self::DateTimeNanoseconds => Some(8),
            Self::Ipv6Address => Some(16),
            Self::Unsigned256 => Some(32),
            Self::OctetArray
            | Self::String
            | Self::BasicList
            | Self::SubTemplateList
            | Self::SubTemplateMultiList => None,
        }
    }

    /// Whether values of this type are lists (RFC 6313).
    pub const fn is_structured(self) -> bool {
        matches!(self, Self::BasicList | Self::SubTemplateList | Self::SubTemplateMultiList)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back() {
        for data_type in DataType::ALL {
            assert_eq!(DataType::from_number(u64::from(data_type.number())), Some(*data_type));
            assert_eq!(DataType::from_name(data_type.name()), Some(*data_type));
        }
        assert_eq!(DataType::from_number(24), None);
        assert_eq!(Semantics::from_name("deltaCounter").map(Semantics::number), Some(3));
        assert_eq!(Units::from_number(13), Some(Units::Frames));
    }
}
