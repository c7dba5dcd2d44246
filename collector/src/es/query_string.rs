//! Lucene's query syntax, as `query_string` and the search box send it.
//!
//! ```text
//! query  = clause { [AND | OR] clause }          clause = [+ | - | ! | NOT] ( "(" query ")" | [field ":"] value )
//! value  = word | "quoted" | /regexp/ | "[" a TO b "]" | "{" a TO b "}" | (> | >= | < | <=) word | "(" query ")"
//! ```

use serde_json::Value;

use super::body::Object;
use super::error::{EsError, Result};
use super::query::{Bool, Query, Range, field_list};

/// Longest query text; Elasticsearch's clause limit bites about there too.
pub(super) const LONGEST: usize = 32_768;
/// Deepest parentheses.
pub(super) const DEEPEST: usize = 50;

/// `{"query_string": {"query": …}}`.
pub(crate) fn parse(body: &Value) -> Result<Query> {
    let mut object = Object::new("query_string", body)?;
    object.ignore(&[
        "analyze_wildcard",
        "boost",
        "_name",
        "analyzer",
        "allow_leading_wildcard",
        "time_zone",
        "phrase_slop",
        "type",
        "tie_breaker",
        "minimum_should_match",
        "enable_position_increments",
        "fuzziness",
        "rewrite",
        "quote_analyzer",
        "auto_generate_synonyms_phrase_query",
        "max_determinized_states",
        "escape",
        "quote_field_suffix",
    ]);
    let text = object.required_text("query")?;
    let (fields, lenient) = options(&mut object)?;
    let and = default_and(&mut object)?;
    object.finish()?;
    let mut parser = Parser::new(&text, &fields, lenient, and)?;
    let query = parser.query(0)?;
    match parser.peek() {
        None => Ok(query),
        Some(_) => Err(parser.fail()),
    }
}

/// A `q=` parameter.
pub(crate) fn parse_text(text: &str) -> Result<Query> {
    parse(&serde_json::json!({"query": text}))
}

pub(super) fn options(object: &mut Object<'_>) -> Result<(Vec<String>, bool)> {
    let mut fields = field_list(object.take("fields"))?;
    fields.extend(object.text("default_field")?);
    let lenient = object.truth("lenient")?;
    if fields.is_empty() {
        fields.push("*".to_owned());
    }
    let everywhere = fields.iter().any(|field| field == "*");
    Ok((fields, lenient.unwrap_or(everywhere)))
}

pub(super) fn default_and(object: &mut Object<'_>) -> Result<bool> {
    Ok(object.text("default_operator")?.is_some_and(|operator| operator.eq_ignore_ascii_case("and")))
}

