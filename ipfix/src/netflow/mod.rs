//! NetFlow version 9 (RFC 3954) and version 5 read into the same records as IPFIX.
//!
//! Their times are milliseconds since the exporter started; with the header's clock they become dates.

mod v5;

mod v9;

pub(crate) use v5::{read_v5_header, rebuilt_records, v5_template};
pub(crate) use v9::{OPTIONS_TEMPLATE_FLOWSET, TEMPLATE_FLOWSET, read_v9_header, read_v9_template};

/// The exporter's clock as a NetFlow header gives it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Uptime {
    /// When the message left, milliseconds since 1970.
    pub export_ms: u64,
    /// The same in milliseconds since the exporter started, modulo 2^32: 49.7 days.
    pub uptime_ms: u32,
}

impl Uptime {
    /// The date of a moment given in milliseconds since the exporter started. Both counters may have wrapped since:
    /// the moment is taken to lie within 24.8 days of the message.
    pub const fn date(&self, moment_ms: u32) -> u64 {
        let age = self.uptime_ms.wrapping_sub(moment_ms);
        if age < 1 << 31 {
            self.export_ms.saturating_sub(age as u64)
        } else {
            self.export_ms.saturating_add(moment_ms.wrapping_sub(self.uptime_ms) as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_and_after_the_wrap() {
        let clock = Uptime { export_ms: 1_763_000_000_000, uptime_ms: 1_000 };
        assert_eq!(clock.date(400), 1_762_999_999_400);
        assert_eq!(clock.date(u32::MAX), 1_762_999_998_999);
        assert_eq!(clock.date(1_500), 1_763_000_000_500);
    }
}
