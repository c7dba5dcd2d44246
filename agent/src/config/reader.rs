//! Reads values out of the tables of a configuration, and notes what is wrong with them.

use std::net::SocketAddr;
use std::time::Duration;

use podflow_daemon::config::Faults;
use serde_json::{Map, Value};

use super::duration;

/// A table of the file.
pub(super) type Table = Map<String, Value>;

/// Reads values out of tables and notes what is wrong with them.
pub(super) struct Reader<'f> {
    pub(super) faults: &'f mut Faults,
}

impl Reader<'_> {
    /// A table of known keys; empty where the file has none.
    pub(super) fn table(&mut self, parent: &Table, prefix: &str, key: &str, known: &[&str]) -> Table {
        let path = at(prefix, key);
        match parent.get(key) {
            None | Some(Value::Null) => Table::new(),
            Some(Value::Object(table)) => {
                for stray in table.keys().filter(|stray| !known.contains(&stray.as_str())) {
                    self.faults.unknown(&path, stray, known.iter().copied());
                }
                table.clone()
            }
            Some(other) => {
                self.faults.value(&path, shown(other), "is not a table of keys");
                Table::new()
            }
        }
    }

    pub(super) fn boolean(&mut self, table: &Table, prefix: &str, key: &str, default: bool) -> bool {
        match table.get(key) {
            None | Some(Value::Null) => default,
            Some(Value::Bool(value)) => *value,
            Some(other) => {
                self.faults.value(&at(prefix, key), shown(other), "is neither true nor false");
                default
            }
        }
    }

    pub(super) fn text(&mut self, table: &Table, prefix: &str, key: &str) -> Option<String> {
        match table.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => {
                self.faults.value(&at(prefix, key), shown(other), "is not text");
                None
            }
        }
    }

    pub(super) fn duration(
        &mut self,
        table: &Table,
        prefix: &str,
        key: &str,
        least: Duration,
    ) -> Option<Duration> {
        let text = self.text(table, prefix, key)?;
        let path = at(prefix, key);
        let duration = self.faults.take(&path, &text, duration::parse(&text))?;
        if duration < least {
            let least = humantime::format_duration(least);
            self.faults.value(&path, &text, format!("is too short: at least {least}"));
            return None;
        }
        Some(duration)
    }

    pub(super) fn number(
        &mut self,
        table: &Table,
        prefix: &str,
        key: &str,
        allowed: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = table.get(key).filter(|value| !value.is_null())?;
        let number = value.as_u64().filter(|number| allowed.contains(number));
        if number.is_none() {
            let (least, most) = allowed.into_inner();
            self.faults.value(
                &at(prefix, key),
                shown(value),
                format!("is not a number from {least} to {most}"),
            );
        }
        number
    }

    pub(super) fn size(&mut self, ours: &Table, key: &str, default: usize) -> usize {
        self.number(ours, "podflow", key, 1..=1 << 32)
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(default)
    }

    pub(super) fn word<T: Copy + Default>(&mut self, ours: &Table, key: &str, words: &[(&str, T)]) -> T {
        let Some(text) = self.text(ours, "podflow", key) else { return T::default() };
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let allowed = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            self.faults.value(&at("podflow", key), &text, format!("is not one of {allowed}"));
        }
        found.map_or_else(T::default, |(_, value)| *value)
    }

    pub(super) fn list<'v>(&mut self, table: &'v Table, prefix: &str, key: &str) -> Option<&'v [Value]> {
        match table.get(key)? {
            Value::Null => None,
            Value::Array(list) => Some(list),
            other => {
                self.faults.value(&at(prefix, key), shown(other), "is not a list");
                None
            }
        }
    }

    /// A list of numbers, each within `allowed`.
    pub(super) fn numbers<N: TryFrom<u64>>(
        &mut self,
        table: &Table,
        prefix: &str,
        key: &str,
        most: u64,
    ) -> Option<Vec<N>> {
        let list = self.list(table, prefix, key)?;
        let mut numbers = Vec::new();
        for value in list {
            match value.as_u64().and_then(|number| N::try_from(number).ok()) {
                Some(number) => numbers.push(number),
                None => {
                    let why = format!("is not a number from 0 to {most}");
                    self.faults.value(&at(prefix, key), shown(value), why);
                }
            }
        }
        Some(numbers)
    }

    pub(super) fn socket(&mut self, ours: &Table, key: &str) -> Option<SocketAddr> {
        let text = self.text(ours, "podflow", key)?;
        let parsed = text.parse().map_err(|_| "is no address with a port, such as 127.0.0.1:10360");
        self.faults.take(&at("podflow", key), &text, parsed)
    }
}

pub(super) fn at(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// A value as a person wrote it: text without quotes.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
