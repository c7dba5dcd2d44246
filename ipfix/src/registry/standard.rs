//! The tables that `build.rs` made from `data/*.csv`: IANA's elements, their reverses, and Antrea's.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::Element;
use crate::data_type::{DataType, Semantics, Units};
use crate::element::ElementKey;

/// Enterprise, id, name, type, semantics, units.
type Row = (u32, u16, &'static str, DataType, Semantics, Units);

include!(concat!(env!("OUT_DIR"), "/standard_elements.rs"));

/// The elements by their key.
pub(super) static BY_KEY: LazyLock<HashMap<ElementKey, Element>> = LazyLock::new(|| {
    let element = |&(enterprise, id, name, data_type, semantics, units): &Row| {
        let key = ElementKey::new(enterprise, id);
        (key, Element { key, name: Cow::Borrowed(name), data_type, semantics, units })
    };
    ELEMENTS.iter().map(element).collect()
});

/// The elements by their name; of several with one name, one.
pub(super) static BY_NAME: LazyLock<HashMap<&'static str, &'static Element>> =
    LazyLock::new(|| BY_KEY.values().map(|element| (&*element.name, element)).collect());
