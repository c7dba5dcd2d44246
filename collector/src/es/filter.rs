//! A query fitted to the fields there are.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::tz::TimeZone;
use regex::Regex;
use serde_json::Value;
use tantivy::columnar::StrColumn;

use crate::store::Kind;

use super::addresses::{address_number, network};
use super::body;
use super::date;
use super::error::{EsError, Result};
use super::fields::{Field, Fields, Place};
use super::patterns::{from_lucene, from_wildcard, regex};
use super::query::{Bool, Query, Range};

/// What a segment's documents are tested with.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    All,
    None,
    And(Vec<Self>),
    /// At least so many of these.
    Or(Vec<Self>, usize),
    Not(Box<Self>),
    Text {
        column: String,
        test: TextTest,
    },
    /// A whole number in one of these ranges, both ends included.
    Whole {
        column: String,
        ranges: Vec<(i64, i64)>,
    },
    /// A double in one of these ranges; the flags say whether the ends are included.
    Float {
        column: String,
        ranges: Vec<FloatRange>,
    },
    Present(String),
    Index(TextTest),
    /// Ids as the columns hold them.
    Ids(BTreeSet<(i64, i64, i64)>),
}

/// Lower and upper end, each with whether it belongs.
type FloatRange = ((f64, bool), (f64, bool));

/// A test of one text.
#[derive(Clone, Debug)]
pub(crate) enum TextTest {
    OneOf(BTreeSet<String>),
    /// In the order of octets.
    Between(Option<(String, bool)>, Option<(String, bool)>),
    /// An address in one of these ranges, both ends included, as [`address_number`] gives them.
    Addresses(Vec<(u128, u128)>),
    Prefix(String),
    Pattern(Regex),
}

impl TextTest {
    pub(crate) fn passes(&self, text: &str) -> bool {
        match self {
            Self::OneOf(texts) => texts.contains(text),
            Self::Between(from, to) => {
                from.as_ref().is_none_or(|(from, included)| text > from.as_str() || *included && text == from)
                    && to.as_ref().is_none_or(|(to, included)| text < to.as_str() || *included && text == to)
            }
            Self::Addresses(ranges) => text.parse().is_ok_and(|address| {
                let number = address_number(address);
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&number))
            }),
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Pattern(pattern) => pattern.is_match(text),
        }
    }

    /// The ordinals of a dictionary whose texts pass, ascending.
    pub(crate) fn ordinals(&self, texts: &StrColumn) -> std::io::Result<Vec<u32>> {
        let mut found = Vec::new();
        if let Self::OneOf(wanted) = self {
            for text in wanted {
                if let Some(ordinal) = texts.dictionary().term_ord(text.as_bytes())? {
                    found.push(u32::try_from(ordinal).unwrap_or(u32::MAX));
                }
            }
            return Ok(found);
        }
        let mut stream = texts.dictionary().stream()?;
        let mut ordinal = 0;
        while stream.advance() {
            if std::str::from_utf8(stream.key()).is_ok_and(|text| self.passes(text)) {
                found.push(ordinal);
            }
            ordinal += 1;
        }
        Ok(found)
    }
}

/// Fits queries to fields.
pub(crate) struct Planner<'f> {
    pub(crate) fields: &'f Fields,
    /// What `now` means, milliseconds since 1970: the same for the whole request.
    pub(crate) now: i64,
}

