//! Columns of a segment decoded into plain vectors, and the bounded cache of them.
//!
//! A query touches few columns but all their rows; decoding a block at a time and then running plain loops is several
//! times faster than asking tantivy for each value, and keeps the loops readable.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::columnar::{Column, ColumnIndex, DynamicColumn, StrColumn};

use super::Segment;

/// One bit a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: u32,
}

impl Bits {
    pub(crate) fn none(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)], len }
    }

    pub(crate) fn all(len: u32) -> Self {
        let mut bits = Self { words: vec![u64::MAX; (len as usize).div_ceil(64)], len };
        bits.trim();
        bits
    }

    pub(crate) fn set(&mut self, at: u32) {
        if let Some(word) = self.words.get_mut(at as usize / 64) {
            *word |= 1 << (at % 64);
        }
    }

    #[inline]
    pub(crate) fn get(&self, at: u32) -> bool {
        self.words.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub(crate) fn and(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
    }

    pub(crate) fn or(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    pub(crate) fn not(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.trim();
    }

    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The set positions, ascending.
    pub(crate) fn positions(&self) -> Vec<u32> {
        let mut positions = Vec::with_capacity(usize::try_from(self.count()).unwrap_or(0));
        for (start, word) in (0..).step_by(64).zip(&self.words) {
            let mut word = *word;
            while word != 0 {
                positions.push(start + word.trailing_zeros());
                word &= word - 1;
            }
        }
        positions
    }

    fn trim(&mut self) {
        let over = self.words.len() * 64 - self.len as usize;
        if let Some(last) = self.words.last_mut() {
            *last &= u64::MAX >> over;
        }
    }
}

/// The values of one column, by document.
#[derive(Debug)]
pub(crate) struct Values<T> {
    values: Vec<T>,
    index: Index,
}

#[derive(Debug)]
enum Index {
    /// Every document has one value, at its own place.
    Full,
    /// As `Full`, but only these places mean anything.
    Some(Bits),
    /// The values of document `d` are `starts[d]..starts[d + 1]`.
    Many(Vec<u32>),
}

impl<T: Copy> Values<T> {
    /// The values of a document.
    #[inline]
    pub(crate) fn of(&self, document: u32) -> &[T] {
        let at = document as usize;
        match &self.index {
            Index::Full => self.values.get(at..at + 1).unwrap_or(&[]),
            Index::Some(present) if present.get(document) => self.values.get(at..at + 1).unwrap_or(&[]),
            Index::Some(_) => &[],
            Index::Many(starts) => {
                let (Some(start), Some(end)) = (starts.get(at), starts.get(at + 1)) else { return &[] };
                self.values.get(*start as usize..*end as usize).unwrap_or(&[])
            }
        }
    }

    /// The values where every document has exactly one: what hot loops want.
    #[inline]
    pub(crate) fn full(&self) -> Option<&[T]> {
        matches!(self.index, Index::Full).then_some(&self.values)
    }

    /// Which documents have a value.
    pub(crate) fn present(&self, documents: u32) -> Bits {
        match &self.index {
            Index::Full => Bits::all(documents),
            Index::Some(present) => present.clone(),
            Index::Many(_) => self.matching(documents, |_| true),
        }
    }

    /// Documents with a value that passes.
    pub(crate) fn matching(&self, documents: u32, test: impl Fn(T) -> bool) -> Bits {
        let mut bits = Bits::none(documents);
        if let Some(values) = self.full() {
            for (word, chunk) in bits.words.iter_mut().zip(values.chunks(64)) {
                for (at, value) in chunk.iter().enumerate() {
                    *word |= u64::from(test(*value)) << at;
                }
            }
        } else {
            for document in 0..documents {
                if self.of(document).iter().any(|value| test(*value)) {
                    bits.set(document);
                }
            }
        }
        bits
    }

    fn octets(&self) -> usize {
        let index = match &self.index {
            Index::Full => 0,
            Index::Some(present) => present.words.len() * 8,
            Index::Many(starts) => starts.len() * 4,
        };
        self.values.len() * size_of::<T>() + index
    }

    fn decode<S>(column: &Column<S>, documents: u32, convert: impl Fn(S) -> T) -> Self
    where
        S: Copy + Default + PartialOrd + std::fmt::Debug + Send + Sync + 'static,
        T: Default,
    {
        let count = column.values.num_vals();
        let mut values = Vec::with_capacity(count as usize);
        let mut block = [S::default(); BLOCK as usize];
        let mut start = 0;
        while start < count {
            let length = (count - start).min(BLOCK) as usize;
            let room = block.get_mut(..length).unwrap_or_default();
            column.values.get_range(u64::from(start), room);
            values.extend(room.iter().map(|value| convert(*value)));
            start += BLOCK;
        }
        let index = match &column.index {
            ColumnIndex::Full => Index::Full,
            ColumnIndex::Empty { .. } => Index::Some(Bits::none(documents)),
            ColumnIndex::Optional(optional) => {
                let mut present = Bits::none(documents);
                let mut spread = vec![T::default(); documents as usize];
                for (document, value) in optional.iter_non_null_docs().zip(&values) {
                    present.set(document);
                    if let Some(place) = spread.get_mut(document as usize) {
                        *place = *value;
                    }
                }
                values = spread;
                Index::Some(present)
            }
            ColumnIndex::Multivalued(_) => {
                let ends = (0..documents).map(|document| column.index.value_row_ids(document).end);
                let mut starts = vec![0];
                let mut last = 0;
                for end in ends {
                    // A document without values has an empty range wherever; the starts must still ascend.
                    last = last.max(end);
                    starts.push(last);
                }
                Index::Many(starts)
            }
        };
        if matches!(index, Index::Some(_)) {
            values.resize(documents as usize, T::default());
        }
        Self { values, index }
    }
}

/// A decoded column.
pub(crate) enum Loaded {
    /// Long, date (milliseconds) and boolean (0, 1) columns.
    Whole(Values<i64>),
    /// Double columns.
    Float(Values<f64>),
    /// Keyword and ip columns: ordinals into the dictionary, which is in the order of octets.
    Text(Values<u32>, StrColumn),
}

impl Loaded {
    fn new(column: DynamicColumn, documents: u32) -> io::Result<Self> {
        Ok(match column {
            DynamicColumn::I64(column) => Self::Whole(Values::decode(&column, documents, |value| value)),
            DynamicColumn::Bool(column) => Self::Whole(Values::decode(&column, documents, i64::from)),
            DynamicColumn::F64(column) => Self::Float(Values::decode(&column, documents, |value| value)),
            DynamicColumn::Str(column) => {
                // A dictionary is smaller than 2^32: a segment has at most 2^20 documents.
                let ordinals = Values::decode(column.ords(), documents, |value| {
                    u32::try_from(value).unwrap_or(u32::MAX)
                });
                Self::Text(ordinals, column)
            }
            other => {
                return Err(io::Error::other(format!(
                    "a column of type {} is not ours",
                    other.column_type()
                )));
            }
        })
    }

    fn octets(&self) -> usize {
        match self {
            Self::Whole(values) => values.octets(),
            Self::Float(values) => values.octets(),
            Self::Text(values, _) => values.octets(),
        }
    }
}

/// Decoded columns of the last queries, least recently used first out.
pub(crate) struct Cache {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    columns: HashMap<(u64, String), (Arc<Loaded>, u64)>,
    octets: usize,
    clock: u64,
}

impl Cache {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// The column, decoded; `None` where the segment has none of that name.
    pub(crate) fn load(&self, segment: &Segment, name: &str) -> io::Result<Option<Arc<Loaded>>> {
        let key = (segment.serial, name.to_owned());
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.clock += 1;
            let clock = kept.clock;
            if let Some((column, used)) = kept.columns.get_mut(&key) {
                *used = clock;
                return Ok(Some(Arc::clone(column)));
            }
        }
        let Some(column) = segment.column(name)? else { return Ok(None) };
        let column = Arc::new(Loaded::new(column, segment.facts.documents)?);
        self.keep(key, &column);
        Ok(Some(column))
    }

    fn keep(&self, key: (u64, String), column: &Arc<Loaded>) {
        let octets = column.octets();
        if octets > self.most {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = kept.clock;
        if kept.columns.insert(key, (Arc::clone(column), clock)).is_none() {
            kept.octets += octets;
        }
        if kept.octets > self.most {
            // Down to three quarters, so that the sorting is paid for by many later insertions.
            let mut ages: Vec<_> = kept.columns.iter().map(|(key, (_, used))| (*used, key.clone())).collect();
            ages.sort_unstable();
            for (_, key) in ages {
                if kept.octets <= self.most / 4 * 3 {
                    break;
                }
                if let Some((column, _)) = kept.columns.remove(&key) {
                    kept.octets -= column.octets();
                }
            }
        }
    }

    /// Drops the columns of a segment that is no more.
    pub(crate) fn forget(&self, serial: u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut freed = 0;
        kept.columns.retain(|(owner, _), (column, _)| {
            let stays = *owner != serial;
            if !stays {
                freed += column.octets();
            }
            stays
        });
        kept.octets -= freed;
    }
}

/// Values decoded at a time.
const BLOCK: u32 = 1024;
