//! A query as a test of one document: what `_search` would find, before there is an index.
//!
//! Types come from the document itself. What needs an index or a moment (`ids`, `now-5m`) is refused.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::Value as Json;

use crate::document::model::{Document, Value};
use crate::document::time;
use crate::es::{
    EsError, Query, Range, address_number, from_lucene, from_wildcard, minimum, network, regex, scalar_text,
};

/// Whether a document is wanted.
pub(super) type Test = Box<dyn Fn(&Document<'_>) -> bool + Send + Sync>;

type Result<T> = std::result::Result<T, EsError>;

type ValueTest = Box<dyn Fn(&Value<'_>) -> bool + Send + Sync>;

/// The test that a query is.
///
/// # Errors
/// What of it cannot be asked of one document.
pub(super) fn test(query: &Query) -> Result<Test> {
    Ok(match query {
        Query::All => Box::new(|_| true),
        Query::None => Box::new(|_| false),
        Query::Bool(parts) => {
            let must = parts.must.iter().map(test).collect::<Result<Vec<_>>>()?;
            let must_not = parts.must_not.iter().map(test).collect::<Result<Vec<_>>>()?;
            let should = parts.should.iter().map(test).collect::<Result<Vec<_>>>()?;
            let least = match &parts.minimum_should_match {
                Some(text) => minimum(text, should.len())?,
                None => usize::from(must.is_empty()),
            };
            let least = if should.is_empty() { 0 } else { least };
            Box::new(move |document| {
                must.iter().all(|test| test(document))
                    && !must_not.iter().any(|test| test(document))
                    && (least == 0 || should.iter().filter(|test| test(document)).count() >= least)
            })
        }
        Query::Term { field, value, fold_case } => of(field, equal(value, *fold_case)?)?,
        Query::Terms { field, values } => {
            let tests = values.iter().map(|value| equal(value, false)).collect::<Result<Vec<_>>>()?;
            of(field, Box::new(move |value| tests.iter().any(|test| test(value))))?
        }
        Query::Range(range) => of(&range.field, between(range)?)?,
        Query::Exists { field } => of(field, Box::new(|_| true))?,
        Query::Prefix { field, text, fold_case } => {
            of(field, matching(&format!("{}.*", ::regex::escape(text)), *fold_case)?)?
        }
        Query::Wildcard { field, pattern, fold_case } => {
            of(field, matching(&from_wildcard(pattern), *fold_case)?)?
        }
        Query::Regexp { field, pattern, fold_case } => {
            of(field, matching(&from_lucene(pattern), *fold_case)?)?
        }
        Query::Ids(_) => return Err(EsError::illegal("flows on their way have no ids to ask for yet")),
        Query::AnyField { fields, text, .. } => of_any(fields, equal(&Json::String(text.clone()), false)?)?,
    })
}

/// Any value of the field passes; of any field whose name fits, where the name has wildcards.
fn of(name: &str, test: ValueTest) -> Result<Test> {
    if name.contains('*') {
        return of_any(std::slice::from_ref(&name.to_owned()), test);
    }
    let name = name.strip_suffix(".keyword").unwrap_or(name).to_owned();
    Ok(Box::new(move |document| match name.as_str() {
        "@timestamp" => test(&Value::Time(document.timestamp)),
        "host" => test(&Value::Address(document.host)),
        "type" => test(&Value::String("ipfix".into())),
        name => name
            .strip_prefix("ipfix.")
            .and_then(|name| document.field(name))
            .is_some_and(|value| any(value, &test)),
    }))
}

/// Any value passes of any field whose name fits one of these, or of all fields where there is none.
fn of_any(names: &[String], test: ValueTest) -> Result<Test> {
    let names = names.iter().map(|name| regex(&from_wildcard(name), false)).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(move |document| {
        let fits = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted.is_match(name));
        document.fields.iter().any(|(name, value)| {
            (fits(&format!("ipfix.{name}")) || fits(&format!("ipfix.{name}.keyword"))) && any(value, &test)
        }) || fits("host") && test(&Value::Address(document.host))
    }))
}

