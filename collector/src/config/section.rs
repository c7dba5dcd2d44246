//! One table of the configuration file, read key by key: what is taken is known, what is left is a fault.
//!
//! Every reader notes a fault and goes on with the default, so that all faults of a file are told together.
//! Paths of keys are written with dots, as an operator would say them: `store.elasticsearch.hosts`.

use std::path::PathBuf;
use std::time::Duration;

use podflow_daemon::config::Faults;
use serde_json::{Map, Value};

/// A table of the file and the keys asked of it so far.
pub(super) struct Section<'f> {
    path: String,
    table: Map<String, Value>,
    known: Vec<&'static str>,
    faults: &'f mut Faults,
}

impl<'f> Section<'f> {
    /// The table at `path` (empty for the whole file); an absent or `null` one is an empty table.
    pub(super) fn new(path: &str, value: Value, faults: &'f mut Faults) -> Self {
        let table = match value {
            Value::Object(table) => table,
            Value::Null => Map::new(),
            other => {
                let name = if path.is_empty() { "the file" } else { path };
                faults.value(name, shown(&other), "is not a table of keys");
                Map::new()
            }
        };
        Self { path: path.to_owned(), table, known: Vec::new(), faults }
    }

    /// Reads the table under `key`; its unknown keys are noted when `read` is done.
    pub(super) fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = self.take(key).unwrap_or(Value::Null);
        let path = self.path_of(key);
        let mut section = Section::new(&path, value, self.faults);
        let result = read(&mut section);
        section.finish();
        result
    }

    /// A text, or `default`.
    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| default.to_owned())
    }

    /// A text, if there is one. A number counts as one: YAML reads an unquoted `1` so.
    pub(super) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            other => self.wrong(key, &other, "is not a text"),
        }
    }

    /// A path, if there is one that is not empty.
    pub(super) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.optional_text(key).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    /// `true` or `false`, or `default`.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Value::Bool(value)) => value,
            Some(other) => self.wrong(key, &other, "is neither true nor false").unwrap_or(default),
        }
    }

    /// A whole number within `range`, or `default`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let Some(value) = self.take(key) else { return default };
        match value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let why = format!("must be a whole number from {} to {}", range.start(), range.end());
                self.wrong(key, &value, &why).unwrap_or(default)
            }
        }
    }

    /// A size such as `5MB`, `64KiB` or a plain number of octets, within `range`, or `default`.
    pub(super) fn size(
        &mut self,
        key: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let Some(value) = self.take(key) else { return default };
        let octets = match &value {
            Value::String(text) => parse_size(text),
            other => other.as_u64(),
        };
        match octets {
            Some(octets) if range.contains(&octets) => octets,
            Some(_) => {
                let why = format!("must be from {} to {} octets", range.start(), range.end());
                self.wrong(key, &value, &why).unwrap_or(default)
            }
            None => self.wrong(key, &value, "is not a size such as \"5MB\"").unwrap_or(default),
        }
    }

    /// A duration such as `5s` or `1m30s`, within `range`, or `default`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Duration {
        let Some(value) = self.take(key) else { return default };
        let parsed = value.as_str().map(|text| humantime::parse_duration(text.trim()));
        let (least, most) = (range.start(), range.end());
        match parsed {
            Some(Ok(duration)) if range.contains(&duration) => duration,
            Some(Ok(duration)) if duration < *least => {
                let why = format!("is too short: at least {}", humantime::format_duration(*least));
                self.wrong(key, &value, &why).unwrap_or(default)
            }
            Some(Ok(_)) => {
                let why = format!("is too long: at most {}", humantime::format_duration(*most));
                self.wrong(key, &value, &why).unwrap_or(default)
            }
            _ => self.wrong(key, &value, "is not a duration such as \"5s\"").unwrap_or(default),
        }
    }

    /// One of a few words, or `default`.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, default: T, words: &[(&str, T)]) -> T {
        let Some(value) = self.take(key) else { return default };
        // YAML reads an unquoted `off` as false.
        let given = match &value {
            Value::Bool(true) => Some("on"),
            Value::Bool(false) => Some("off"),
            other => other.as_str(),
        };
        let found = words.iter().find(|(word, _)| given == Some(word));
        match found {
            Some((_, meaning)) => *meaning,
            None => {
                let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let why = format!("is none of {}", allowed.join(", "));
                self.wrong(key, &value, &why).unwrap_or(default)
            }
        }
    }

    /// A list of texts, each made into a `T` by `parse`; one text alone is a list of one. `None` if absent.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = match self.take(key)? {
            Value::Array(items) => items,
            one => vec![one],
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let text = match &item {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                other => {
                    self.wrong::<T>(key, other, "is not a text");
                    continue;
                }
            };
            match parse(&text) {
                Ok(parsed) => list.push(parsed),
                Err(why) => {
                    self.wrong::<T>(key, &item, &why);
                }
            }
        }
        Some(list)
    }

    /// A table of free keys, handed on as it is.
    pub(super) fn free_table(&mut self, key: &'static str) -> Map<String, Value> {
        match self.take(key) {
            None => Map::new(),
            Some(Value::Object(table)) => table,
            Some(other) => self.wrong(key, &other, "is not a table of keys").unwrap_or_default(),
        }
    }

    /// Notes that `value` of `key` cannot be.
    pub(super) fn fault(&mut self, key: &str, value: &str, why: &str) {
        let path = self.path_of(key);
        self.faults.value(&path, value, why);
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            self.faults.unknown(&self.path, key, self.known.iter().copied());
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key).filter(|value| !value.is_null())
    }

    fn wrong<T>(&mut self, key: &str, value: &Value, why: &str) -> Option<T> {
        self.fault(key, &shown(value), why);
        None
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A value as an operator would recognise it.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Octets of `5MB`, `5 MB`, `64KiB`, `512`.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, octets) in [
            ("512", Some(512)),
            ("5MB", Some(5_000_000)),
            ("64 KiB", Some(65_536)),
            ("1g", Some(1_000_000_000)),
        ] {
            assert_eq!(parse_size(text), octets, "{text}");
        }
        for text in ["", "MB", "5 parsecs", "99999999999G"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn every_reader_notes_its_fault_and_goes_on() {
        let file = serde_json::json!({
            "text": [], "boolean": "yes", "number": 70_000, "size": "5 parsecs", "duration": "500ms",
            "word": "blue", "list": ["1", {}, "x"], "stray": 1,
        });
        let mut faults = Faults::default();
        let mut section = Section::new("t", file, &mut faults);
        assert_eq!(section.text("text", "d"), "d");
        assert!(section.boolean("boolean", true));
        assert_eq!(section.number("number", 7, 1..=65_535), 7);
        assert_eq!(section.size("size", 9, 1..=10), 9);
        let second = Duration::from_secs(1);
        assert_eq!(section.duration("duration", second, second..=second * 60), second);
        assert_eq!(section.word("word", 1, &[("red", 1), ("green", 2)]), 1);
        assert_eq!(section.list("list", |t| t.parse::<u8>().map_err(|e| e.to_string())), Some(vec![1]));
        section.finish();
        let told = faults.or::<()>(None).unwrap_err().to_string();
        assert_eq!(
            told,
            "t.text: \"[]\" is not a text\n\
             t.boolean: \"yes\" is neither true nor false\n\
             t.number: \"70000\" must be a whole number from 1 to 65535\n\
             t.size: \"5 parsecs\" is not a size such as \"5MB\"\n\
             t.duration: \"500ms\" is too short: at least 1s\n\
             t.word: \"blue\" is none of red, green\n\
             t.list: \"{}\" is not a text\n\
             t.list: \"x\" invalid digit found in string\n\
             t.stray is not a known key"
        );
    }
}
