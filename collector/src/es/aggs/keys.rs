//! From a source of values to bucket keys: each value of each document becomes a small number, and a table says
//! which key the number stands for.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use serde_json::Value;
use tantivy::columnar::StrColumn;

use super::collect::Collector;
use super::partial::{Key, Quick};
use super::{CompositeKind, CompositeSource, Source};
use crate::es::addresses::{address_number, address_text};
use crate::es::body;
use crate::es::date::Rounding;
use crate::es::error::{EsError, Result};
use crate::es::fields::{Field, Place};
use crate::store::{Kind as FieldKind, Loaded, Values};

/// Numbers given to values: the `i`-th is of document `at[i]` of those asked about (without `at`: of the `i`-th).
pub(super) struct Placed {
    pub(super) at: Option<Vec<u32>>,
    pub(super) ordinals: Vec<u32>,
    pub(super) table: Table,
}

/// What the numbers stand for.
pub(super) enum Table {
    /// Texts of a dictionary; one past its end is the key of documents without a value.
    Texts {
        texts: StrColumn,
        addresses: bool,
        missing: Option<Key>,
    },
    Keys(Vec<Key>),
}

impl Table {
    /// How many numbers there may be.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts { texts, missing, .. } => texts.num_terms() + usize::from(missing.is_some()),
            Self::Keys(keys) => keys.len(),
        }
    }

    /// The keys of some numbers, which must ascend.
    pub(super) fn keys(&self, ordinals: &[u32]) -> Result<Vec<Key>> {
        let (texts, addresses, missing) = match self {
            Self::Keys(keys) => {
                return Ok(ordinals
                    .iter()
                    .map(|ordinal| keys.get(*ordinal as usize).cloned().unwrap_or(Key::Missing))
                    .collect());
            }
            Self::Texts { texts, addresses, missing } => (texts, *addresses, missing),
        };
        let mut keys = Vec::with_capacity(ordinals.len());
        let end = texts.num_terms() as u64;
        let inside: Vec<u64> =
            ordinals.iter().map(|ordinal| u64::from(*ordinal)).filter(|ordinal| *ordinal < end).collect();
        texts.dictionary().sorted_ords_to_term_cb(&inside, |term| {
            let text = String::from_utf8_lossy(term);
            keys.push(text_key(&text, addresses));
        })?;
        keys.resize(ordinals.len(), missing.clone().unwrap_or(Key::Missing));
        Ok(keys)
    }
}

/// The key of a text in a keyword or address field.
pub(super) fn text_key(text: &str, address: bool) -> Key {
    match text.parse() {
        Ok(parsed) if address => Key::Address(address_number(parsed)),
        _ => Key::Text(text.into()),
    }
}

/// The key of a JSON value in a field of this kind: of `missing`, `include`, `after`.
pub(super) fn value_key(kind: FieldKind, value: &Value, now: i64) -> Result<Key> {
    let bad = || {
        EsError::shard(
            "illegal_argument_exception",
            format!("[{value}] is no value of a {} field", kind.es_type()),
        )
    };
    Ok(match kind {
        FieldKind::Keyword => text_key(&body::scalar_text(value).ok_or_else(bad)?, false),
        FieldKind::Ip => text_key(&body::scalar_text(value).ok_or_else(bad)?, true),
        FieldKind::Double => Key::Real(tantivy::f64_to_u64(body::number(value).ok_or_else(bad)?)),
        FieldKind::Boolean => Key::Whole(i64::from(body::truth("missing", value).map_err(|_| bad())?)),
        FieldKind::Long => match body::number(value) {
            Some(number) if value.is_string() || value.is_number() => body::whole("value", value)
                .map(Key::Whole)
                .unwrap_or_else(|_| Key::Real(tantivy::f64_to_u64(number))),
            _ => return Err(bad()),
        },
        FieldKind::Date => match value {
            Value::Number(_) => Key::Whole(body::whole("value", value)?),
            other => {
                let text = body::scalar_text(other).ok_or_else(bad)?;
                let zone = jiff::tz::TimeZone::UTC;
                Key::Whole(crate::es::date::parse(&text, crate::es::date::DEFAULT_FORMAT, &zone, now, false)?)
            }
        },
    })
}

/// A hash map from 64 bits to a small number.
type Numbers = HashMap<u64, u32, BuildHasherDefault<Quick>>;