impl Planner<'_> {
    pub(crate) fn plan(&self, query: &Query) -> Result<Filter> {
        Ok(match query {
            Query::All => Filter::All,
            Query::None => Filter::None,
            Query::Bool(parts) => self.boolean(parts)?,
            Query::Term { field, value, fold_case } => {
                self.terms(field, std::slice::from_ref(value), *fold_case)?
            }
            Query::Terms { field, values } => self.terms(field, values, false)?,
            Query::Range(range) => self.range(range)?,
            Query::Exists { field } => self.exists(field),
            Query::Prefix { field, text, fold_case } => {
                let test = if *fold_case {
                    TextTest::Pattern(regex(&format!("{}.*", regex::escape(text)), true)?)
                } else {
                    TextTest::Prefix(text.clone())
                };
                self.text(field, "prefix", test)?
            }
            Query::Wildcard { field, pattern, fold_case } => {
                self.text(field, "wildcard", TextTest::Pattern(regex(&from_wildcard(pattern), *fold_case)?))?
            }
            Query::Regexp { field, pattern, fold_case } => {
                self.text(field, "regexp", TextTest::Pattern(regex(&from_lucene(pattern), *fold_case)?))?
            }
            Query::Ids(ids) => Filter::Ids(ids.iter().filter_map(|id| id_parts(id)).collect()),
            Query::AnyField { fields, text, lenient } => self.any_field(fields, text, *lenient)?,
        })
    }

    fn boolean(&self, parts: &Bool) -> Result<Filter> {
        let mut all = parts.must.iter().map(|query| self.plan(query)).collect::<Result<Vec<_>>>()?;
        let should = parts.should.iter().map(|query| self.plan(query)).collect::<Result<Vec<_>>>()?;
        for query in &parts.must_not {
            all.push(Filter::Not(Box::new(self.plan(query)?)));
        }
        let least = match &parts.minimum_should_match {
            Some(text) => minimum(text, should.len())?,
            None => usize::from(parts.must.is_empty() && !should.is_empty()),
        };
        if least > should.len() && !(should.is_empty() && parts.minimum_should_match.is_some()) {
            return Ok(Filter::None);
        }
        if least > 0 && !should.is_empty() {
            all.push(Filter::Or(should, least));
        }
        Ok(Filter::And(all))
    }

    fn terms(&self, name: &str, values: &[Value], fold_case: bool) -> Result<Filter> {
        let Some(field) = self.fields.find(name) else { return Ok(Filter::None) };
        if fold_case && field.kind == Kind::Keyword {
            let any = values
                .iter()
                .filter_map(body::scalar_text)
                .map(|text| regex::escape(&text))
                .collect::<Vec<_>>();
            return Ok(text_filter(&field, TextTest::Pattern(regex(&any.join("|"), true)?)));
        }
        if field.place == Place::Id {
            let ids = values.iter().filter_map(body::scalar_text).filter_map(|id| id_parts(&id));
            return Ok(Filter::Ids(ids.collect()));
        }
        Ok(match field.kind {
            Kind::Keyword => {
                text_filter(&field, TextTest::OneOf(values.iter().filter_map(body::scalar_text).collect()))
            }
            Kind::Ip => {
                let ranges = values.iter().map(network).collect::<Result<_>>()?;
                text_filter(&field, TextTest::Addresses(ranges))
            }
            Kind::Long | Kind::Boolean => {
                let mut ranges = Vec::new();
                for value in values {
                    // 5.5 is no long: it matches nothing, as in Elasticsearch.
                    ranges.extend(whole(&field, value)?.map(|number| (number, number)));
                }
                whole_filter(&field, ranges)?
            }
            Kind::Date => {
                let ranges = values
                    .iter()
                    .map(|value| {
                        Ok((self.time(value, None, None, false)?, self.time(value, None, None, true)?))
                    })
                    .collect::<Result<_>>()?;
                whole_filter(&field, ranges)?
            }
            Kind::Double => {
                let ranges = values
                    .iter()
                    .map(|value| float(&field, value).map(|number| ((number, true), (number, true))))
                    .collect::<Result<_>>()?;
                Filter::Float { column: field.column()?.to_owned(), ranges }
            }
        })
    }

    fn range(&self, range: &Range) -> Result<Filter> {
        let Some(field) = self.fields.find(&range.field) else { return Ok(Filter::None) };
        let (from, to) = (range.from.as_ref(), range.to.as_ref());
        match field.kind {
            Kind::Keyword => {
                let text = |end: Option<&(Value, bool)>| {
                    end.and_then(|(value, included)| Some((body::scalar_text(value)?, *included)))
                };
                Ok(text_filter(&field, TextTest::Between(text(from), text(to))))
            }
            Kind::Ip => {
                let low = from
                    .map(|(value, included)| network(value).map(|(low, _)| (low, *included)))
                    .transpose()?;
                let high = to
                    .map(|(value, included)| network(value).map(|(_, high)| (high, *included)))
                    .transpose()?;
                let low = low.map_or(Some(0), |(low, included)| low.checked_add(u128::from(!included)));
                let high =
                    high.map_or(Some(u128::MAX), |(high, included)| high.checked_sub(u128::from(!included)));
                let ranges = low.zip(high).filter(|(low, high)| low <= high).into_iter().collect();
                Ok(text_filter(&field, TextTest::Addresses(ranges)))
            }
            Kind::Date => {
                let (format, zone) = (range.format.as_deref(), range.time_zone.as_deref());
                // `gt` and `lte` mean the end of what is not said: `lte 2026-11-22` is the whole day.
                let low = match from {
                    None => Some(i64::MIN),
                    Some((value, true)) => Some(self.time(value, format, zone, false)?),
                    Some((value, false)) => self.time(value, format, zone, true)?.checked_add(1),
                };
                let high = match to {
                    None => Some(i64::MAX),
                    Some((value, true)) => Some(self.time(value, format, zone, true)?),
                    Some((value, false)) => self.time(value, format, zone, false)?.checked_sub(1),
                };
                whole_filter(&field, low.zip(high).filter(|(low, high)| low <= high).into_iter().collect())
            }
            Kind::Long | Kind::Boolean => {
                let low = from.map_or(Ok(i64::MIN), |(value, included)| low_end(&field, value, *included))?;
                let high = to.map_or(Ok(i64::MAX), |(value, included)| high_end(&field, value, *included))?;
                whole_filter(&field, if low <= high { vec![(low, high)] } else { Vec::new() })
            }
            Kind::Double => {
                let end = |end: Option<&(Value, bool)>, open: f64| match end {
                    Some((value, included)) => Result::Ok((float(&field, value)?, *included)),
                    None => Ok((open, true)),
                };
                let range = (end(from, f64::NEG_INFINITY)?, end(to, f64::INFINITY)?);
                Ok(Filter::Float { column: field.column()?.to_owned(), ranges: vec![range] })
            }
        }
    }

    fn time(&self, value: &Value, format: Option<&str>, zone: Option<&str>, up: bool) -> Result<i64> {
        let zone = zone.map_or(Ok(TimeZone::UTC), date::zone)?;
        let text = match (value, format) {
            (Value::Number(number), None) => {
                return body::whole("date", value).map_err(|_| parse_failure(&number.to_string()));
            }
            _ => body::scalar_text(value).unwrap_or_default(),
        };
        date::parse(&text, format.unwrap_or(date::DEFAULT_FORMAT), &zone, self.now, up)
    }

    fn exists(&self, name: &str) -> Filter {
        let exact = self.fields.matching(name);
        let under = if exact.is_empty() { self.fields.matching(&format!("{name}.*")) } else { exact };
        let filters = under.iter().map(|field| match &field.place {
            Place::Column(column) => Filter::Present(column.clone()),
            _ => Filter::All,
        });
        Filter::Or(filters.collect(), 1)
    }

    fn text(&self, name: &str, query: &str, test: TextTest) -> Result<Filter> {
        let Some(field) = self.fields.find(name) else { return Ok(Filter::None) };
        if field.kind != Kind::Keyword {
            return Err(EsError::shard(
                "query_shard_exception",
                format!(
                    "Can only use {query} queries on keyword, text and wildcard fields - not on [{name}] which is of type [{}]",
                    field.kind.es_type()
                ),
            ));
        }
        Ok(text_filter(&field, test))
    }

    fn any_field(&self, patterns: &[String], text: &str, lenient: bool) -> Result<Filter> {
        let value = Value::String(text.to_owned());
        let everything = ["*".to_owned()];
        let patterns = if patterns.is_empty() { &everything } else { patterns };
        let mut any = Vec::new();
        for field in patterns.iter().flat_map(|pattern| self.fields.matching(pattern)) {
            match self.terms(&field.name, std::slice::from_ref(&value), false) {
                Ok(filter) => any.push(filter),
                Err(_) if lenient => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Filter::Or(any, 1))
    }
}

