//! A document back from its columns.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Number, Value};
use tantivy::columnar::StrColumn;

use super::columns::{self, Kind};
use super::open::join_id;
use super::segment::column_name;
use super::{Cache, Loaded, Segment, json};

/// Rebuilds documents of one segment.
pub(crate) struct Sources<'s> {
    segment: &'s Segment,
    cache: &'s Cache,
    columns: HashMap<String, Option<Arc<Loaded>>>,
    strings: HashMap<(String, u32), String>,
    shapes: BTreeMap<String, String>,
}

impl<'s> Sources<'s> {
    pub(crate) fn new(segment: &'s Segment, cache: &'s Cache) -> io::Result<Self> {
        let mut sources = Self {
            segment,
            cache,
            columns: HashMap::new(),
            strings: HashMap::new(),
            shapes: BTreeMap::new(),
        };
        if let Some(Loaded::Text(_, shapes)) = sources.column(columns::SHAPES)?.as_deref() {
            let mut stream = shapes.dictionary().stream()?;
            while stream.advance() {
                let text = String::from_utf8_lossy(stream.key());
                let (hash, shape) = text.split_once(columns::SEPARATOR).unwrap_or((&text, ""));
                sources.shapes.insert(hash.to_owned(), shape.to_owned());
            }
        }
        Ok(sources)
    }

    /// The document's `_id`.
    pub(crate) fn id(&mut self, row: u32) -> io::Result<String> {
        let mut parts = [0; 3];
        for (part, name) in parts.iter_mut().zip([columns::ID_SECOND, columns::ID_HIGH, columns::ID_LOW]) {
            if let Some(Loaded::Whole(values)) = self.column(name)?.as_deref() {
                *part = values.of(row).first().copied().unwrap_or(0);
            }
        }
        let [second, high, low] = parts;
        Ok(URL_SAFE_NO_PAD.encode(join_id(second, high, low).0))
    }

    /// The document's `@timestamp`, milliseconds since 1970.
    pub(crate) fn timestamp(&mut self, row: u32) -> io::Result<Option<i64>> {
        Ok(self.scalar(columns::TIMESTAMP, row)?.and_then(|value| value.as_i64()))
    }

    /// The document as it was given to the store.
    pub(crate) fn source(&mut self, row: u32) -> io::Result<Map<String, Value>> {
        let extra = match self.scalar(columns::EXTRA, row)? {
            Some(Value::String(text)) => serde_json::from_str(&text)?,
            _ => Map::new(),
        };
        let shape = match self.scalar(columns::SHAPE, row)? {
            Some(Value::String(hash)) => self.shapes.get(&hash).cloned().unwrap_or_default(),
            _ => String::new(),
        };
        let mut fields = Map::new();
        for entry in shape.split(columns::SEPARATOR) {
            let mut letters = entry.chars();
            let Some(kind) = letters.next().map(Kind::from_letter) else { continue };
            let field = letters.as_str();
            let value = match (extra.get(field), kind) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(kind)) => self.field(kind, &format!("ipfix.{field}"), row)?,
                (None, None) => None,
            };
            if let Some(value) = value {
                fields.insert(field.to_owned(), value);
            }
        }
        for (field, value) in extra {
            fields.entry(field).or_insert(value);
        }
        let mut document = Map::new();
        if let Some(time) = self.field(Kind::Date, "@timestamp", row)? {
            document.insert("@timestamp".to_owned(), time);
        }
        document.insert("@version".to_owned(), "1".into());
        document.insert("type".to_owned(), "ipfix".into());
        if let Some(host) = self.field(Kind::Ip, "host", row)? {
            document.insert("host".to_owned(), host);
        }
        document.insert("ipfix".to_owned(), Value::Object(fields));
        Ok(document)
    }

    /// One field's first value as `_source` shows it.
    pub(crate) fn field(&mut self, kind: Kind, field: &str, row: u32) -> io::Result<Option<Value>> {
        let value = self.scalar(&column_name(kind, field), row)?;
        Ok(value.map(|value| match (kind, value.as_i64()) {
            (Kind::Date, Some(millis)) => Value::String(json::time(millis)),
            (Kind::Boolean, Some(number)) => Value::Bool(number != 0),
            _ => value,
        }))
    }

    /// All values of a column, numbers and texts as they are stored.
    pub(crate) fn values(&mut self, name: &str, row: u32) -> io::Result<Vec<Value>> {
        Ok(match self.column(name)?.as_deref() {
            Some(Loaded::Whole(values)) => values.of(row).iter().map(|number| Value::from(*number)).collect(),
            Some(Loaded::Float(values)) => values.of(row).iter().map(|number| Value::from(*number)).collect(),
            Some(Loaded::Text(ordinals, dictionary)) => {
                let texts = ordinals.of(row).iter().map(|ordinal| self.string(name, *ordinal, dictionary));
                texts.map(|text| text.map(Value::String)).collect::<io::Result<_>>()?
            }
            None => Vec::new(),
        })
    }

    fn scalar(&mut self, name: &str, row: u32) -> io::Result<Option<Value>> {
        Ok(match self.column(name)?.as_deref() {
            Some(Loaded::Whole(values)) => values.of(row).first().map(|number| Value::from(*number)),
            Some(Loaded::Float(values)) => {
                values.of(row).first().and_then(|number| Number::from_f64(*number)).map(Value::Number)
            }
            Some(Loaded::Text(ordinals, dictionary)) => match ordinals.of(row).first() {
                Some(ordinal) => Some(Value::String(self.string(name, *ordinal, dictionary)?)),
                None => None,
            },
            None => None,
        })
    }

    fn string(&mut self, name: &str, ordinal: u32, dictionary: &StrColumn) -> io::Result<String> {
        let key = (name.to_owned(), ordinal);
        if let Some(text) = self.strings.get(&key) {
            return Ok(text.clone());
        }
        let mut text = String::new();
        dictionary.ord_to_str(u64::from(ordinal), &mut text)?;
        self.strings.insert(key, text.clone());
        Ok(text)
    }

    fn column(&mut self, name: &str) -> io::Result<Option<Arc<Loaded>>> {
        if let Some(column) = self.columns.get(name) {
            return Ok(column.clone());
        }
        let column = self.cache.load(self.segment, name)?;
        self.columns.insert(name.to_owned(), column.clone());
        Ok(column)
    }
}
