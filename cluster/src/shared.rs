//! One copy of each name that many objects have: a Pod's namespace, its Node.

use std::collections::HashSet;
use std::sync::Arc;

/// Names in use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: HashSet<Arc<str>>,
    /// How many there were when unused ones were last given up.
    before: usize,
}

impl Names {
    /// The copy of a name that everybody has.
    pub(crate) fn shared(&mut self, name: Arc<str>) -> Arc<str> {
        if let Some(known) = self.names.get(&*name) {
            return Arc::clone(known);
        }
        if self.names.len() > 2 * self.before + LEAST {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.before = self.names.len();
        }
        self.names.insert(Arc::clone(&name));
        name
    }
}

/// Below that it is not worth looking for unused ones.
const LEAST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_as_long_as_it_is_used() {
        let mut names = Names::default();
        let first = names.shared("shop".into());
        assert!(Arc::ptr_eq(&first, &names.shared("shop".into())));
        for number in 0..10 * LEAST {
            names.shared(number.to_string().into());
        }
        assert!(names.names.len() <= 2 * LEAST, "{}", names.names.len());
        assert!(Arc::ptr_eq(&first, &names.shared("shop".into())));
    }
}
