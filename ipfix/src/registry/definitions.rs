//! Definition files in the format of the Logstash netflow codec: YAML, enterprise number → element id → type symbol
//! and name symbol.
//!
//! ```yaml
//! 55829:
//!   101:
//!   - :string
//!   - :sourcePodName
//! ```
//! A definition sets a name and a kind. It never sets a length, which is the template's, and never takes the meaning
//! of a date away: such files call flowStartSeconds an integer. All faults of a file are told at once, each with its
//! line and key, and then nothing of the file counts.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use thiserror::Error;

use super::{Element, Registry};
use crate::data_type::{DataType, Semantics, Units};
use crate::element::ElementKey;

/// Why a definition file cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{}", faults.join("\n"))]
pub struct DefinitionError {
    /// One sentence each, with file, line and key.
    pub faults: Vec<String>,
}

/// Adds the definitions of a file to a registry; answers how many. `file` is its name, for messages.
///
/// # Errors
/// With every fault of the file; then the registry is as it was.
pub fn add_definitions(registry: &mut Registry, file: &str, text: &str) -> Result<usize, DefinitionError> {
    let parsed: Result<Table<Table<Entry>>, _> = serde_saphyr::from_str(text);
    let enterprises = parsed.map_err(|error| DefinitionError { faults: vec![format!("{file}: {error}")] })?;
    let mut elements = Vec::new();
    let mut faults = Vec::new();
    for (enterprise, table) in enterprises.0 {
        let line = enterprise.referenced.line();
        let Ok(number) = enterprise.value.0.parse::<u32>() else {
            faults.push(format!("{file}:{line}: {:?} is no enterprise number", enterprise.value.0));
            continue;
        };
        for (id, entry) in table.0 {
            match element(number, &id.value.0, &entry, registry) {
                Ok(element) => elements.extend(element),
                Err(fault) => {
                    let line = id.referenced.line();
                    faults.push(format!("{file}:{line}: {number}/{}: {fault}", id.value.0));
                }
            }
        }
    }
    if !faults.is_empty() {
        return Err(DefinitionError { faults });
    }
    let count = elements.len();
    for element in elements {
        registry.add(element);
    }
    Ok(count)
}

/// The element of an entry; none where it says that the field is to be skipped.
fn element(enterprise: u32, id: &str, entry: &Entry, registry: &Registry) -> Result<Option<Element>, String> {
    let id =
        id.parse::<u16>().ok().filter(|id| *id < 32_768).ok_or("the element id is no number below 32768")?;
    let key = ElementKey::new(enterprise, id);
    let (kind, name) = match &entry.0[..] {
        [kind] if kind == ":skip" => return Ok(None),
        [kind, name] => (kind, name),
        _ => return Err("a type and a name are wanted, as in [:string, :sourcePodName]".to_owned()),
    };
    let name = name.strip_prefix(':').unwrap_or(name);
    if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '.') {
        return Err(format!("{name:?} is no name of a field"));
    }
    let known = registry.lookup(key);
    let data_type = match (known, data_type(kind)?) {
        (Some(known), given) if is_date(known.data_type) && is_integer(given) => known.data_type,
        (_, given) => given,
    };
    let semantics = known.map_or(Semantics::Default, |known| known.semantics);
    let units = known.map_or(Units::None, |known| known.units);
    Ok(Some(Element { key, name: name.to_owned().into(), data_type, semantics, units }))
}

/// The type of a symbol; a bare number is the length of an unsigned integer.
fn data_type(symbol: &str) -> Result<DataType, String> {
    let name = symbol.strip_prefix(':').unwrap_or(symbol);
    if let Some((_, data_type)) = KINDS.iter().find(|(kind, _)| *kind == name) {
        return Ok(*data_type);
    }
    if let Some(data_type) = DataType::from_name(name) {
        return Ok(data_type);
    }
    match name.parse() {
        Ok(1_u8) => Ok(DataType::Unsigned8),
        Ok(2) => Ok(DataType::Unsigned16),
        Ok(3 | 4) => Ok(DataType::Unsigned32),
        Ok(5..=8) => Ok(DataType::Unsigned64),
        _ => {
            let kinds: Vec<String> = KINDS.iter().map(|(kind, _)| format!(":{kind}")).collect();
            Err(format!("type {symbol} is not known; known are {}", kinds.join(" ")))
        }
    }
}

const fn is_date(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::DateTimeSeconds
            | DataType::DateTimeMilliseconds
            | DataType::DateTimeMicroseconds
            | DataType::DateTimeNanoseconds
    )
}

const fn is_integer(data_type: DataType) -> bool {
    matches!(data_type.number(), 1..=8)
}

