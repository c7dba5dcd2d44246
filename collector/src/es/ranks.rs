//! Documents of one segment as numbers that sort as their values do.

use std::sync::Arc;

use serde_json::{Value, json};

use super::addresses::address_number;
use super::aggs::collect::Collector;
use super::aggs::partial::Key;
use super::body;
use super::date;
use super::error::{EsError, Result};
use super::fields::Place;
use super::hits::{Missing, Sort, SortBy};
use crate::store::{Kind, Loaded};

/// A number that documents of one segment sort by: which group (missing first, with a value, missing last), and the
/// value, turned round where the order descends.
pub(super) type Rank = (u8, u64);

pub(super) struct Column {
    values: Option<Arc<Loaded>>,
    kind: Kind,
    /// For addresses: the place of each ordinal in the order of numbers.
    places: Option<(Vec<u64>, Vec<u128>)>,
    constant: Option<Key>,
    place_in_store: Option<u64>,
    ascending: bool,
    missing_first: bool,
    missing_value: Option<Key>,
}

impl Column {
    pub(super) fn open(sort: &Sort, collector: &Collector<'_>) -> Result<Self> {
        let mut column = Self {
            values: None,
            kind: Kind::Long,
            places: None,
            constant: None,
            place_in_store: None,
            ascending: sort.ascending,
            missing_first: matches!(sort.missing, Missing::First),
            missing_value: None,
        };
        let name = match &sort.by {
            SortBy::Score => {
                column.constant = Some(Key::Whole(1));
                return Ok(column);
            }
            SortBy::Place => {
                column.place_in_store = Some(collector.segment.facts.commits.0 << 21);
                return Ok(column);
            }
            SortBy::Field(name) => name,
        };
        let Some(field) = collector.planner.fields.find(name) else {
            if sort.unmapped || collector.planner.fields.names().next().is_none() {
                return Ok(column);
            }
            return Err(EsError::shard(
                "query_shard_exception",
                format!("No mapping found for [{name}] in order to sort on"),
            ));
        };
        column.kind = field.kind;
        if let Missing::Value(value) = &sort.missing {
            column.missing_value = Some(sort_key(field.kind, value)?);
        }
        match &field.place {
            Place::Constant(value) => column.constant = Some(Key::Text((*value).into())),
            Place::Index => column.constant = Some(Key::Text(collector.segment.index().into())),
            Place::Id => {
                return Err(EsError::shard(
                    "illegal_argument_exception",
                    "Fielddata access on the _id field is disallowed, you can re-enable it by updating the dynamic cluster setting: indices.id_field_data.enabled",
                ));
            }
            Place::Column(name) => column.values = collector.cache.load(collector.segment, name)?,
        }
        if let (Kind::Ip, Some(Loaded::Text(_, texts))) = (field.kind, column.values.as_deref()) {
            let mut numbers = Vec::new();
            let mut stream = texts.dictionary().stream()?;
            while stream.advance() {
                let text = String::from_utf8_lossy(stream.key());
                numbers.push(text.parse().map_or(0, address_number));
            }
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            let places =
                numbers.iter().map(|number| sorted.partition_point(|other| other < number) as u64).collect();
            column.places = Some((places, sorted));
        }
        Ok(column)
    }

    pub(super) fn rank(&self, row: u32) -> Rank {
        if let Some(start) = self.place_in_store {
            return self.turned(start + u64::from(row));
        }
        if self.constant.is_some() {
            return self.turned(0);
        }
        // Of several values the least counts where the order ascends, else the most.
        let pick =
            |values: &mut dyn Iterator<Item = u64>| if self.ascending { values.min() } else { values.max() };
        let value = match self.values.as_deref() {
            Some(Loaded::Whole(values)) => {
                pick(&mut values.of(row).iter().map(|value| tantivy::i64_to_u64(*value)))
            }
            Some(Loaded::Float(values)) => {
                pick(&mut values.of(row).iter().map(|value| tantivy::f64_to_u64(*value)))
            }
            Some(Loaded::Text(values, _)) => {
                pick(&mut values.of(row).iter().map(|ordinal| self.text_rank(*ordinal)))
            }
            None => None,
        };
        match (value, &self.missing_value) {
            (Some(value), _) => self.turned(value),
            (None, Some(key)) => self.rank_of(key),
            (None, None) => (if self.missing_first { 0 } else { 2 }, 0),
        }
    }

    /// Odd numbers are values of the dictionary, even ones the gaps between them.
    fn text_rank(&self, ordinal: u32) -> u64 {
        let place = match &self.places {
            Some((places, _)) => places.get(ordinal as usize).copied().unwrap_or(0),
            None => u64::from(ordinal),
        };
        place * 2 + 1
    }

    fn turned(&self, value: u64) -> Rank {
        (1, if self.ascending { value } else { !value })
    }

