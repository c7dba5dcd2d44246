//! The query language as types: what a body may ask for, read once at the border.
//!
//! Nothing here knows which fields exist; `filter.rs` fits a query to them.

use serde_json::Value;

use super::body::{self, Object};
use super::error::{EsError, Result};
use super::{query_string, simple_query};

/// A query. Scores are not computed, so what only changes scores (`boost`, `tie_breaker`) is read and forgotten.
#[derive(Clone, Debug)]
pub(crate) enum Query {
    All,
    None,
    Bool(Bool),
    /// The field has exactly this value (or contains it, for a network of addresses).
    Term {
        field: String,
        value: Value,
        fold_case: bool,
    },
    Terms {
        field: String,
        values: Vec<Value>,
    },
    Range(Range),
    Exists {
        field: String,
    },
    Prefix {
        field: String,
        text: String,
        fold_case: bool,
    },
    Wildcard {
        field: String,
        pattern: String,
        fold_case: bool,
    },
    Regexp {
        field: String,
        pattern: String,
        fold_case: bool,
    },
    Ids(Vec<String>),
    /// One text in any searchable field whose name matches one of the patterns.
    AnyField {
        fields: Vec<String>,
        text: String,
        lenient: bool,
    },
}

/// Clauses put together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bool {
    /// All of these; `filter` and `must` mean the same without scores.
    pub(crate) must: Vec<Query>,
    pub(crate) should: Vec<Query>,
    pub(crate) must_not: Vec<Query>,
    pub(crate) minimum_should_match: Option<String>,
}

/// Between two values, either of which may be missing; the flag says whether the value itself belongs.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) field: String,
    pub(crate) from: Option<(Value, bool)>,
    pub(crate) to: Option<(Value, bool)>,
    pub(crate) format: Option<String>,
    pub(crate) time_zone: Option<String>,
}

/// Deepest nesting of clauses; Elasticsearch's own default is 30 since 8.2 (`indices.query.bool.max_nested_depth`).
const DEEPEST: usize = 30;
/// Most values of one `terms`, and most clauses of one `bool` (Elasticsearch: 65,536 and 1,024 or more).
const MOST_TERMS: usize = 65_536;
const MOST_CLAUSES: usize = 4096;

impl Query {
    pub(crate) fn parse(value: &Value) -> Result<Self> {
        parse(value, 0)
    }

    pub(crate) fn all_of(queries: Vec<Self>) -> Self {
        Self::Bool(Bool { must: queries, ..Bool::default() })
    }

    pub(crate) fn not(query: Self) -> Self {
        Self::Bool(Bool { must_not: vec![query], ..Bool::default() })
    }

    pub(crate) fn any_of(queries: Vec<Self>) -> Self {
        let minimum_should_match = Some("1".to_owned());
        Self::Bool(Bool { should: queries, minimum_should_match, ..Bool::default() })
    }
}

