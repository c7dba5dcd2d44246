//! Documents on their way into the store: written at once into columns, one writer a time slice.
//!
//! A record whose id is known is dropped here, before any column sees it. The ids of a batch that is never
//! committed are forgotten again, so that its records may come a second time.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::ser::{SerializeMap, Serializer as _};
use tantivy::columnar::ColumnarWriter;
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{self, Kind};
use super::json::Json;
use super::recent::Recent;
use super::segment::{self, Facts};
use crate::document::model::{Document, DocumentId, Value};

/// Documents to be committed together.
pub struct Batch {
    pub(crate) slices: BTreeMap<String, SliceBatch>,
    pub(crate) duplicates: u64,
    ids: Vec<DocumentId>,
    recent: Arc<Mutex<Recent>>,
    now: i64,
    hour: (i64, String),
}

/// What [`Batch::add`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Added {
    /// The document will be stored by the commit.
    New,
    /// A document of this id is stored already, or is in this batch.
    Duplicate,
}

/// The documents of one slice.
#[derive(Default)]
pub(crate) struct SliceBatch {
    writer: ColumnarWriter,
    documents: u32,
    timestamps: Option<(i64, i64)>,
    shapes: HashSet<u64>,
    known: HashSet<String>,
    name: String,
    shape: String,
}

impl Batch {
    pub(crate) fn new(recent: Arc<Mutex<Recent>>, now: i64) -> Self {
        Self {
            slices: BTreeMap::new(),
            duplicates: 0,
            ids: Vec::new(),
            recent,
            now,
            hour: (i64::MIN, String::new()),
        }
    }

    /// Takes a document, unless one of its id was stored lately.
    pub fn add(&mut self, document: &Document<'_>) -> Added {
        if !self.recent.lock().unwrap_or_else(PoisonError::into_inner).insert(document.id, self.now) {
            self.duplicates += 1;
            return Added::Duplicate;
        }
        self.ids.push(document.id);
        let hour = document.timestamp.div_euclid(MILLIS_PER_HOUR);
        if self.hour.0 != hour || self.hour.1.is_empty() {
            self.hour = (hour, slice_name(document.timestamp));
        }
        match self.slices.get_mut(&self.hour.1) {
            Some(slice) => slice.add(document),
            None => self.slices.entry(self.hour.1.clone()).or_default().add(document),
        }
        Added::New
    }

    /// Documents that a commit would store.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether a commit would store nothing.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Octets of memory that the batch holds, roughly.
    pub fn memory(&self) -> usize {
        self.slices.values().map(|slice| slice.writer.mem_usage()).sum::<usize>() + self.ids.len() * 15
    }

    /// The batch is on disk: its ids stay known.
    pub(crate) fn keep_ids(&mut self) {
        self.ids.clear();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            self.ids.iter().for_each(|id| recent.remove(*id));
        }
    }
}

impl SliceBatch {
    fn add(&mut self, document: &Document<'_>) {
        let row = self.documents;
        self.documents += 1;
        let timestamp = document.timestamp;
        let (first, last) = self.timestamps.unwrap_or((timestamp, timestamp));
        self.timestamps = Some((first.min(timestamp), last.max(timestamp)));

        let [second @ .., h0, h1, h2, h3, h4, h5, h6, h7, l0, l1, l2] = document.id.0;
        let high = i64::from_be_bytes([h0, h1, h2, h3, h4, h5, h6, h7]);
        let low = u32::from_be_bytes([0, l0, l1, l2]);
        self.writer.record_numerical(row, columns::ID_SECOND, i64::from(u32::from_be_bytes(second)));
        self.writer.record_numerical(row, columns::ID_HIGH, high);
        self.writer.record_numerical(row, columns::ID_LOW, i64::from(low));
        self.writer.record_numerical(row, columns::TIMESTAMP, timestamp);
        self.text(row, Kind::Ip, "host", |text| write!(text, "{}", document.host));

        let known_shape = self.record_shape(row, document);
        let mut extra = Vec::new();
        for (name, value) in &document.fields {
            if !columns::is_exact(name, value) {
                extra.push((name.as_ref(), value));
            }
            if known_shape || self.admit(name, value) {
                self.record(row, &["ipfix.", name], value);
            } else if columns::is_exact(name, value) {
                extra.push((name.as_ref(), value));
            }
        }
        if !extra.is_empty()
            && let Ok(json) = object(&extra)
        {
            self.writer.record_str(row, columns::EXTRA, &json);
        }
    }

    /// Writes the shape's hash, and the shape itself where this batch has not had it. Says whether all its
    /// columns are known to be within the bound.
    fn record_shape(&mut self, row: u32, document: &Document<'_>) -> bool {
        let mut shape = std::mem::take(&mut self.shape);
        columns::write_shape(&document.fields, &mut shape);
        let hash = xxh3_64(shape.as_bytes());
        let name = format!("{hash:016x}");
        self.writer.record_str(row, columns::SHAPE, &name);
        let mut known = self.shapes.contains(&hash);
        if !known {
            self.writer.record_str(row, columns::SHAPES, &(name + &shape));
            // Lists and objects make columns that the shape does not name, so they are looked at every time.
            let whole = document.fields.iter().all(|(name, value)| {
                !matches!(value, Value::List(_) | Value::Object(_)) && self.admit(name, value)
            });
            if whole {
                self.shapes.insert(hash);
                known = true;
            }
        }
        self.shape = shape;
        known
    }

