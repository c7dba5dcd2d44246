//! Reading JSON bodies by hand: one helper that takes keys out of an object and refuses what is left over.
//!
//! serde's own messages would not be Elasticsearch's, and its bodies allow short forms at every second place.

use serde_json::{Map, Value};

use super::error::{EsError, Result};

/// An object of a request body, with the name of what it describes.
pub(crate) struct Object<'v> {
    what: &'v str,
    left: Vec<(&'v String, &'v Value)>,
}

impl<'v> Object<'v> {
    pub(crate) fn new(what: &'v str, value: &'v Value) -> Result<Self> {
        let map = value.as_object().ok_or_else(|| {
            EsError::parsing(format!("[{what}] expected an object but found {}", kind(value)))
        })?;
        Ok(Self::of(what, map))
    }

    pub(crate) fn of(what: &'v str, map: &'v Map<String, Value>) -> Self {
        Self { what, left: map.iter().collect() }
    }

    /// Takes a key out; a `null` counts as absent.
    pub(crate) fn take(&mut self, key: &str) -> Option<&'v Value> {
        let at = self.left.iter().position(|(name, _)| *name == key)?;
        Some(self.left.remove(at).1).filter(|value| !value.is_null())
    }

    pub(crate) fn required(&mut self, key: &str) -> Result<&'v Value> {
        self.take(key).ok_or_else(|| EsError::illegal(format!("[{}] requires [{key}]", self.what)))
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>> {
        self.take(key).map(|value| text(key, value)).transpose()
    }

    pub(crate) fn required_text(&mut self, key: &str) -> Result<String> {
        text(key, self.required(key)?)
    }

    pub(crate) fn truth(&mut self, key: &str) -> Result<Option<bool>> {
        self.take(key).map(|value| truth(key, value)).transpose()
    }

    pub(crate) fn whole(&mut self, key: &str) -> Result<Option<i64>> {
        self.take(key).map(|value| whole(key, value)).transpose()
    }

    /// A count that must not be negative.
    pub(crate) fn count(&mut self, key: &str) -> Result<Option<usize>> {
        let Some(number) = self.whole(key)? else { return Ok(None) };
        usize::try_from(number).map(Some).map_err(|_| {
            EsError::illegal(format!(
                "[{key}] parameter cannot be negative, found [{number}] in [{}]",
                self.what
            ))
        })
    }

    pub(crate) fn number(&mut self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        number(value).map(Some).ok_or_else(|| EsError::illegal(format!("[{key}] must be a number")))
    }

    /// Keys that are understood and change nothing here.
    pub(crate) fn ignore(&mut self, keys: &[&str]) {
        self.left.retain(|(name, _)| !keys.contains(&name.as_str()));
    }

    /// What has not been taken.
    pub(crate) fn rest(self) -> Vec<(&'v String, &'v Value)> {
        self.left
    }

    /// Refuses what has not been taken.
    pub(crate) fn finish(self) -> Result<()> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) if name.contains("script") => Err(EsError::script()),
            Some((name, _)) => Err(EsError::parsing(format!("[{}] unknown field [{name}]", self.what))),
        }
    }
}

/// The only entry of an object such as `{"match_all": {}}`.
pub(crate) fn single<'v>(what: &str, value: &'v Value) -> Result<(&'v str, &'v Value)> {
    let map = value
        .as_object()
        .ok_or_else(|| EsError::parsing(format!("[{what}] malformed, must start with start_object")))?;
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        (None, _) => Err(EsError::illegal(format!("[{what}] malformed, empty clause found"))),
        (Some((name, _)), Some((other, _))) => Err(EsError::parsing(format!(
            "[{name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME] [{other}]"
        ))),
    }
}

/// One value or a list of them.
pub(crate) fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        single => std::slice::from_ref(single),
    }
}

pub(crate) fn text(key: &str, value: &Value) -> Result<String> {
    scalar_text(value)
        .ok_or_else(|| EsError::parsing(format!("[{key}] must be a string but is {}", kind(value))))
}

/// The text of a scalar, as Elasticsearch's parser reads any scalar as text.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return None,
    })
}

pub(crate) fn truth(key: &str, value: &Value) -> Result<bool> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => Err(EsError::illegal(format!(
            "Failed to parse value [{other}] as only [true] or [false] are allowed for [{key}]."
        ))),
    }
}

pub(crate) fn whole(key: &str, value: &Value) -> Result<i64> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(exact)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number
        .ok_or_else(|| EsError::illegal(format!("Failed to parse [{key}]: [{value}] is not a whole number")))
}

pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// The whole number that a double is, if it is one within 64 bits.
pub(crate) fn exact(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "compared with its origin below")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "the comparison is what finds a loss")]
    let back = whole as f64;
    (back == number && number.abs() < 9.3e18).then_some(whole)
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "VALUE_NULL",
        Value::Bool(_) => "VALUE_BOOLEAN",
        Value::Number(_) => "VALUE_NUMBER",
        Value::String(_) => "VALUE_STRING",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    }
}