fn parse(value: &Value, depth: usize) -> Result<Query> {
    if depth > DEEPEST {
        return Err(EsError::illegal(format!(
            "The nested depth of the query exceeds the maximum nested depth for queries set in [indices.query.bool.max_nested_depth]: {DEEPEST}"
        )));
    }
    let (name, body) = body::single("query", value)?;
    match name {
        "match_all" => {
            let mut object = Object::new(name, body)?;
            object.ignore(&["boost", "_name"]);
            object.finish().map(|()| Query::All)
        }
        "match_none" => Ok(Query::None),
        "bool" => boolean(body, depth),
        "constant_score" => {
            let mut object = Object::new(name, body)?;
            object.ignore(&["boost", "_name"]);
            let query = parse(object.required("filter")?, depth + 1)?;
            object.finish().map(|()| query)
        }
        "dis_max" => {
            let mut object = Object::new(name, body)?;
            object.ignore(&["boost", "_name", "tie_breaker"]);
            let queries = clauses(object.take("queries"), depth)?;
            object.finish().map(|()| Query::any_of(queries))
        }
        "term" => field_value(name, body, "value").and_then(|(field, mut options, value)| {
            let fold_case = options.truth("case_insensitive")?.unwrap_or(false);
            finish(options)?;
            Ok(Query::Term { field, value: scalar(name, value)?, fold_case })
        }),
        "terms" => terms(body),
        "range" => range(body),
        "exists" => {
            let mut object = Object::new(name, body)?;
            object.ignore(&["boost", "_name"]);
            let field = object
                .text("field")?
                .ok_or_else(|| EsError::parsing("[exists] must be provided with a [field]"))?;
            object.finish().map(|()| Query::Exists { field })
        }
        "prefix" => pattern(name, body, &["value", "prefix"]).map(|(field, text, fold_case)| Query::Prefix {
            field,
            text,
            fold_case,
        }),
        "wildcard" => pattern(name, body, &["value", "wildcard"])
            .map(|(field, pattern, fold_case)| Query::Wildcard { field, pattern, fold_case }),
        "regexp" => pattern(name, body, &["value"]).map(|(field, pattern, fold_case)| Query::Regexp {
            field,
            pattern,
            fold_case,
        }),
        "match" | "match_phrase" => {
            field_value(name, body, "query").and_then(|(field, mut options, value)| {
                // All our text is keyword: the whole value is the one token, whatever operator, slop or analyzer say.
                options.ignore(&[
                    "operator",
                    "minimum_should_match",
                    "analyzer",
                    "slop",
                    "zero_terms_query",
                    "lenient",
                    "auto_generate_synonyms_phrase_query",
                    "max_expansions",
                    "prefix_length",
                    "fuzzy_transpositions",
                ]);
                if options.take("fuzziness").is_some() {
                    return Err(EsError::unsupported("[fuzziness]"));
                }
                finish(options)?;
                Ok(Query::Term { field, value: scalar(name, value)?, fold_case: false })
            })
        }
        "match_phrase_prefix" | "match_bool_prefix" => {
            field_value(name, body, "query").and_then(|(field, mut options, value)| {
                options.ignore(&["max_expansions", "analyzer", "slop", "zero_terms_query", "operator"]);
                finish(options)?;
                Ok(Query::Prefix { field, text: body::text("query", value)?, fold_case: false })
            })
        }
        "multi_match" => {
            let mut object = Object::new(name, body)?;
            object.ignore(&[
                "type",
                "operator",
                "boost",
                "_name",
                "tie_breaker",
                "minimum_should_match",
                "analyzer",
                "slop",
            ]);
            let text = object.required_text("query")?;
            let fields = field_list(object.take("fields"))?;
            let lenient = object.truth("lenient")?.unwrap_or(fields.is_empty());
            object.finish().map(|()| Query::AnyField { fields, text, lenient })
        }
        "ids" => {
            let mut object = Object::new(name, body)?;
            object.ignore(&["boost", "_name", "type"]);
            let values = object.required("values")?;
            let ids =
                body::one_or_many(values).iter().map(|id| body::text("values", id)).collect::<Result<_>>()?;
            object.finish().map(|()| Query::Ids(ids))
        }
        "query_string" => query_string::parse(body),
        "simple_query_string" => simple_query::parse(body),
        "script" | "script_score" | "function_score" if body.to_string().contains("script") => {
            Err(EsError::script())
        }
        "nested" | "has_child" | "has_parent" | "geo_distance" | "geo_bounding_box" | "geo_shape"
        | "fuzzy" | "more_like_this" | "percolate" | "knn" | "script_score" | "function_score"
        | "terms_set" | "distance_feature" | "rank_feature" | "wrapper" | "pinned" | "intervals"
        | "combined_fields" | "boosting" | "span_term" => {
            Err(EsError::unsupported(format!("query [{name}]")))
        }
        _ => Err(EsError::parsing(format!("unknown query [{name}]"))),
    }
}

fn boolean(body: &Value, depth: usize) -> Result<Query> {
    let mut object = Object::new("bool", body)?;
    object.ignore(&["boost", "_name", "adjust_pure_negative"]);
    let mut must = clauses(object.take("must"), depth)?;
    must.extend(clauses(object.take("filter"), depth)?);
    let should = clauses(object.take("should"), depth)?;
    let must_not = clauses(object.take("must_not"), depth)?;
    let minimum_should_match = object.text("minimum_should_match")?;
    if let Some((name, _)) = object.rest().first() {
        return Err(EsError::content(format!("[bool] unknown field [{name}]")));
    }
    Ok(Query::Bool(Bool { must, should, must_not, minimum_should_match }))
}

fn clauses(value: Option<&Value>, depth: usize) -> Result<Vec<Query>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let clauses = body::one_or_many(value);
    if clauses.len() > MOST_CLAUSES {
        return Err(EsError::shard("too_many_clauses", format!("maxClauseCount is set to {MOST_CLAUSES}")));
    }
    clauses.iter().map(|clause| parse(clause, depth + 1)).collect()
}