fn any(value: &Value<'_>, test: &ValueTest) -> bool {
    match value {
        Value::List(values) => values.iter().any(|value| any(value, test)),
        // Inside of structured data has no names to ask for.
        Value::Object(_) => false,
        value => test(value),
    }
}

fn equal(wanted: &Json, fold_case: bool) -> Result<ValueTest> {
    let text =
        scalar_text(wanted).ok_or_else(|| EsError::illegal(format!("{wanted} is no value of a field")))?;
    if fold_case {
        return matching(&::regex::escape(&text), true);
    }
    let number: Option<f64> = text.parse().ok();
    let addresses = network(wanted).ok();
    Ok(Box::new(move |value| match value {
        Value::Address(address) => {
            addresses.is_some_and(|(from, to)| (from..=to).contains(&address_number(*address)))
        }
        Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => {
            shown(value) == text || number.is_some() && number == as_number(value)
        }
        value => shown(value) == text,
    }))
}

fn matching(pattern: &str, fold_case: bool) -> Result<ValueTest> {
    let pattern = regex(pattern, fold_case)?;
    Ok(Box::new(move |value| pattern.is_match(&shown(value))))
}

fn between(range: &Range) -> Result<ValueTest> {
    let from = range.from.as_ref().map(|(value, included)| Bound::of(value, *included)).transpose()?;
    let to = range.to.as_ref().map(|(value, included)| Bound::of(value, *included)).transpose()?;
    Ok(Box::new(move |value| {
        use std::cmp::Ordering::{Greater, Less};
        from.as_ref().is_none_or(|bound| bound.is_passed(value, Greater))
            && to.as_ref().is_none_or(|bound| bound.is_passed(value, Less))
    }))
}

/// One end of a range, as whatever it may be compared to.
struct Bound {
    text: String,
    number: Option<f64>,
    address: Option<u128>,
    time: Option<i64>,
    included: bool,
}

impl Bound {
    fn of(value: &Json, included: bool) -> Result<Self> {
        let text =
            scalar_text(value).ok_or_else(|| EsError::illegal(format!("{value} is no end of a range")))?;
        if text.starts_with("now") || text.contains("||") {
            let reason =
                format!("flows on their way are all of now: [{text}] cannot be compared with them here");
            return Err(EsError::illegal(reason));
        }
        let time = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
        Ok(Self {
            number: text.parse().ok(),
            address: text.parse::<IpAddr>().ok().map(address_number),
            time: time.or_else(|| text.parse().ok()),
            text,
            included,
        })
    }