impl Collector<'_> {
    /// Values of a `terms` source.
    pub(super) fn terms(&self, source: &Source, documents: &[u32]) -> Result<Option<Placed>> {
        let Some(field) = self.planner.fields.find(&source.field) else {
            // An unmapped field still gives a bucket of its own to `missing`.
            let Some(missing) = &source.missing else { return Ok(None) };
            let key = text_key(&body::scalar_text(missing).unwrap_or_default(), false);
            return Ok(Some(Placed {
                at: None,
                ordinals: vec![0; documents.len()],
                table: Table::Keys(vec![key]),
            }));
        };
        let missing = source
            .missing
            .as_ref()
            .map(|value| value_key(field.kind, value, self.planner.now))
            .transpose()?;
        let constant = match &field.place {
            Place::Column(_) => None,
            Place::Constant(value) => Some(Key::Text((*value).into())),
            Place::Index => Some(Key::Text(self.segment.index().into())),
            Place::Id => return Err(id_fielddata()),
        };
        if let Some(key) = constant {
            return Ok(Some(Placed {
                at: None,
                ordinals: vec![0; documents.len()],
                table: Table::Keys(vec![key]),
            }));
        }
        let loaded = self.load(&field)?;
        Ok(match loaded.as_deref() {
            Some(Loaded::Text(values, texts)) => {
                // A missing key that is also a value of the dictionary must not become a second bucket.
                let known = match &missing {
                    Some(Key::Text(text)) => texts.dictionary().term_ord(text.as_bytes())?,
                    Some(Key::Address(number)) => {
                        texts.dictionary().term_ord(address_text(*number).as_bytes())?
                    }
                    _ => None,
                };
                let end = u32::try_from(texts.num_terms()).unwrap_or(u32::MAX);
                let instead =
                    missing.as_ref().map(|_| known.and_then(|o| u32::try_from(o).ok()).unwrap_or(end));
                let (at, ordinals) = place(values, documents, instead, |ordinal| ordinal);
                let addresses = field.kind == FieldKind::Ip;
                Some(Placed {
                    at,
                    ordinals,
                    table: Table::Texts { texts: texts.clone(), addresses, missing },
                })
            }
            Some(Loaded::Whole(values)) => Some(numbered(
                values,
                documents,
                missing,
                |value| u64::from_ne_bytes(value.to_ne_bytes()),
                |bits| Key::Whole(i64::from_ne_bytes(bits.to_ne_bytes())),
            )),
            Some(Loaded::Float(values)) => {
                Some(numbered(values, documents, missing, tantivy::f64_to_u64, Key::Real))
            }
            None => missing.map(|key| Placed {
                at: None,
                ordinals: vec![0; documents.len()],
                table: Table::Keys(vec![key]),
            }),
        })
    }

    /// Buckets of a `date_histogram`.
    pub(super) fn date_histogram(
        &self,
        source: &Source,
        rounding: &Rounding,
        documents: &[u32],
    ) -> Result<Option<Placed>> {
        let Some(field) = self.planner.fields.find(&source.field) else { return Ok(None) };
        if !matches!(field.kind, FieldKind::Date | FieldKind::Long) {
            return Err(wrong_type(&field, "date_histogram"));
        }
        let instead = match &source.missing {
            Some(value) => match value_key(FieldKind::Date, value, self.planner.now)? {
                Key::Whole(millis) => Some(millis),
                _ => None,
            },
            None => None,
        };
        let mut keys: Vec<Key> = Vec::new();
        let mut known = Numbers::default();
        // Documents lie roughly in the order of time, so most values fall into the bucket of the one before.
        let mut last = (0, 0, 0);
        let mut bucket = |value: i64| {
            if last.0 <= value && value < last.1 {
                return last.2;
            }
            let (start, end) = rounding.bucket(value);
            let ordinal = *known.entry(u64::from_ne_bytes(start.to_ne_bytes())).or_insert_with(|| {
                keys.push(Key::Whole(start));
                u32::try_from(keys.len() - 1).unwrap_or(u32::MAX)
            });
            last = (start, end, ordinal);
            ordinal
        };
        let instead = instead.map(&mut bucket);
        let loaded = self.load(&field)?;
        let (at, ordinals) = match loaded.as_deref() {
            Some(Loaded::Whole(values)) => place(values, documents, instead, bucket),
            _ => match instead {
                Some(ordinal) => (None, vec![ordinal; documents.len()]),
                None => return Ok(None),
            },
        };
        Ok(Some(Placed { at, ordinals, table: Table::Keys(keys) }))
    }

    /// Buckets of a `histogram`.
    pub(super) fn histogram(
        &self,
        source: &Source,
        (interval, offset): (f64, f64),
        documents: &[u32],
    ) -> Result<Option<Placed>> {
        let Some(field) = self.planner.fields.find(&source.field) else { return Ok(None) };
        if field.kind.is_text() {
            return Err(wrong_type(&field, "histogram"));
        }
        let mut keys: Vec<Key> = Vec::new();
        let mut known = Numbers::default();
        let mut bucket = |value: f64| {
            let start = ((value - offset) / interval).floor() * interval + offset;
            let bits = tantivy::f64_to_u64(start);
            *known.entry(bits).or_insert_with(|| {
                keys.push(Key::Real(bits));
                u32::try_from(keys.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let instead = source.missing.as_ref().and_then(body::number).map(&mut bucket);
        let loaded = self.load(&field)?;
        let (at, ordinals) = match loaded.as_deref() {
            Some(Loaded::Whole(values)) => place(values, documents, instead, |value| bucket(real(value))),
            Some(Loaded::Float(values)) => place(values, documents, instead, bucket),
            _ => match instead {
                Some(ordinal) => (None, vec![ordinal; documents.len()]),
                None => return Ok(None),
            },
        };
        Ok(Some(Placed { at, ordinals, table: Table::Keys(keys) }))
    }

    /// Combinations of several sources; a document without a value in one has none, unless a source says otherwise.
    pub(super) fn combined(&self, sources: &[CompositeSource], documents: &[u32]) -> Result<Option<Placed>> {
        let mut rows: Vec<(u32, u32)> = (0..).take(documents.len()).map(|at| (at, 0)).collect();
        let mut combinations: Vec<Vec<u32>> = vec![Vec::new()];
        let mut tables = Vec::new();
        for source in sources {
            let placed = match &source.what {
                CompositeKind::Terms => self.terms(&source.source, documents)?,
                CompositeKind::Histogram(interval) => {
                    self.histogram(&source.source, (*interval, 0.0), documents)?
                }
                CompositeKind::DateHistogram(rounding) => {
                    self.date_histogram(&source.source, rounding, documents)?
                }
            };
            let (at, ordinals, table) = match placed {
                Some(placed) => (placed.at, placed.ordinals, placed.table),
                None if source.missing_bucket => (Some(Vec::new()), Vec::new(), Table::Keys(Vec::new())),
                None => return Ok(None),
            };
            let nothing = source.missing_bucket.then(|| u32::try_from(table.len()).unwrap_or(u32::MAX));
            let (joined, found) = join(&rows, at.as_deref(), &ordinals, nothing);
            combinations = found
                .into_iter()
                .map(|(before, ordinal)| {
                    let mut parts = combinations.get(before as usize).cloned().unwrap_or_default();
                    parts.push(ordinal);
                    parts
                })
                .collect();
            rows = joined;
            tables.push(table);
            self.work.check()?;
        }
        let keys = combination_keys(&tables, &combinations)?;
        let (at, ordinals) = rows.into_iter().unzip();
        Ok(Some(Placed { at: Some(at), ordinals, table: Table::Keys(keys) }))
    }

    pub(super) fn load(&self, field: &Field) -> Result<Option<Arc<Loaded>>> {
        Ok(self.cache.load(self.segment, field.column()?)?)
    }
}

/// Joins rows (document, combination so far) with the next source's values by document.
type Joined = (Vec<(u32, u32)>, Vec<(u32, u32)>);

fn join(rows: &[(u32, u32)], at: Option<&[u32]>, ordinals: &[u32], nothing: Option<u32>) -> Joined {
    let mut known = Numbers::default();
    let mut found: Vec<(u32, u32)> = Vec::new();
    let mut joined = Vec::with_capacity(rows.len());
    let mut next = 0;
    let mut number = |combination: u32, ordinal: u32| {
        *known.entry(u64::from(combination) << 32 | u64::from(ordinal)).or_insert_with(|| {
            found.push((combination, ordinal));
            u32::try_from(found.len() - 1).unwrap_or(u32::MAX)
        })
    };
    for (document, combination) in rows {
        let values = match at {
            None => {
                let place = *document as usize;
                ordinals.get(place..=place).unwrap_or_default()
            }
            Some(at) => {
                while at.get(next).is_some_and(|other| other < document) {
                    next += 1;
                }
                let count =
                    at.get(next..).unwrap_or_default().iter().take_while(|other| *other == document).count();
                ordinals.get(next..next + count).unwrap_or_default()
            }
        };
        for ordinal in values {
            joined.push((*document, number(*combination, *ordinal)));
        }
        if let (true, Some(nothing)) = (values.is_empty(), nothing) {
            joined.push((*document, number(*combination, nothing)));
        }
    }
    (joined, found)
}

fn combination_keys(tables: &[Table], combinations: &[Vec<u32>]) -> Result<Vec<Key>> {
    let mut columns = Vec::new();
    for (place, table) in tables.iter().enumerate() {
        let mut used: Vec<u32> = combinations.iter().filter_map(|parts| parts.get(place).copied()).collect();
        used.sort_unstable();
        used.dedup();
        let keys = table.keys(&used)?;
        columns.push((used, keys));
    }
    Ok(combinations
        .iter()
        .map(|parts| {
            let keys = parts.iter().zip(&columns).map(|(ordinal, (used, keys))| {
                used.binary_search(ordinal).ok().and_then(|at| keys.get(at).cloned()).unwrap_or(Key::Missing)
            });
            Key::Several(keys.collect())
        })
        .collect())
}

/// Gives every value of the documents its number; a document's equal numbers count once.
fn place<T: Copy>(
    values: &Values<T>,
    documents: &[u32],
    missing: Option<u32>,
    mut number: impl FnMut(T) -> u32,
) -> (Option<Vec<u32>>, Vec<u32>) {
    if let Some(full) = values.full() {
        let ordinals =
            documents.iter().filter_map(|document| full.get(*document as usize)).map(|value| number(*value));
        return (None, ordinals.collect());
    }
    let (mut at, mut ordinals) = (Vec::new(), Vec::new());
    for (position, document) in (0..).zip(documents) {
        let before = ordinals.len();
        match values.of(*document) {
            [] => {
                if let Some(missing) = missing {
                    ordinals.push(missing);
                }
            }
            [only] => ordinals.push(number(*only)),
            several => {
                let mut numbers: Vec<u32> = several.iter().map(|value| number(*value)).collect();
                numbers.sort_unstable();
                numbers.dedup();
                ordinals.extend(numbers);
            }
        }
        at.resize(at.len() + ordinals.len() - before, position);
    }
    (Some(at), ordinals)
}

fn numbered<T: Copy>(
    values: &Values<T>,
    documents: &[u32],
    missing: Option<Key>,
    bits: impl Fn(T) -> u64,
    key: impl Fn(u64) -> Key,
) -> Placed {
    let mut known = Numbers::default();
    let mut keys = Vec::new();
    let instead = missing.map(|missing| {
        match &missing {
            Key::Whole(whole) => drop(known.insert(u64::from_ne_bytes(whole.to_ne_bytes()), 0)),
            Key::Real(bits) => drop(known.insert(*bits, 0)),
            _ => {}
        }
        keys.push(missing);
        0
    });
    let (at, ordinals) = place(values, documents, instead, |value| {
        let bits = bits(value);
        *known.entry(bits).or_insert_with(|| {
            keys.push(key(bits));
            u32::try_from(keys.len() - 1).unwrap_or(u32::MAX)
        })
    });
    Placed { at, ordinals, table: Table::Keys(keys) }
}

pub(super) fn wrong_type(field: &Field, what: &str) -> EsError {
    EsError::shard(
        "illegal_argument_exception",
        format!(
            "Field [{}] of type [{}] is not supported for aggregation [{what}]",
            field.name,
            field.kind.es_type()
        ),
    )
}

fn id_fielddata() -> EsError {
    EsError::shard(
        "illegal_argument_exception",
        "Fielddata access on the _id field is disallowed, you can re-enable it by updating the dynamic cluster setting: indices.id_field_data.enabled",
    )
}

#[expect(clippy::cast_precision_loss, reason = "Elasticsearch's metrics and histograms are doubles too")]
pub(crate) fn real(value: i64) -> f64 {
    value as f64
}
