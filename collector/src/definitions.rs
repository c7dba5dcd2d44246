//! The elements that a user's own definition files add to the registry.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use podflow_ipfix::registry::{Registry, add_definitions};

/// The standard registry with the definitions of `files` over it, later files over earlier ones.
///
/// # Errors
/// Which file cannot be used, with line and key.
pub fn registry(files: &[PathBuf]) -> Result<Registry> {
    let mut registry = Registry::standard();
    for path in files {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| format!("reading definitions from {name}"))?;
        let count =
            add_definitions(&mut registry, &name, &text).context("definitions that cannot be used")?;
        tracing::info!(file = %name, elements = count, "definitions read");
    }
    Ok(registry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use podflow_ipfix::ElementKey;

    #[test]
    fn later_files_win_and_a_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let first = file("first.yml", "9:\n  1: [:string, :one]\n  2: [:string, :two]\n");
        let second = file("second.yml", "9:\n  2: [:uint32, :zwei]\n");
        let registry = registry(&[first.clone(), second]).unwrap();
        let name = |id| registry.lookup(ElementKey::new(9, id)).map(|element| element.name.to_string());
        assert_eq!((name(1), name(2)), (Some("one".to_owned()), Some("zwei".to_owned())));

        let bad = file("bad.yml", "9:\n  1: [:strin, :one]\n");
        let error = super::registry(&[first, bad]).unwrap_err();
        assert!(format!("{error:#}").contains("bad.yml:2: 9/1: type :strin is not known"), "{error:#}");
        let missing = super::registry(&[folder.path().join("none.yml")]).unwrap_err();
        assert!(format!("{missing:#}").contains("none.yml"), "{missing:#}");
    }
}
