//! Names of document fields that we write ourselves, with the form that they have in a line of JSON.

/// A document field's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Without the `ipfix.` prefix.
    pub(crate) name: &'static str,
    /// `,"name":`, as it stands behind another field.
    pub(crate) json: &'static str,
}

/// The key of a name that needs no escape.
macro_rules! key {
    ($name:literal) => {
        $crate::document::keys::Key { name: $name, json: concat!(",\"", $name, "\":") }
    };
}

pub(crate) use key;