    /// Whether the field may have columns: it has them already, or there is room for more.
    fn admit(&mut self, name: &str, value: &Value<'_>) -> bool {
        let letter = Kind::of(value).map_or(columns::EXTRA_LETTER, Kind::letter);
        let key = format!("{letter}{name}");
        if self.known.contains(&key) {
            return true;
        }
        let room = self.known.len() + members(value) <= columns::MAX_COLUMNS;
        if room {
            self.known.insert(key);
        }
        room
    }

    /// Records a value under `path`; members of lists and objects under the same rules as Elasticsearch's.
    fn record(&mut self, row: u32, path: &[&str], value: &Value<'_>) {
        let Some(kind) = Kind::of(value) else {
            match value {
                Value::List(members) => members.iter().for_each(|member| self.record(row, path, member)),
                Value::Object(members) => {
                    for (name, member) in members {
                        let whole = path.concat();
                        self.record(row, &[&whole, ".", name], member);
                    }
                }
                _ => {}
            }
            return;
        };
        if path.iter().any(|part| part.contains(|c: char| c.is_ascii_control())) {
            return;
        }
        self.name.clear();
        self.name.push(kind.letter());
        path.iter().for_each(|part| self.name.push_str(part));
        let Self { writer, name, .. } = self;
        match value {
            Value::Unsigned(number) => {
                writer.record_numerical(row, name, i64::try_from(*number).unwrap_or(i64::MAX));
            }
            Value::Signed(number) => writer.record_numerical(row, name, *number),
            Value::Time(millis) => writer.record_numerical(row, name, *millis),
            Value::Float(number) => writer.record_numerical(row, name, *number),
            Value::Boolean(truth) => writer.record_bool(row, name, *truth),
            Value::String(text) if columns::is_keyword(text) => writer.record_str(row, name, text),
            Value::String(_) | Value::List(_) | Value::Object(_) => {}
            Value::Address(IpAddr::V4(address)) => {
                // Hot: two addresses or more a record; `Display` into a stack buffer, no allocation.
                let mut text = Stack::default();
                if write!(text, "{address}").is_ok() {
                    writer.record_str(row, name, text.as_str());
                }
            }
            Value::Address(address) => writer.record_str(row, name, &address.to_string()),
        }
    }

    fn text(&mut self, row: u32, kind: Kind, field: &str, fill: impl Fn(&mut Stack) -> std::fmt::Result) {
        let mut text = Stack::default();
        if fill(&mut text).is_ok() {
            self.writer.record_str(row, &segment::column_name(kind, field), text.as_str());
        }
    }

    /// The segment file of these documents. May be called again after a failed write.
    pub(crate) fn finish(&mut self, commit: u64, now: i64) -> io::Result<(Vec<u8>, Facts)> {
        let facts = Facts {
            commits: (commit, commit),
            documents: self.documents,
            timestamps: self.timestamps.unwrap_or_default(),
            committed: now,
        };
        let mut bytes = Vec::new();
        self.writer.serialize(self.documents, None, &mut bytes)?;
        segment::finish(&mut bytes, &facts)?;
        Ok((bytes, facts))
    }
}

/// The slice of a time: its UTC hour, such as `2026.11.22T05`.
pub(crate) fn slice_name(millis: i64) -> String {
    let text = super::json::time(millis);
    text.chars().take(text.len() - ":00:00.000Z".len()).map(|c| if c == '-' { '.' } else { c }).collect()
}

/// Scalar values that could each need a column of their own.
fn members(value: &Value<'_>) -> usize {
    match value {
        Value::List(list) => list.iter().map(members).max().unwrap_or(0),
        Value::Object(object) => object.iter().map(|(_, value)| members(value)).sum(),
        _ => 1,
    }
}

fn object(fields: &[(&str, &Value<'_>)]) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut bytes);
    let mut map = serializer.serialize_map(Some(fields.len()))?;
    fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, &Json(value)))?;
    SerializeMap::end(map)?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// Room for the text of any address (39 octets, or 45 with an embedded IPv4 one).
#[derive(Default)]
struct Stack {
    octets: [u8; 16],
    rest: String,
    length: usize,
}

impl Stack {
    fn as_str(&self) -> &str {
        if self.rest.is_empty() {
            self.octets.get(..self.length).and_then(|octets| std::str::from_utf8(octets).ok()).unwrap_or("")
        } else {
            &self.rest
        }
    }
}

impl std::fmt::Write for Stack {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        match self.octets.get_mut(self.length..end) {
            Some(room) if self.rest.is_empty() => {
                room.copy_from_slice(text.as_bytes());
                self.length = end;
            }
            _ => {
                if self.rest.is_empty() {
                    self.rest = self.as_str().to_owned();
                }
                self.rest.push_str(text);
            }
        }
        Ok(())
    }
}

const MILLIS_PER_HOUR: i64 = 3_600_000;