fn id_parts(id: &str) -> Option<(i64, i64, i64)> {
    let octets: [u8; 15] = URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()?;
    let [second @ .., h0, h1, h2, h3, h4, h5, h6, h7, l0, l1, l2] = octets;
    let high = i64::from_be_bytes([h0, h1, h2, h3, h4, h5, h6, h7]);
    Some((i64::from(u32::from_be_bytes(second)), high, i64::from(u32::from_be_bytes([0, l0, l1, l2]))))
}

fn text_filter(field: &Field, test: TextTest) -> Filter {
    match &field.place {
        Place::Column(column) => Filter::Text { column: column.clone(), test },
        Place::Constant(value) if test.passes(value) => Filter::All,
        Place::Constant(_) | Place::Id => Filter::None,
        Place::Index => Filter::Index(test),
    }
}

fn whole_filter(field: &Field, ranges: Vec<(i64, i64)>) -> Result<Filter> {
    Ok(Filter::Whole { column: field.column()?.to_owned(), ranges })
}

/// A value of a long or boolean field; `None` where it is a number but no whole one.
fn whole(field: &Field, value: &Value) -> Result<Option<i64>> {
    if field.kind == Kind::Boolean {
        return match value {
            Value::Bool(truth) => Ok(Some(i64::from(*truth))),
            Value::String(text) if text == "true" || text == "false" => Ok(Some(i64::from(text == "true"))),
            other => Err(EsError::shard(
                "query_shard_exception",
                format!(
                    "failed to create query: Can't parse boolean value [{}], expected [true] or [false]",
                    body::scalar_text(other).unwrap_or_default()
                ),
            )),
        };
    }
    if let Value::Number(number) = value
        && let Some(whole) = number.as_i64()
    {
        return Ok(Some(whole));
    }
    if let Value::String(text) = value
        && let Ok(whole) = text.parse()
    {
        return Ok(Some(whole));
    }
    float(field, value).map(body::exact)
}

