//! What a record says, by role. Naming and deriving ask nothing else, so that they are the same for a document
//! in the making and for a line that is written straight from the wire.

use std::net::IpAddr;

use super::names::EndRoles;
use super::role::Role;
use super::shape::Origin;

/// A record's values by role.
pub(crate) trait Facts {
    /// Where the record came from.
    fn origin(&self) -> &Origin;

    /// The role's text, empty where there is none.
    fn text(&self, role: Role) -> &str;

    /// The role's number; of times, milliseconds since 1970.
    fn number(&self, role: Role) -> Option<u64>;

    /// The role's address, unless it is all zeroes.
    fn address(&self, role: Role) -> Option<IpAddr>;

    /// The role's port or other small number, 0 where there is none.
    fn port(&self, role: Role) -> u16 {
        self.number(role).and_then(|number| u16::try_from(number).ok()).unwrap_or_default()
    }

    /// Whether an end of the flow has a name.
    fn is_named(&self, end: &EndRoles) -> bool {
        !self.text(end.pod_name).is_empty() || !self.text(end.node).is_empty()
    }

    /// Start and end of the flow by our clock, milliseconds since 1970; the export time where the record does
    /// not say.
    fn lifetime(&self) -> (i64, i64) {
        let origin = self.origin();
        let export = i64::try_from(origin.export_ms).unwrap_or(i64::MAX);
        let time = |role| self.number(role).and_then(|millis| i64::try_from(millis).ok());
        let end = time(Role::EndMilliseconds).or_else(|| time(Role::End)).unwrap_or(export);
        let start = time(Role::Start).unwrap_or(end);
        (start.saturating_add(origin.skew_ms), end.saturating_add(origin.skew_ms))
    }
}
