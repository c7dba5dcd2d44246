//! Hits as Elasticsearch shows them: `_source` and what is filtered out of it, fields, sort values.

use serde_json::{Map, Value, json};

use super::addresses::address_text;
use super::aggs::partial::Key;
use super::body::{self, Object};
use super::date;
use super::error::Result;
use super::fields::{Field, Fields, Place, wild};
use super::hits::{Found, Hit, HitsRequest, Missing, Shown, Sort, SortBy, SourceFilter};
use super::ranks::sentinel;
use crate::store::{Cache, Kind, Sources};

/// Shows hits.
pub(crate) struct Shower<'s> {
    pub(crate) fields: &'s Fields,
    pub(crate) cache: &'s Cache,
}

impl Shower<'_> {
    /// The value of `hits`.
    pub(crate) fn hits(&self, request: &HitsRequest, found: &Found, total: Option<Value>) -> Result<Value> {
        let scored = request.sort.is_empty() || request.sort.iter().any(|sort| sort.by == SortBy::Score);
        let mut shown: Vec<Value> = vec![Value::Null; found.hits.len()];
        // Segment by segment, so that each one's dictionaries are opened once.
        let mut order: Vec<usize> = (0..found.hits.len()).collect();
        order.sort_by_key(|at| found.hits.get(*at).map(|hit| hit.segment.serial));
        let mut open: Option<(u64, Sources<'_>)> = None;
        for at in order {
            let (Some(hit), Some(place)) = (found.hits.get(at), shown.get_mut(at)) else { continue };
            let mut sources = match open.take() {
                Some((serial, sources)) if serial == hit.segment.serial => sources,
                _ => Sources::new(&hit.segment, self.cache)?,
            };
            *place = self.hit(request, hit, &mut sources, scored)?;
            open = Some((hit.segment.serial, sources));
        }
        let mut hits = Map::new();
        if let Some(total) = total {
            hits.insert("total".to_owned(), total);
        }
        let max_score = if scored && !shown.is_empty() { json!(1.0) } else { Value::Null };
        hits.insert("max_score".to_owned(), max_score);
        hits.insert("hits".to_owned(), shown.into());
        Ok(Value::Object(hits))
    }

    fn hit(
        &self,
        request: &HitsRequest,
        hit: &Hit,
        sources: &mut Sources<'_>,
        scored: bool,
    ) -> Result<Value> {
        let mut shown = Map::new();
        shown.insert("_index".to_owned(), hit.segment.index().into());
        shown.insert("_id".to_owned(), sources.id(hit.row)?.into());
        if request.version {
            shown.insert("_version".to_owned(), 1.into());
        }
        if request.seq_no {
            shown.insert("_seq_no".to_owned(), hit.row.into());
            shown.insert("_primary_term".to_owned(), 1.into());
        }
        shown.insert("_score".to_owned(), if scored { json!(1.0) } else { Value::Null });
        if !request.source.off {
            let source = sources.source(hit.row)?;
            shown.insert("_source".to_owned(), request.source.apply(source));
        }
        let mut fields = Map::new();
        for wanted in request.fields.iter().chain(&request.docvalue_fields) {
            for field in self.fields.matching(&wanted.pattern) {
                let values = self.values(&field, wanted, hit, sources)?;
                if !values.is_empty() {
                    fields.insert(field.name, values.into());
                }
            }
        }
        if !fields.is_empty() {
            shown.insert("fields".to_owned(), Value::Object(fields));
        }
        if !request.sort.is_empty() {
            let values = hit.keys.iter().zip(&request.sort).map(|(key, sort)| self.sort_value(key, sort));
            shown.insert("sort".to_owned(), values.collect::<Vec<_>>().into());
        }
        Ok(Value::Object(shown))
    }

    fn values(
        &self,
        field: &Field,
        wanted: &Shown,
        hit: &Hit,
        sources: &mut Sources<'_>,
    ) -> Result<Vec<Value>> {
        let values = match &field.place {
            Place::Constant(value) => vec![Value::from(*value)],
            Place::Index => vec![hit.segment.index().into()],
            Place::Id => vec![sources.id(hit.row)?.into()],
            Place::Column(column) => sources.values(column, hit.row)?,
        };
        Ok(values
            .into_iter()
            .map(|value| match (field.kind, value.as_i64()) {
                (Kind::Date, Some(millis)) => {
                    let format = wanted.format.as_deref().unwrap_or("strict_date_optional_time");
                    date::format(millis, format, &jiff::tz::TimeZone::UTC).into()
                }
                (Kind::Boolean, Some(number)) => Value::Bool(number != 0),
                _ => value,
            })
            .collect())
    }

    fn sort_value(&self, key: &Key, sort: &Sort) -> Value {
        let kind = match &sort.by {
            SortBy::Field(name) => self.fields.find(name).map_or(Kind::Long, |field| field.kind),
            SortBy::Score => return json!(1.0),
            SortBy::Place => Kind::Long,
        };
        match key {
            Key::Whole(millis) => match (&sort.format, kind) {
                (Some(format), Kind::Date) => date::format(*millis, format, &jiff::tz::TimeZone::UTC).into(),
                _ => (*millis).into(),
            },
            Key::Real(bits) => super::aggs::number(tantivy::u64_to_f64(*bits)),
            Key::Address(number) => address_text(*number).into(),
            Key::Text(text) => text.as_ref().into(),
            Key::Missing => {
                sentinel(kind, sort.ascending, matches!(sort.missing, Missing::First)).unwrap_or(Value::Null)
            }
            Key::Several(_) => Value::Null,
        }
    }
}

impl SourceFilter {
    pub(super) fn apply(&self, source: Map<String, Value>) -> Value {
        if self.includes.is_empty() && self.excludes.is_empty() {
            return Value::Object(source);
        }
        Value::Object(self.part(source, ""))
    }

    fn part(&self, source: Map<String, Value>, path: &str) -> Map<String, Value> {
        let mut kept = Map::new();
        for (name, value) in source {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if self.excludes.iter().any(|pattern| wild(pattern, &path)) {
                continue;
            }
            // A pattern that names an object wants all that is in it.
            let within = |pattern: &String| {
                wild(pattern, &path)
                    || path
                        .match_indices('.')
                        .any(|(at, _)| path.get(..at).is_some_and(|parent| wild(pattern, parent)))
            };
            let included = self.includes.is_empty() || self.includes.iter().any(within);
            match value {
                Value::Object(inner) => {
                    let inner = self.part(inner, &path);
                    if !inner.is_empty() {
                        kept.insert(name, Value::Object(inner));
                    }
                }
                value if included => {
                    kept.insert(name, value);
                }
                _ => {}
            }
        }
        kept
    }
}

/// The value of `_source`.
pub(crate) fn source_filter(value: &Value) -> Result<SourceFilter> {
    let texts = |value: &Value| {
        body::one_or_many(value).iter().map(|text| body::text("_source", text)).collect::<Result<Vec<_>>>()
    };
    Ok(match value {
        Value::Bool(on) => SourceFilter { off: !on, ..SourceFilter::default() },
        Value::Object(_) => {
            let mut object = Object::new("_source", value)?;
            let mut list = |keys: [&str; 2]| -> Result<Vec<String>> {
                let found = object.take(keys[0]).or_else(|| object.take(keys[1]));
                found.map_or(Ok(Vec::new()), texts)
            };
            let filter = SourceFilter {
                off: false,
                includes: list(["includes", "include"])?,
                excludes: list(["excludes", "exclude"])?,
            };
            object.finish()?;
            filter
        }
        value => SourceFilter { includes: texts(value)?, ..SourceFilter::default() },
    })
}