fn float(field: &Field, value: &Value) -> Result<f64> {
    body::number(value).filter(|_| !value.is_boolean()).ok_or_else(|| {
        let text = body::scalar_text(value).unwrap_or_default();
        EsError::shard(
            "query_shard_exception",
            format!("failed to create query: For input string: \"{text}\" on field [{}]", field.name),
        )
    })
}

fn low_end(field: &Field, value: &Value, included: bool) -> Result<i64> {
    if let Some(whole) = whole(field, value)? {
        return Ok(whole.saturating_add(i64::from(!included)));
    }
    Ok(saturated(float(field, value)?.ceil()))
}

fn high_end(field: &Field, value: &Value, included: bool) -> Result<i64> {
    if let Some(whole) = whole(field, value)? {
        return Ok(whole.saturating_sub(i64::from(!included)));
    }
    Ok(saturated(float(field, value)?.floor()))
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
fn saturated(number: f64) -> i64 {
    number as i64
}

/// `minimum_should_match`: `2`, `-1`, `75%`, `-25%`.
/// How many of so many clauses have to match.
pub(crate) fn minimum(text: &str, clauses: usize) -> Result<usize> {
    let count = i64::try_from(clauses).unwrap_or(i64::MAX);
    let bad = || EsError::illegal(format!("[minimum_should_match] cannot be read: [{text}]"));
    let wanted = match text.trim().strip_suffix('%') {
        Some(percent) => {
            let percent: i64 = percent.parse().map_err(|_| bad())?;
            let part = count.saturating_mul(percent.abs()) / 100;
            if percent < 0 { count - part } else { part }
        }
        None => {
            let number: i64 = text.trim().parse().map_err(|_| bad())?;
            if number < 0 { count.saturating_add(number) } else { number }
        }
    };
    Ok(usize::try_from(wanted.max(0)).unwrap_or(usize::MAX))
}

fn parse_failure(text: &str) -> EsError {
    EsError::shard("parse_exception", format!("failed to parse date field [{text}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_should_match_is_read_in_all_its_forms() {
        for (text, clauses, expected) in
            [("2", 3, 2), ("-1", 3, 2), ("75%", 4, 3), ("-25%", 4, 3), ("200%", 2, 4), ("-9", 3, 0)]
        {
            assert_eq!(minimum(text, clauses).unwrap(), expected, "{text}");
        }
        assert!(minimum("many", 1).is_err());
    }
}
