//! Wildcards and regular expressions as Lucene writes them, into ours.

use regex::Regex;

use super::error::{EsError, Result};

/// Lucene's wildcards: `*`, `?`, `\` before either.
pub(crate) fn from_wildcard(pattern: &str) -> String {
    let mut regex = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '\\' => regex.push_str(&regex::escape(&letters.next().map(String::from).unwrap_or_default())),
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex
}

/// Lucene's regular expressions as Rust's: anchored, without `^` and `$`, `"…"` literal, `@` anything, `#` nothing.
/// `~` (complement), `&` (both) and `<1-9>` (numbers) are taken literally, as with those flags off.
pub(crate) fn from_lucene(pattern: &str) -> String {
    let mut regex = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => regex
                .push_str(&regex::escape(&letters.by_ref().take_while(|c| *c != '"').collect::<String>())),
            '\\' => {
                let next = letters.next().map(String::from).unwrap_or_default();
                match next.as_str() {
                    class @ ("d" | "D" | "w" | "W" | "s" | "S") => regex.push_str(&format!("\\{class}")),
                    other => regex.push_str(&regex::escape(other)),
                }
            }
            '@' => regex.push_str(".*"),
            '^' | '$' if !regex.ends_with('[') => {
                regex.push('\\');
                regex.push(letter);
            }
            other => regex.push(other),
        }
    }
    regex
}

/// A whole-text regular expression, bounded in size.
pub(crate) fn regex(pattern: &str, fold_case: bool) -> Result<Regex> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .case_insensitive(fold_case)
        .dot_matches_new_line(true)
        .size_limit(REGEX_SIZE)
        .build()
        .map_err(|error| {
            let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
            EsError::shard(
                "illegal_argument_exception",
                format!("the pattern [{pattern}] cannot be used: {reason}"),
            )
        })
}

/// Octets of one compiled pattern: `a{1000}{1000}` is refused rather than built.
const REGEX_SIZE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_translated() {
        assert!(regex(&from_wildcard("a*c?"), false).unwrap().is_match("abbbcd"));
        assert!(!regex(&from_wildcard("a\\*"), false).unwrap().is_match("ab"));
        assert!(regex(&from_lucene("cart-[0-9]+"), false).unwrap().is_match("cart-77"));
        assert!(!regex(&from_lucene("cart"), false).unwrap().is_match("cart-77"), "anchored");
        assert!(regex("a{1000}{1000}{1000}", false).is_err(), "bounded");
    }
}