    /// The rank of a key that need not be in this segment.
    fn rank_of(&self, key: &Key) -> Rank {
        let value = match (key, self.values.as_deref()) {
            (Key::Missing, _) => return (if self.missing_first { 0 } else { 2 }, 0),
            (Key::Whole(whole), Some(Loaded::Float(_))) => tantivy::f64_to_u64(super::aggs::real(*whole)),
            (Key::Whole(whole), _) => tantivy::i64_to_u64(*whole),
            (Key::Real(bits), Some(Loaded::Whole(_))) => {
                tantivy::i64_to_u64(saturated(tantivy::u64_to_f64(*bits)))
            }
            (Key::Real(bits), _) => *bits,
            (Key::Address(number), _) => match &self.places {
                Some((_, sorted)) => {
                    let place = sorted.partition_point(|other| other < number) as u64 * 2;
                    place + u64::from(sorted.binary_search(number).is_ok())
                }
                None => 0,
            },
            (Key::Text(text), Some(Loaded::Text(_, texts))) => {
                let texts = texts.dictionary();
                match texts.term_ord_or_next(text.as_bytes()) {
                    Ok(tantivy::columnar::TermOrdHit::Exact(ordinal)) => ordinal * 2 + 1,
                    Ok(tantivy::columnar::TermOrdHit::Next(ordinal)) => ordinal * 2,
                    Err(_) => 0,
                }
            }
            (Key::Text(text), _) => match &self.constant {
                Some(Key::Text(constant)) => match constant.as_ref().cmp(text) {
                    std::cmp::Ordering::Less => return self.turned(1),
                    std::cmp::Ordering::Equal => 0,
                    std::cmp::Ordering::Greater if self.ascending => return (0, 0),
                    std::cmp::Ordering::Greater => return (2, 0),
                },
                _ => 0,
            },
            (Key::Several(_), _) => 0,
        };
        self.turned(value)
    }

    pub(super) fn after(&self, value: &Value) -> Result<Rank> {
        if let Some(start) = self.place_in_store {
            let _unused = start;
            let place = value
                .as_u64()
                .ok_or_else(|| EsError::illegal("[search_after] of [_doc] must be a whole number"))?;
            return Ok(self.turned(place));
        }
        if value.is_null()
            || sentinel(self.kind, self.ascending, self.missing_first).is_some_and(|s| *value == s)
        {
            return Ok(self.rank_of(&Key::Missing));
        }
        if let Some(Key::Whole(_)) = self.constant {
            return Ok(self.turned(0));
        }
        Ok(self.rank_of(&sort_key(self.kind, value)?))
    }

    pub(super) fn key(&self, row: u32) -> Result<Key> {
        if let Some(start) = self.place_in_store {
            return Ok(Key::Whole(i64::try_from(start + u64::from(row)).unwrap_or(i64::MAX)));
        }
        if let Some(constant) = &self.constant {
            return Ok(constant.clone());
        }
        let rank = self.rank(row);
        let bits = if self.ascending { rank.1 } else { !rank.1 };
        Ok(match self.values.as_deref() {
            _ if rank.0 != 1 => Key::Missing,
            Some(Loaded::Whole(values)) if !values.of(row).is_empty() => {
                Key::Whole(tantivy::u64_to_i64(bits))
            }
            Some(Loaded::Float(values)) if !values.of(row).is_empty() => Key::Real(bits),
            Some(Loaded::Text(values, texts)) if !values.of(row).is_empty() => {
                if let Some((_, sorted)) = &self.places {
                    let place = usize::try_from(bits / 2).unwrap_or(usize::MAX);
                    Key::Address(sorted.get(place).copied().unwrap_or(0))
                } else {
                    let mut text = String::new();
                    texts.ord_to_str(bits / 2, &mut text)?;
                    Key::Text(text.into())
                }
            }
            _ => self.missing_value.clone().unwrap_or(Key::Missing),
        })
    }
}

/// What Elasticsearch shows as the sort value of a missing number or time.
pub(super) fn sentinel(kind: Kind, ascending: bool, missing_first: bool) -> Option<Value> {
    let most = ascending != missing_first;
    match kind {
        Kind::Long | Kind::Date | Kind::Boolean => Some(json!(if most { i64::MAX } else { i64::MIN })),
        Kind::Double => Some(json!(if most { "Infinity" } else { "-Infinity" })),
        Kind::Keyword | Kind::Ip => None,
    }
}

fn sort_key(kind: Kind, value: &Value) -> Result<Key> {
    let bad = || {
        EsError::shard(
            "illegal_argument_exception",
            format!("Failed to parse search_after value for a field of type [{}]: [{value}]", kind.es_type()),
        )
    };
    let text = body::scalar_text(value).ok_or_else(bad)?;
    Ok(match kind {
        Kind::Keyword => Key::Text(text.into()),
        Kind::Ip => Key::Address(address_number(text.parse().map_err(|_| bad())?)),
        Kind::Double => Key::Real(tantivy::f64_to_u64(body::number(value).ok_or_else(bad)?)),
        Kind::Boolean if value.is_boolean() => Key::Whole(i64::from(text == "true")),
        Kind::Date if value.is_string() => {
            let zone = jiff::tz::TimeZone::UTC;
            Key::Whole(date::parse(&text, date::DEFAULT_FORMAT, &zone, 0, false)?)
        }
        _ => Key::Whole(body::whole("search_after", value).map_err(|_| bad())?),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
fn saturated(number: f64) -> i64 {
    number as i64
}
