//! Faults of a configuration, gathered and reported together; the key that somebody may have meant.
//!
//! A raw configuration is what the file says; the checked one is made from it by a function that hands each
//! fault to [`Faults`] and goes on, so that an operator sees all of them at once.

use std::fmt;

/// Exit status for a bad configuration (`EX_USAGE` of sysexits).
pub const EXIT_BAD_CONFIG: u8 = 64;

/// All faults of one configuration, in the order of the file.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<String>,
}

impl Faults {
    /// Notes that `key` has a `value` that cannot be, and why: `flowPollInterval: "500ms" is too short: at least 1s`.
    pub fn value(&mut self, key: &str, value: impl fmt::Display, why: impl fmt::Display) {
        self.list.push(format!("{key}: \"{value}\" {why}"));
    }

    /// Notes a key that must be there and is not, and what it is for.
    pub fn missing(&mut self, key: &str, what_for: impl fmt::Display) {
        self.list.push(format!("{key} is required: {what_for}"));
    }

    /// Notes a key that nobody knows, with the nearest of those that are known.
    pub fn unknown<'k>(&mut self, table: &str, key: &str, known: impl IntoIterator<Item = &'k str>) {
        let at = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
        self.list.push(match nearest_key(key, known) {
            Some(near) => format!("{at} is not a known key; did you mean \"{near}\"?"),
            None => format!("{at} is not a known key"),
        });
    }

    /// Notes any other fault, in one sentence.
    pub fn other(&mut self, sentence: impl fmt::Display) {
        self.list.push(sentence.to_string());
    }

    /// Takes a parsed value, or notes why there is none.
    pub fn take<T, E: fmt::Display>(&mut self, key: &str, value: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.value(key, value, error)).ok()
    }

    /// `value` if there was no fault.
    ///
    /// # Errors
    /// The faults, if there was any.
    pub fn or<T>(self, value: Option<T>) -> Result<T, BadConfig> {
        match value {
            Some(value) if self.list.is_empty() => Ok(value),
            _ => Err(BadConfig { faults: self.list }),
        }
    }

    /// Whether no fault was noted so far.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A configuration that cannot be used, with every reason, one a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", faults.join("\n"))]
pub struct BadConfig {
    faults: Vec<String>,
}

impl BadConfig {
    /// One fault alone, such as a file that is no YAML.
    pub fn one(sentence: impl fmt::Display) -> Self {
        Self { faults: vec![sentence.to_string()] }
    }

    /// Each fault as a sentence.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }
}

/// The known key that is most like `key`, if any is alike at all.
pub fn nearest_key<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = key.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // Short words with one slip of the finger look unlike by their beginnings.
        let one_slip = lower.chars().count() > 2 && strsim::osa_distance(&lower, &candidate) == 1;
        if one_slip { 1.0 } else { strsim::jaro_winkler(&lower, &candidate) }
    };
    known
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

// Jaro-Winkler: a transposed or dropped letter in words of this length stays above 0.9, unrelated keys below 0.75.
const LIKE: f64 = 0.82;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_together() {
        let mut faults = Faults::default();
        faults.value("flowPollInterval", "500ms", "is too short: at least 1s");
        faults.unknown("", "flowColectorAddr", ["flowCollectorAddr", "flowPollInterval"]);
        faults.unknown("podflow", "zzz", ["template"]);
        let error = faults.or(Some(())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "flowPollInterval: \"500ms\" is too short: at least 1s\n\
             flowColectorAddr is not a known key; did you mean \"flowCollectorAddr\"?\n\
             podflow.zzz is not a known key"
        );
    }

    #[test]
    fn no_fault_no_error() {
        assert_eq!(Faults::default().or(Some(7)).unwrap(), 7);
        assert!(Faults::default().or::<u8>(None).is_err());
    }
}