struct Parser<'t> {
    text: &'t str,
    letters: Vec<char>,
    at: usize,
    fields: Vec<String>,
    lenient: bool,
    and: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Occur {
    Must,
    Should,
    Not,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, fields: &[String], lenient: bool, and: bool) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(EsError::illegal(format!("the query is longer than {LONGEST} octets")));
        }
        Ok(Self { text, letters: text.chars().collect(), at: 0, fields: fields.to_vec(), lenient, and })
    }

    fn query(&mut self, depth: usize) -> Result<Query> {
        if depth > DEEPEST {
            return Err(self.fail());
        }
        // Lucene's rule: AND makes both its neighbours required, OR makes them optional, else the default decides.
        let mut clauses: Vec<(Occur, Query)> = Vec::new();
        let mut conjunction = None;
        while self.peek().is_some_and(|c| c != ')') {
            let occur = match self.modifier() {
                Some(occur) => occur,
                None if conjunction.map_or(self.and, |word| word == "AND") => Occur::Must,
                None => Occur::Should,
            };
            let clause = self.clause(depth)?;
            if let (Some("AND"), Some(last)) = (conjunction, clauses.last_mut())
                && last.0 == Occur::Should
            {
                last.0 = Occur::Must;
            }
            if let (Some("OR"), Some(last), true) = (conjunction, clauses.last_mut(), self.and)
                && last.0 == Occur::Must
            {
                last.0 = Occur::Should;
            }
            clauses.push((occur, clause));
            conjunction = self.conjunction();
        }
        if conjunction.is_some() {
            return Err(self.fail());
        }
        Ok(together(clauses))
    }

    fn clause(&mut self, depth: usize) -> Result<Query> {
        if self.eat('(') {
            return self.group(depth);
        }
        let start = self.at;
        if self.peek() != Some('"') && self.peek() != Some('/') {
            let name = self.word(&[':']);
            if self.letters.get(self.at) == Some(&':') && !name.text.is_empty() {
                self.at += 1;
                return self.in_field(&name.text, depth);
            }
            self.at = start;
        }
        self.value(None)
    }

    fn group(&mut self, depth: usize) -> Result<Query> {
        let query = self.query(depth + 1)?;
        if !self.eat(')') {
            return Err(self.fail());
        }
        self.boost();
        Ok(query)
    }

    fn in_field(&mut self, name: &str, depth: usize) -> Result<Query> {
        if name == "_exists_" {
            return Ok(Query::Exists { field: self.word(&[]).text });
        }
        if self.eat('(') {
            let outer = std::mem::replace(&mut self.fields, vec![name.to_owned()]);
            let lenient = std::mem::replace(&mut self.lenient, false);
            let query = self.group(depth);
            self.fields = outer;
            self.lenient = lenient;
            return query;
        }
        self.value(Some(name))
    }

    fn value(&mut self, field: Option<&str>) -> Result<Query> {
        let fields = field.map_or_else(|| self.fields.clone(), |field| vec![field.to_owned()]);
        let lenient = self.lenient && field.is_none();
        let query = match self.peek() {
            Some('"') => {
                self.at += 1;
                let text = self.until('"')?;
                if self.eat('~') {
                    self.word(&[]);
                }
                Query::AnyField { fields, text, lenient }
            }
            Some('/') => {
                self.at += 1;
                let pattern = self.until('/')?;
                each(fields, |field| Query::Regexp { field, pattern: pattern.clone(), fold_case: false })
            }
            Some(open @ ('[' | '{')) => {
                self.at += 1;
                let (from, to, upper) = self.bounds()?;
                each(fields, |field| range(field, bound(&from, open == '['), bound(&to, upper)))
            }
            Some(sign @ ('>' | '<')) => {
                self.at += 1;
                let inclusive = self.eat_here('=');
                let value = Value::String(self.word(&[]).text);
                let limit = Some((value, inclusive));
                each(fields, |field| match sign {
                    '>' => range(field, limit.clone(), None),
                    _ => range(field, None, limit.clone()),
                })
            }
            Some(_) => {
                let word = self.word(&[]);
                if word.text.is_empty() {
                    return Err(self.fail());
                }
                if self.letters.get(self.at) == Some(&'~') {
                    return Err(EsError::unsupported("a fuzzy word (~) in a query string"));
                }
                word.query(fields, lenient)
            }
            None => return Err(self.fail()),
        };
        self.boost();
        Ok(query)
    }

    fn bounds(&mut self) -> Result<(String, String, bool)> {
        let from = self.bound_text()?;
        if self.bound_text()? != "TO" {
            return Err(self.fail());
        }
        let to = self.bound_text()?;
        self.skip_space();
        let upper = match self.letters.get(self.at) {
            Some(']') => true,
            Some('}') => false,
            _ => return Err(self.fail()),
        };
        self.at += 1;
        Ok((from, to, upper))
    }

    fn bound_text(&mut self) -> Result<String> {
        if self.eat('"') {
            return self.until('"');
        }
        self.skip_space();
        let start = self.at;
        while self.letters.get(self.at).is_some_and(|c| !c.is_whitespace() && !matches!(c, ']' | '}')) {
            self.at += 1;
        }
        let text: String =
            self.letters.get(start..self.at).unwrap_or_default().iter().filter(|c| **c != '\\').collect();
        if text.is_empty() { Err(self.fail()) } else { Ok(text) }
    }

    fn modifier(&mut self) -> Option<Occur> {
        if self.keyword("NOT") || self.eat('-') || self.eat('!') {
            return Some(Occur::Not);
        }
        self.eat('+').then_some(Occur::Must)
    }

    fn conjunction(&mut self) -> Option<&'static str> {
        if self.keyword("AND") || self.keyword("&&") {
            Some("AND")
        } else if self.keyword("OR") || self.keyword("||") {
            Some("OR")
        } else {
            None
        }
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.skip_space();
        let end = self.at + word.len();
        let same = self.letters.get(self.at..end).is_some_and(|found| found.iter().copied().eq(word.chars()));
        let alone = self
            .letters
            .get(end)
            .is_none_or(|c| c.is_whitespace() || *c == '(' || !word.starts_with(char::is_alphabetic));
        if same && alone {
            self.at = end;
        }
        same && alone
    }

    /// A word up to white space or a sign of the syntax; `\` keeps the next letter as it is.
    fn word(&mut self, also_ends: &[char]) -> Word {
        self.skip_space();
        let mut word = Word::default();
        while let Some(letter) = self.letters.get(self.at).copied() {
            match letter {
                '\\' => {
                    self.at += 1;
                    let Some(next) = self.letters.get(self.at) else { break };
                    word.push_literal(*next);
                }
                c if c.is_whitespace()
                    || matches!(c, '(' | ')' | '"' | '^' | '~' | '[' | ']' | '{' | '}') =>
                {
                    break;
                }
                c if also_ends.contains(&c) => break,
                c => word.push(c),
            }
            self.at += 1;
        }
        word
    }

    fn until(&mut self, end: char) -> Result<String> {
        let mut text = String::new();
        while let Some(letter) = self.letters.get(self.at).copied() {
            self.at += 1;
            match letter {
                c if c == end => return Ok(text),
                '\\' if end == '"' => {
                    text.extend(self.letters.get(self.at));
                    self.at += 1;
                }
                c => text.push(c),
            }
        }
        Err(self.fail())
    }

    fn boost(&mut self) {
        if self.letters.get(self.at) == Some(&'^') {
            self.at += 1;
            self.word(&[]);
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.letters.get(self.at).copied()
    }

    fn eat(&mut self, letter: char) -> bool {
        self.skip_space();
        self.eat_here(letter)
    }

    fn eat_here(&mut self, letter: char) -> bool {
        let eaten = self.letters.get(self.at) == Some(&letter);
        self.at += usize::from(eaten);
        eaten
    }

    fn skip_space(&mut self) {
        while self.letters.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn fail(&self) -> EsError {
        EsError::shard("query_shard_exception", format!("Failed to parse query [{}]", self.text))
    }
}

/// A word of a query, with what in it is a wildcard and what was escaped.
#[derive(Default)]
struct Word {
    text: String,
    pattern: String,
    wild: bool,
}

impl Word {
    fn push(&mut self, letter: char) {
        self.wild |= matches!(letter, '*' | '?');
        self.text.push(letter);
        self.pattern.push(letter);
    }

    fn push_literal(&mut self, letter: char) {
        self.text.push(letter);
        if matches!(letter, '*' | '?' | '\\') {
            self.pattern.push('\\');
        }
        self.pattern.push(letter);
    }

    fn query(self, fields: Vec<String>, lenient: bool) -> Query {
        match (self.pattern.as_str(), self.wild) {
            ("*", _) if fields.iter().any(|field| field == "*") => Query::All,
            ("*", _) => each(fields, |field| Query::Exists { field }),
            (_, true) => each(fields, |field| Query::Wildcard {
                field,
                pattern: self.pattern.clone(),
                fold_case: false,
            }),
            _ => Query::AnyField { fields, text: self.text, lenient },
        }
    }
}

pub(super) fn each(mut fields: Vec<String>, query: impl Fn(String) -> Query) -> Query {
    match fields.len() {
        1 => query(fields.remove(0)),
        _ => Query::any_of(fields.into_iter().map(query).collect()),
    }
}

fn range(field: String, from: Option<(Value, bool)>, to: Option<(Value, bool)>) -> Query {
    Query::Range(Range { field, from, to, format: None, time_zone: None })
}

fn bound(text: &str, inclusive: bool) -> Option<(Value, bool)> {
    (text != "*").then(|| (Value::String(text.to_owned()), inclusive))
}

fn together(mut clauses: Vec<(Occur, Query)>) -> Query {
    if clauses.is_empty() {
        return Query::None;
    }
    if clauses.len() == 1 && clauses.first().is_some_and(|(occur, _)| *occur != Occur::Not) {
        return clauses.remove(0).1;
    }
    let mut parts = Bool::default();
    for (occur, query) in clauses {
        match occur {
            Occur::Must => parts.must.push(query),
            Occur::Should => parts.should.push(query),
            Occur::Not => parts.must_not.push(query),
        }
    }
    Query::Bool(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        parse_text(text).map_or_else(|error| error.reason, |query| show(&query))
    }

    fn show(query: &Query) -> String {
        match query {
            Query::All => "*".to_owned(),
            Query::None => "none".to_owned(),
            Query::Bool(parts) => {
                let list = |sign: &str, queries: &[Query]| {
                    queries.iter().map(|q| format!("{sign}{}", show(q))).collect::<Vec<_>>()
                };
                [list("+", &parts.must), list("", &parts.should), list("-", &parts.must_not)]
                    .concat()
                    .join(" ")
                    .replace(' ', ",")
            }
            Query::AnyField { fields, text, .. } => format!("{}={text}", fields.join("/")),
            Query::Range(range) => format!("{}:{:?}..{:?}", range.field, range.from, range.to),
            Query::Exists { field } => format!("{field}?"),
            Query::Wildcard { field, pattern, .. } => format!("{field}~{pattern}"),
            Query::Regexp { field, pattern, .. } => format!("{field}/{pattern}/"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_syntax_becomes_clauses() {
        let table = [
            ("*", "*"),
            ("", "none"),
            ("a:b", "a=b"),
            ("a:b AND c:d", "+a=b,+c=d"),
            ("a:b OR c:d", "a=b,c=d"),
            ("a:b c:d", "a=b,c=d"),
            ("a:b AND NOT c:d", "+a=b,-c=d"),
            ("NOT a:b", "-a=b"),
            ("a:(x OR y)", "a=x,a=y"),
            ("a:\"x y\"", "a=x y"),
            ("a:x*", "a~x*"),
            ("a:x\\*", "a=x*"),
            ("a:*", "a?"),
            ("_exists_:a", "a?"),
            ("a:/x.*/", "a/x.*/"),
            ("a:[1 TO *}", "a:Some((String(\"1\"), true))..None"),
            ("a:>=5", "a:Some((String(\"5\"), true))..None"),
            ("a:<5", "a:None..Some((String(\"5\"), false))"),
            ("plain", "*=plain"),
            ("a:(", "Failed to parse query [a:(]"),
            ("a AND", "Failed to parse query [a AND]"),
            ("a:\"x", "Failed to parse query [a:\"x]"),
            ("ipfix.flowKey:x\\:1", "ipfix.flowKey=x:1"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