    fn is_passed(&self, value: &Value<'_>, wanted: std::cmp::Ordering) -> bool {
        let order = match value {
            Value::Address(address) => self.address.map(|bound| address_number(*address).cmp(&bound)),
            Value::Time(millis) => self.time.map(|bound| millis.cmp(&bound)),
            Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => {
                self.number.and_then(|bound| as_number(value).and_then(|number| number.partial_cmp(&bound)))
            }
            value => Some(shown(value).as_ref().cmp(self.text.as_str())),
        };
        order.is_some_and(|order| order == wanted || self.included && order.is_eq())
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared as Elasticsearch compares a long with a double")]
fn as_number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Unsigned(number) => Some(*number as f64),
        Value::Signed(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// A value as its document shows it.
fn shown<'v>(value: &'v Value<'_>) -> Cow<'v, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Unsigned(number) => number.to_string().into(),
        Value::Signed(number) => number.to_string().into(),
        Value::Float(number) => number.to_string().into(),
        Value::Boolean(truth) => truth.to_string().into(),
        Value::Address(address) => address.to_string().into(),
        Value::Time(millis) => {
            let mut text = Vec::with_capacity(24);
            time::write(*millis, &mut text);
            String::from_utf8(text).unwrap_or_default().into()
        }
        Value::List(_) | Value::Object(_) => Cow::Borrowed(""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::document;
    use super::*;

    #[test]
    fn a_document_is_chosen_as_a_search_would_find_it() {
        let document = document("cart-7d9", 1500);
        for (query, wanted) in [
            (json!({"match_all": {}}), true),
            (json!({"match_none": {}}), false),
            (json!({"match_phrase": {"ipfix.sourcePodName.keyword": "cart-7d9"}}), true),
            (json!({"match_phrase": {"ipfix.sourcePodName": "cart"}}), false),
            (json!({"term": {"ipfix.sourcePodName": {"value": "CART-7d9", "case_insensitive": true}}}), true),
            (json!({"terms": {"ipfix.sourcePodName": ["a", "cart-7d9"]}}), true),
            (json!({"prefix": {"ipfix.sourcePodName": "cart"}}), true),
            (json!({"wildcard": {"ipfix.sourcePodName.keyword": {"value": "c*-7?9"}}}), true),
            (json!({"wildcard": {"ipfix.sourcePodName.keyword": {"value": "c\\*"}}}), false),
            (json!({"regexp": {"ipfix.sourcePodName": "cart-[0-9a-f]+"}}), true),
            (json!({"term": {"ipfix.octetDeltaCount": 1500}}), true),
            (json!({"term": {"ipfix.octetDeltaCount": "1500.0"}}), true),
            (json!({"range": {"ipfix.octetDeltaCount": {"gte": 1500, "lt": 1501}}}), true),
            (json!({"range": {"ipfix.octetDeltaCount": {"gt": 1500}}}), false),
            (json!({"term": {"ipfix.sourceIP": "10.10.0.0/16"}}), true),
            (json!({"term": {"ipfix.sourceIP.keyword": "10.10.0.7"}}), true),
            (json!({"term": {"ipfix.sourceIP": "10.11.0.0/16"}}), false),
            (json!({"range": {"ipfix.sourceIP": {"gte": "10.10.0.0", "lte": "10.10.0.9"}}}), true),
            (json!({"range": {"@timestamp": {"gte": "2026-11-22T19:00:00Z"}}}), true),
            (json!({"range": {"@timestamp": {"gte": 1_795_377_600_001_i64}}}), false),
            (json!({"exists": {"field": "ipfix.sourcePodName"}}), true),
            (json!({"exists": {"field": "ipfix.destinationPodName"}}), false),
            (json!({"term": {"ipfix.isMulticast": false}}), true),
            (json!({"term": {"ipfix.labels": 7}}), true),
            (json!({"term": {"host": "10.0.0.5"}}), true),
            (json!({"multi_match": {"query": "cart-7d9", "lenient": true}}), true),
            (json!({"multi_match": {"query": "cart-7d9", "fields": ["ipfix.destination*"]}}), false),
            (json!({"multi_match": {"query": "10.10.0.7", "fields": ["ipfix.sourceIP"]}}), true),
            (json!({"bool": {"must_not": [{"term": {"ipfix.sourcePodName": "cart-7d9"}}]}}), false),
            (json!({"bool": {"should": [{"match_none": {}}, {"match_all": {}}]}}), true),
            (
                json!({"bool": {"should": [{"match_none": {}}, {"match_all": {}}], "minimum_should_match": 2}}),
                false,
            ),
            (json!({"bool": {"filter": [{"match_all": {}}], "should": [{"match_none": {}}]}}), true),
            (json!({"query_string": {"query": "cart*"}}), true),
        ] {
            let parsed = Query::parse(&query).unwrap();
            assert_eq!(test(&parsed).unwrap()(&document), wanted, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_asked_of_one_document_is_refused() {
        for query in [
            json!({"ids": {"values": ["x"]}}),
            json!({"range": {"@timestamp": {"gte": "now-5m"}}}),
            json!({"regexp": {"ipfix.sourcePodName": "a{1000}{1000}{1000}"}}),
        ] {
            let parsed = Query::parse(&query).unwrap();
            assert!(test(&parsed).is_err(), "{query}");
        }
    }
}
