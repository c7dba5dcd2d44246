//! Checks a file of saved objects by the rules of Kibana's import, before Kibana refuses it: all faults at once,
//! each with its line.
//!
//! The strictest reader counts: Kibana 7.10.2, which refuses a whole file for one stamp too high.

mod object;

mod spec;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

/// Which program is to import the file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Target {
    /// Kibana 7.10 to 9.
    #[default]
    Kibana,
    /// OpenSearch Dashboards.
    OpenSearch,
}

/// One thing that an import would stumble over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Line of the file, from 1.
    pub line: usize,
    /// `type:id` of the object, or empty where the line has none.
    pub object: String,
    /// What is wrong, and what is wanted.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.object.is_empty() {
            write!(f, ", {}", self.object)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Every fault of the file; none means that it can be imported.
pub fn check(text: &str, target: Target) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut lines: HashMap<(String, String), usize> = HashMap::new();
    let mut objects = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let object: Value = match serde_json::from_str(text) {
            Ok(object) => object,
            Err(error) => {
                let what = format!("not JSON: {error}; one object a line is wanted");
                faults.push(Fault { line, object: String::new(), what });
                continue;
            }
        };
        // The last line of Kibana's own exports.
        if object.get("exportedCount").is_some() && object.get("type").is_none() {
            continue;
        }
        let (Some(kind), Some(id)) = (text_of(&object, "type"), text_of(&object, "id")) else {
            faults.push(Fault { line, object: String::new(), what: "has no type or no id".to_owned() });
            continue;
        };
        let key = (kind, id);
        if let Some(first) = lines.get(&key) {
            faults.push(Fault {
                line,
                object: format!("{}:{}", key.0, key.1),
                what: format!("is on line {first} already: an import takes one of them only"),
            });
        }
        lines.entry(key.clone()).or_insert(line);
        objects.push((line, key, object));
    }
    for (line, (kind, id), object) in &objects {
        let known = |kind: &str, id: &str| lines.contains_key(&(kind.to_owned(), id.to_owned()));
        let mut found = Vec::new();
        object::check(kind, object, &known, target, &mut found);
        let name = format!("{kind}:{id}");
        faults.extend(found.into_iter().map(|what| Fault { line: *line, object: name.clone(), what }));
    }
    faults.sort_by_key(|fault| fault.line);
    faults
}

fn text_of(object: &Value, member: &str) -> Option<String> {
    object.get(member)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kibana_ndjson, opensearch_ndjson};

    #[test]
    fn what_we_write_has_no_fault() {
        assert_eq!(check(&kibana_ndjson().unwrap(), Target::Kibana), []);
        assert_eq!(check(&opensearch_ndjson().unwrap(), Target::OpenSearch), []);
    }

    #[test]
    fn each_program_wants_its_own_functions() {
        assert!(!check(&opensearch_ndjson().unwrap(), Target::Kibana).is_empty());
        assert!(!check(&kibana_ndjson().unwrap(), Target::OpenSearch).is_empty());
    }

    /// Each file of `testdata/bad` breaks one rule; its first line, a comment to us, says what must be found.
    #[test]
    fn every_rule_has_a_file_that_breaks_it() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/bad");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let (wanted, text) = text.split_once('\n').unwrap();
            let found: Vec<_> = check(text, Target::Kibana).iter().map(ToString::to_string).collect();
            assert_eq!(found, [wanted.trim_start_matches("# ")], "{}", path.display());
            seen += 1;
        }
        assert!(seen >= 29, "{seen} files");
    }
}
