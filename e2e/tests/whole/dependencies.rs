//! What we build upon: every crate comes from the registry, under a licence that lets anybody use Podflow, and of
//! those that we name ourselves there is one version.

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

/// Licences that ask for no more than to be named, and the MPL, which asks for its own files alone.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn licences_are_permissive() {
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !is_allowed(text(package, "license")))
        .map(|package| format!("{} {}", text(package, "name"), text(package, "license")))
        .collect();
    assert_eq!(refused, Vec::<String>::new());
}

#[test]
fn everything_comes_from_the_registry() {
    let elsewhere: Vec<String> = packages()
        .iter()
        .filter(|package| package["source"].as_str().is_some_and(|source| !source.starts_with("registry+")))
        .map(|package| format!("{} from {}", text(package, "name"), text(package, "source")))
        .collect();
    assert_eq!(elsewhere, Vec::<String>::new());
}

#[test]
fn what_we_name_comes_in_one_version() {
    let packages = packages();
    let ours = packages.iter().filter(|package| package["source"].is_null());
    let mut requirements: Vec<(&str, &str)> = ours
        .flat_map(|package| package["dependencies"].as_array().unwrap())
        .filter(|dependency| dependency["source"].is_string())
        .map(|dependency| (text(dependency, "name"), text(dependency, "req")))
        .collect();
    requirements.sort_unstable();
    requirements.dedup();
    let mut seen = HashSet::new();
    let twice: Vec<_> = requirements.iter().filter(|(name, _)| !seen.insert(name)).collect();
    assert!(requirements.len() > 20, "cargo metadata lists our dependencies");
    assert_eq!(twice, Vec::<&(&str, &str)>::new());
}

fn is_allowed(license: &str) -> bool {
    let expression = Expression::parse_mode(license, ParseMode::LAX).unwrap();
    expression.evaluate(|wanted| ALLOWED.contains(&wanted.license.to_string().as_str()))
}

/// Every package that a build for this platform takes in.
fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}
