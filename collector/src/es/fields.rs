//! Which fields there are, of which type, and which column holds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::{Kind, Segment, column_name};

use super::error::{EsError, Result};

/// The fields of the segments asked, by full name.
pub(crate) struct Fields {
    kinds: BTreeMap<String, Kind>,
}

/// A field as a request names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Field {
    /// The name asked for.
    pub(crate) name: String,
    /// What its values are; an address asked for by its `.keyword` name is text.
    pub(crate) kind: Kind,
    /// Where the values are.
    pub(crate) place: Place,
}

/// Where a field's values are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// In the column of this name.
    Column(String),
    /// The same in every document.
    Constant(&'static str),
    /// The document's index.
    Index,
    /// The document's id.
    Id,
}

/// Fields that every document has with the same value.
const CONSTANTS: [(&str, &str); 2] = [("@version", "1"), ("type", "ipfix")];
/// Names that old dashboards ask for, and the field that carries it today.
const ALIASES: [(&str, &str); 1] = [("ipfix.destinationServiceName", "ipfix.destinationServicePortName")];

impl Fields {
    /// The union of the segments' fields. Where they disagree on a type, the earlier in [`Kind::ALL`] wins.
    pub(crate) fn of(segments: &[Arc<Segment>]) -> Result<Self> {
        let mut kinds = BTreeMap::new();
        for segment in segments {
            for (name, kind) in segment.fields()? {
                kinds
                    .entry(name.clone())
                    .and_modify(|known: &mut Kind| *known = prefer(*known, *kind))
                    .or_insert(*kind);
            }
        }
        if !segments.is_empty() {
            kinds.extend(CONSTANTS.map(|(name, _)| (name.to_owned(), Kind::Keyword)));
        }
        Ok(Self { kinds })
    }

    /// The field, or `None` where no document has it.
    pub(crate) fn find(&self, name: &str) -> Option<Field> {
        match name {
            "_index" => return Some(field(name, Kind::Keyword, Place::Index)),
            "_id" => return Some(field(name, Kind::Keyword, Place::Id)),
            _ => {}
        }
        if let Some(kind) = self.kinds.get(name) {
            return Some(self.at(name, name, *kind));
        }
        let base = name.strip_suffix(".keyword")?;
        let base = match ALIASES.iter().find(|(alias, _)| *alias == base) {
            Some((_, target)) if !self.kinds.contains_key(base) => target,
            _ => base,
        };
        let kind = *self.kinds.get(base)?;
        kind.is_text().then(|| Field { kind: Kind::Keyword, ..self.at(name, base, kind) })
    }

    /// As [`Fields::find`], for what must be summed or sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.kinds.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// Fields whose name matches a pattern with `*`.
    pub(crate) fn matching(&self, pattern: &str) -> Vec<Field> {
        if !pattern.contains('*') {
            return self.find(pattern).into_iter().collect();
        }
        self.kinds.keys().filter(|name| wild(pattern, name)).filter_map(|name| self.find(name)).collect()
    }

    fn at(&self, name: &str, base: &str, kind: Kind) -> Field {
        let constant = CONSTANTS.iter().find(|(constant, _)| *constant == base);
        let place = constant
            .map_or_else(|| Place::Column(column_name(kind, base)), |(_, value)| Place::Constant(value));
        field(name, kind, place)
    }
}

impl Field {
    /// The column's name, for what only columns can do.
    pub(crate) fn column(&self) -> Result<&str> {
        match &self.place {
            Place::Column(name) => Ok(name),
            _ => Err(EsError::illegal(format!(
                "Fielddata access on the {} field is disallowed here; it has no column",
                self.name
            ))),
        }
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for anything.
pub(crate) fn wild(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn field(name: &str, kind: Kind, place: Place) -> Field {
    Field { name: name.to_owned(), kind, place }
}

fn prefer(a: Kind, b: Kind) -> Kind {
    Kind::ALL.into_iter().find(|kind| [a, b].contains(kind)).unwrap_or(a)
}

#[cfg(test)]
mod tests {
    use super::wild;

    #[test]
    fn stars_stand_for_anything() {
        let table = [
            ("flow-*", "flow-2026.11.22", true),
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("a*b*c", "a-b-c", true),
            ("ab", "abc", false),
            ("a*a", "a", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(wild(pattern, text), expected, "{pattern} {text}");
        }
    }
}
