//! The simple query syntax, which never fails: what cannot be understood is read as words.

use serde_json::Value;

use super::body::Object;
use super::error::{EsError, Result};
use super::query::Query;
use super::query_string::{DEEPEST, LONGEST, default_and, each, options};

/// `{"simple_query_string": {"query": …}}`: `+` and, `|` or, `-` not, quotes, parentheses, `word*`.
pub(crate) fn parse(body: &Value) -> Result<Query> {
    let mut object = Object::new("simple_query_string", body)?;
    object.ignore(&[
        "boost",
        "_name",
        "analyzer",
        "flags",
        "analyze_wildcard",
        "minimum_should_match",
        "auto_generate_synonyms_phrase_query",
        "fuzzy_max_expansions",
        "fuzzy_prefix_length",
        "fuzzy_transpositions",
        "quote_field_suffix",
    ]);
    let text = object.required_text("query")?;
    let (fields, lenient) = options(&mut object)?;
    let and = default_and(&mut object)?;
    object.finish()?;
    if text.len() > LONGEST {
        return Err(EsError::illegal(format!("the query is longer than {LONGEST} octets")));
    }
    let mut simple = Simple { letters: text.chars().collect(), at: 0, fields, lenient, and };
    Ok(simple.query(0))
}

struct Simple {
    letters: Vec<char>,
    at: usize,
    fields: Vec<String>,
    lenient: bool,
    and: bool,
}

impl Simple {
    fn query(&mut self, depth: usize) -> Query {
        let mut any: Vec<Query> = Vec::new();
        let mut all: Vec<Query> = Vec::new();
        let mut joined_by_or = false;
        while let Some(letter) = self.letters.get(self.at).copied() {
            self.at += 1;
            let mut negated = false;
            let clause = match letter {
                ')' if depth > 0 => break,
                '|' => {
                    joined_by_or = true;
                    continue;
                }
                '-' => {
                    negated = true;
                    self.unit(depth)
                }
                '(' if depth < DEEPEST => Some(self.query(depth + 1)),
                c if c.is_whitespace() || matches!(c, '+' | ')' | '(') => continue,
                _ => {
                    self.at -= 1;
                    self.unit(depth)
                }
            };
            let Some(clause) = clause else { continue };
            let clause = if negated { Query::not(clause) } else { clause };
            let required = self.and || self.followed_by_plus();
            if joined_by_or && let Some(last) = all.pop() {
                any.push(last);
            }
            if joined_by_or || !required {
                any.push(clause)
            } else {
                all.push(clause)
            }
            joined_by_or = false;
        }
        match (any.is_empty(), all.is_empty()) {
            (true, true) => Query::None,
            (true, false) => Query::all_of(all),
            (false, true) => Query::any_of(any),
            (false, false) => {
                all.push(Query::any_of(any));
                Query::all_of(all)
            }
        }
    }

    /// Whether a `+` stands before or after the clause just read.
    fn followed_by_plus(&self) -> bool {
        self.letters.get(self.at..).unwrap_or_default().iter().find(|c| !c.is_whitespace()) == Some(&'+')
            || self.letters.get(..self.at).unwrap_or_default().contains(&'+')
    }

    fn unit(&mut self, depth: usize) -> Option<Query> {
        match self.letters.get(self.at)? {
            '"' => {
                self.at += 1;
                let rest = self.letters.get(self.at..)?;
                let end = rest.iter().position(|c| *c == '"').unwrap_or(rest.len());
                let text: String = rest.get(..end)?.iter().collect();
                self.at += end + 1;
                Some(Query::AnyField { fields: self.fields.clone(), text, lenient: self.lenient })
            }
            '(' if depth < DEEPEST => {
                self.at += 1;
                Some(self.query(depth + 1))
            }
            _ => {
                let rest = self.letters.get(self.at..)?;
                let end = rest
                    .iter()
                    .position(|c| c.is_whitespace() || matches!(c, '|' | '+' | '(' | ')' | '"'))
                    .unwrap_or(rest.len());
                let text: String = rest.get(..end)?.iter().filter(|c| **c != '\\').collect();
                self.at += end.max(1);
                if text.is_empty() {
                    return None;
                }
                Some(match text.strip_suffix('*') {
                    Some("") => Query::All,
                    Some(prefix) => each(self.fields.clone(), |field| Query::Prefix {
                        field,
                        text: prefix.to_owned(),
                        fold_case: false,
                    }),
                    None => Query::AnyField { fields: self.fields.clone(), text, lenient: self.lenient },
                })
            }
        }
    }
}
