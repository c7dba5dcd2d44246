//! A panel's Vega spec made from its template: strict JSON in which `{{name}}` stands for a parameter of the
//! panel, `$name(argument, …)` for a macro of `specs/macros.json`, and `{"$include": "name"}` within a list
//! for the items of the fragment `specs/name.json`.
//!
//! The result is plain Vega: neither Kibana nor the page knows that there were templates.

use serde_json::{Map, Value};

/// What a template may be missing.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum TemplateError {
    /// No file of that name under `specs/`.
    #[error("no spec named {0:?}")]
    NoSuchSpec(String),
    /// `{{name}}` without a parameter of that name.
    #[error("no parameter named {0:?}")]
    NoSuchParameter(String),
    /// `$name(` without a macro of that name and number of arguments.
    #[error("no macro named {0:?} with {1} arguments")]
    NoSuchMacro(String, usize),
    /// A macro's argument list without its end.
    #[error("the argument list of macro {0:?} has no end")]
    Unclosed(String),
    /// The file is not JSON, or not of the shape that is needed here.
    #[error("spec {0:?} is not what is needed: {1}")]
    Malformed(String, String),
}

/// The spec made from the template `name` with the panel's `parameters`.
///
/// # Errors
///
/// When the template, a fragment, a parameter or a macro that it names does not exist.
pub(crate) fn fill(name: &str, parameters: &[(&str, &str)]) -> Result<Value, TemplateError> {
    let macros = Macros::load()?;
    expand(load(name)?, parameters, &macros)
}

fn expand(value: Value, parameters: &[(&str, &str)], macros: &Macros) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::String(text) => {
            let text = with_parameters(&text, parameters)?;
            // A parameter may be a piece of JSON, such as a query.
            match serde_json::from_str(&text) {
                Ok(piece @ (Value::Object(_) | Value::Array(_))) => piece,
                _ => Value::String(macros.expand(&text, 0)?),
            }
        }
        Value::Array(items) => {
            let mut out = Vec::new();
            for item in items {
                match item.get("$include").and_then(Value::as_str) {
                    Some(name) => match expand(load(name)?, parameters, macros)? {
                        Value::Array(included) => out.extend(included),
                        other => out.push(other),
                    },
                    None => out.push(expand(item, parameters, macros)?),
                }
            }
            Value::Array(out)
        }
        Value::Object(members) => {
            let mut out = Map::new();
            for (key, value) in members {
                out.insert(with_parameters(&key, parameters)?, expand(value, parameters, macros)?);
            }
            Value::Object(out)
        }
        other => other,
    })
}

fn with_parameters(text: &str, parameters: &[(&str, &str)]) -> Result<String, TemplateError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, tail)) = after.split_once("}}") else {
            break;
        };
        let (_, value) = parameters
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| TemplateError::NoSuchParameter(name.to_owned()))?;
        out.push_str(before);
        out.push_str(value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// The expression macros: name, parameters' names, body.
struct Macros(Vec<(String, Vec<String>, String)>);

impl Macros {
    fn load() -> Result<Self, TemplateError> {
        let malformed = |why: &str| TemplateError::Malformed("macros".to_owned(), why.to_owned());
        let Value::Object(members) = load("macros")? else {
            return Err(malformed("not an object"));
        };
        let mut macros = Vec::new();
        for (head, body) in members {
            let (name, rest) = head.split_once('(').ok_or_else(|| malformed(&head))?;
            let names = rest.strip_suffix(')').ok_or_else(|| malformed(&head))?;
            let names = names.split(',').map(|name| name.trim().to_owned());
            let names = names.filter(|name| !name.is_empty()).collect();
            let body = body.as_str().ok_or_else(|| malformed(&head))?;
            macros.push((name.to_owned(), names, body.to_owned()));
        }
        Ok(Self(macros))
    }

    fn expand(&self, text: &str, depth: usize) -> Result<String, TemplateError> {
        if depth > DEEPEST {
            return Err(TemplateError::Malformed("macros".to_owned(), "a macro calls itself".to_owned()));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let length = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
            let (name, tail) = after.split_at(length);
            let Some(tail) = tail.strip_prefix('(').filter(|_| length > 0) else {
                out.push('$');
                rest = after;
                continue;
            };
            let (arguments, tail) =
                arguments(tail).ok_or_else(|| TemplateError::Unclosed(name.to_owned()))?;
            let (_, names, body) = self
                .0
                .iter()
                .find(|(known, names, _)| known == name && names.len() == arguments.len())
                .ok_or_else(|| TemplateError::NoSuchMacro(name.to_owned(), arguments.len()))?;
            let mut body = body.clone();
            for (name, argument) in names.iter().zip(&arguments) {
                body = body.replace(&format!("#{name}"), argument);
            }
            out.push_str(&self.expand(&body, depth + 1)?);
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The arguments up to the closing parenthesis, and what comes after it. Commas within parentheses, brackets,
/// braces and quotes do not part.
fn arguments(text: &str) -> Option<(Vec<String>, &str)> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut start = 0;
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                let last = text.get(start..at)?.trim();
                if !last.is_empty() || !found.is_empty() {
                    found.push(last.to_owned());
                }
                return Some((found, text.get(at + 1..)?));
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(text.get(start..at)?.trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

fn load(name: &str) -> Result<Value, TemplateError> {
    let (_, text) = SPECS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| TemplateError::NoSuchSpec(name.to_owned()))?;
    serde_json::from_str(text).map_err(|error| TemplateError::Malformed(name.to_owned(), error.to_string()))
}

/// Macros may call macros, but not themselves: deeper than this is a circle.
const DEEPEST: usize = 16;

macro_rules! specs {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../specs/", $name, ".json")))),*]
    };
}

/// Every file under `specs/`.
const SPECS: &[(&str, &str)] = specs![
    "macros",
    "colours",
    "empty",
    "sankey",
    "throughput",
    "histogram",
    "count",
    "bars",
    "tiles",
    "matrix",
    "heat",
    "facet",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, TemplateError> {
        Macros::load().unwrap().expand(text, 0)
    }

    #[test]
    fn parameters_are_put_in_and_missing_ones_are_named() {
        let parameters = [("by", "ipfix.podPair"), ("n", "3")];
        assert_eq!(with_parameters("a {{by}} b {{n}}", &parameters).unwrap(), "a ipfix.podPair b 3");
        assert_eq!(
            with_parameters("{{what}}", &parameters),
            Err(TemplateError::NoSuchParameter("what".to_owned()))
        );
    }

    #[test]
    fn macros_take_nested_arguments_and_leave_other_dollars_alone() {
        let text = expanded("$source(datum.bucket.key) + f('$(', 1)").unwrap();
        assert_eq!(text, "split(datum.bucket.key, ' → ')[0] + f('$(', 1)");
        let text = expanded("$elide(if(a, b(1, 2), c), 3)").unwrap();
        assert_eq!(text, "truncate(if(a, b(1, 2), c), max(6, 3), 'center', '…')");
        assert_eq!(expanded("$nothing(1)"), Err(TemplateError::NoSuchMacro("nothing".to_owned(), 1)));
        assert_eq!(expanded("$bytes(1"), Err(TemplateError::Unclosed("bytes".to_owned())));
    }

    #[test]
    fn every_file_under_specs_is_known_and_is_json() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/specs");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix(".json").unwrap().to_owned();
            load(&name).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