fn terms(body: &Value) -> Result<Query> {
    let mut object = Object::new("terms", body)?;
    object.ignore(&["boost", "_name"]);
    let mut rest = object.rest().into_iter();
    let (Some((field, values)), None) = (rest.next(), rest.next()) else {
        return Err(EsError::parsing("[terms] query does not support multiple fields"));
    };
    let Value::Array(values) = values else {
        let what = if values.is_object() {
            EsError::unsupported("a terms lookup")
        } else {
            EsError::parsing(format!("[terms] query does not support [{field}]"))
        };
        return Err(what);
    };
    if values.len() > MOST_TERMS {
        return Err(EsError::shard(
            "illegal_argument_exception",
            format!(
                "The number of terms [{}] used in the Terms Query request has exceeded the allowed maximum of [{MOST_TERMS}]. This maximum can be set by changing the [index.max_terms_count] index level setting.",
                values.len()
            ),
        ));
    }
    let values = values.iter().map(|value| scalar("terms", value)).collect::<Result<_>>()?;
    Ok(Query::Terms { field: field.clone(), values })
}

fn range(body: &Value) -> Result<Query> {
    let (field, options) = body::single("range", body)?;
    let mut object = Object::new("range", options)?;
    object.ignore(&["boost", "_name", "relation"]);
    let mut range = Range {
        field: field.to_owned(),
        from: None,
        to: None,
        format: object.text("format")?,
        time_zone: object.text("time_zone")?,
    };
    let include_lower = object.truth("include_lower")?.unwrap_or(true);
    let include_upper = object.truth("include_upper")?.unwrap_or(true);
    for (key, inclusive) in [("from", include_lower), ("gte", true), ("gt", false)] {
        if let Some(value) = object.take(key) {
            range.from = Some((scalar("range", value)?, inclusive));
        }
    }
    for (key, inclusive) in [("to", include_upper), ("lte", true), ("lt", false)] {
        if let Some(value) = object.take(key) {
            range.to = Some((scalar("range", value)?, inclusive));
        }
    }
    if let Some((name, _)) = object.rest().first() {
        return Err(EsError::parsing(format!("[range] query does not support [{name}]")));
    }
    Ok(Query::Range(range))
}

/// `{"field": value}` or `{"field": {"value": value, …}}`.
fn field_value<'v>(what: &'v str, body: &'v Value, key: &str) -> Result<(String, Object<'v>, &'v Value)> {
    let (field, value) = body::single(what, body)?;
    if let Value::Object(_) = value {
        let mut options = Object::new(what, value)?;
        options.ignore(&["boost", "_name", "rewrite"]);
        let value = options.required(key)?;
        return Ok((field.to_owned(), options, value));
    }
    Ok((field.to_owned(), Object::of(what, empty()), value))
}

fn pattern(what: &str, body: &Value, keys: &[&str]) -> Result<(String, String, bool)> {
    let (field, value) = body::single(what, body)?;
    if !value.is_object() {
        return Ok((field.to_owned(), body::text(what, value)?, false));
    }
    let mut options = Object::new(what, value)?;
    options.ignore(&["boost", "_name", "rewrite", "flags", "flags_value", "max_determinized_states"]);
    let fold_case = options.truth("case_insensitive")?.unwrap_or(false);
    let mut text = None;
    for key in keys {
        text = text.or(options.text(key)?);
    }
    let text = text.ok_or_else(|| EsError::illegal(format!("[{what}] value cannot be null")))?;
    finish(options)?;
    Ok((field.to_owned(), text, fold_case))
}

fn finish(options: Object<'_>) -> Result<()> {
    options.finish()
}

fn scalar(what: &str, value: &Value) -> Result<Value> {
    match value {
        Value::Array(_) | Value::Object(_) => {
            Err(EsError::parsing(format!("[{what}] query does not support {} as a value", body::kind(value))))
        }
        Value::Null => Err(EsError::illegal(format!("[{what}] value cannot be null"))),
        scalar => Ok(scalar.clone()),
    }
}

/// Field names and patterns, boosts (`name^3`) cut off.
pub(crate) fn field_list(value: Option<&Value>) -> Result<Vec<String>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    body::one_or_many(value)
        .iter()
        .map(|field| Ok(body::text("fields", field)?.split('^').next().unwrap_or_default().to_owned()))
        .collect()
}

fn empty() -> &'static serde_json::Map<String, Value> {
    static EMPTY: std::sync::OnceLock<serde_json::Map<String, Value>> = std::sync::OnceLock::new();
    EMPTY.get_or_init(serde_json::Map::new)
}
