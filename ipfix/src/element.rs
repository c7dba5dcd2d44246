//! The name of an Information Element on the wire: enterprise number and element id.
//!
//! RFC 7011 section 3.2: a field specifier is an element id of 15 bits and, when its top bit is set, an
//! enterprise number of 32 bits. The reverse of an IANA element is the same id under enterprise 29305
//! (RFC 5103 section 6.1).

use std::fmt;

/// IANA's own elements: no enterprise number on the wire.
pub const IANA: u32 = 0;
/// Reverse Information Elements (RFC 5103 section 6.1).
pub const REVERSE: u32 = 29_305;
/// The enterprise number of Antrea's first exporters (until v0.10), and the default of its documented set-up.
pub const ANTREA_LEGACY: u32 = 55_829;
/// Antrea's registered enterprise number, since v0.11.
pub const ANTREA: u32 = 56_506;

/// Which Information Element: enterprise number (0 for IANA's) and element id (15 bits).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ElementKey {
    /// Enterprise number, 0 for IANA's own elements.
    pub enterprise: u32,
    /// Element id, 0 to 32767.
    pub id: u16,
}

impl ElementKey {
    /// An element of IANA's registry.
    pub const fn iana(id: u16) -> Self {
        Self { enterprise: IANA, id }
    }

    /// The reverse of an element of IANA's registry (RFC 5103).
    pub const fn reverse(id: u16) -> Self {
        Self { enterprise: REVERSE, id }
    }

    /// An element of any enterprise.
    pub const fn new(enterprise: u32, id: u16) -> Self {
        Self { enterprise, id }
    }
}

impl fmt::Debug for ElementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `enterprise/id`, as in `55829/101`.
impl fmt::Display for ElementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.enterprise, self.id)
    }
}