/// The codec's type symbols. Its special ones for single vendors' fields are octets here.
const KINDS: [(&str, DataType); 24] = [
    ("uint8", DataType::Unsigned8),
    ("uint16", DataType::Unsigned16),
    ("uint24", DataType::Unsigned32),
    ("uint32", DataType::Unsigned32),
    ("uint64", DataType::Unsigned64),
    ("int8", DataType::Signed8),
    ("int16", DataType::Signed16),
    ("int24", DataType::Signed32),
    ("int32", DataType::Signed32),
    ("int64", DataType::Signed64),
    ("float", DataType::Float32),
    ("float32", DataType::Float32),
    ("float64", DataType::Float64),
    ("double", DataType::Float64),
    ("boolean", DataType::Boolean),
    ("string", DataType::String),
    ("varstring", DataType::String),
    ("ip4_addr", DataType::Ipv4Address),
    ("ip6_addr", DataType::Ipv6Address),
    ("mac_addr", DataType::MacAddress),
    ("octetarray", DataType::OctetArray),
    ("application_id", DataType::OctetArray),
    ("acl_id_asa", DataType::OctetArray),
    ("forwarding_status", DataType::Unsigned8),
];

/// A mapping in the order of the file, each key with its line.
struct Table<V>(Vec<(Spanned<Word>, V)>);

/// A scalar as it stands: symbols and numbers alike.
struct Word(String);

/// A sequence of scalars.
struct Entry(Vec<String>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Table<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Table<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Table(pairs))
            }

            fn visit_unit<E>(self) -> Result<Table<V>, E> {
                Ok(Table(Vec::new()))
            }
        }

        deserializer.deserialize_map(Pairs(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl Visitor<'_> for Scalar {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a symbol")
            }

            fn visit_str<E>(self, text: &str) -> Result<Word, E> {
                Ok(Word(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Word, E> {
                Ok(Word(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Word, E> {
                Ok(Word(number.to_string()))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type and a name, as in [:string, :sourcePodName]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Entry, A::Error> {
                let mut words = Vec::new();
                while let Some(Word(word)) = sequence.next_element()? {
                    words.push(word);
                }
                Ok(Entry(words))
            }
        }

        deserializer.deserialize_seq(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Registry, DefinitionError> {
        let mut registry = Registry::standard();
        add_definitions(&mut registry, "ipfix.yml", text).map(|_| registry)
    }

    #[test]
    fn a_file_adds_and_renames() {
        let text = "---\n0:\n  1:\n  - :uint64\n  - :in_bytes\n4711:\n  7: [:string, :tenant]\n  8: [4, :size]\n  9:\n  - :skip\n";
        let registry = read(text).unwrap();
        let name =
            |enterprise, id| registry.lookup(ElementKey::new(enterprise, id)).map(|element| &*element.name);
        assert_eq!(name(0, 1), Some("in_bytes"));
        assert_eq!(name(4_711, 7), Some("tenant"));
        assert_eq!(registry.lookup(ElementKey::new(4_711, 8)).unwrap().data_type, DataType::Unsigned32);
        assert_eq!(name(4_711, 9), None);
        assert_eq!(read("").unwrap().added_count(), 0);
    }

    #[test]
    fn dates_stay_dates() {
        let registry = read("0:\n  150: [:int64, :flowStartSeconds]\n  151: [:uint32, :flowEnd]\n").unwrap();
        let element = |id| registry.lookup(ElementKey::iana(id)).unwrap();
        assert_eq!(element(150).data_type, DataType::DateTimeSeconds);
        assert_eq!((element(151).data_type, &*element(151).name), (DataType::DateTimeSeconds, "flowEnd"));
    }

    #[test]
    fn every_fault_names_file_line_and_key() {
        let text = "0:\n  1: [:uint64, :fine]\n  2: [:strin, :a]\nx:\n  1: [:string, :a]\n5:\n  99999: [:string, :a]\n  6: [:string]\n  7: [:string, 'a.b']\n";
        let faults = read(text).unwrap_err().faults;
        assert!(
            faults[0].starts_with("ipfix.yml:3: 0/2: type :strin is not known; known are :uint8 "),
            "{}",
            faults[0]
        );
        assert_eq!(
            faults[1..],
            [
                "ipfix.yml:4: \"x\" is no enterprise number",
                "ipfix.yml:7: 5/99999: the element id is no number below 32768",
                "ipfix.yml:8: 5/6: a type and a name are wanted, as in [:string, :sourcePodName]",
                "ipfix.yml:9: 5/7: \"a.b\" is no name of a field",
            ]
        );
        let broken = read("0:\n  1: :string\n").unwrap_err().to_string();
        assert!(broken.starts_with("ipfix.yml: ") && broken.contains("line 2"), "{broken}");
    }
}
