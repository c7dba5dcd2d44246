//! NTP timestamps to counts since 1970 and back (RFC 7011 section 6.1.9 and 6.1.10, RFC 5905 section 6).
//!
//! 32 bits of seconds since 1900 and 32 bits of fraction. Seconds with the top bit clear are of the next era,
//! from 2036 on. All zero means "not known" and becomes 0.

/// Ticks since 1970 (`per_second` 1,000,000 or 1,000,000,000) of an NTP timestamp; 0 before 1970.
pub(super) fn from_ntp(timestamp: u64, per_second: u64) -> u64 {
    if timestamp == 0 {
        return 0;
    }
    let (seconds, mut fraction) = (timestamp >> 32, timestamp & 0xffff_ffff);
    if per_second == MICROSECONDS {
        fraction &= !MICROSECOND_NOISE;
    }
    let seconds = if seconds & 0x8000_0000 == 0 { seconds + (1 << 32) } else { seconds };
    let Some(seconds) = seconds.checked_sub(EPOCH_1970) else { return 0 };
    seconds * per_second + ((fraction * per_second + (1 << 31)) >> 32)
}

/// The NTP timestamp of ticks since 1970, seconds modulo 2^32.
pub(super) fn to_ntp(ticks: u64, per_second: u64) -> u64 {
    if ticks == 0 {
        return 0;
    }
    let seconds = (ticks / per_second + EPOCH_1970) & 0xffff_ffff;
    let mut fraction = ((ticks % per_second) << 32).div_ceil(per_second);
    if per_second == MICROSECONDS {
        fraction = (fraction + MICROSECOND_NOISE / 2) & !MICROSECOND_NOISE;
    }
    (seconds << 32) | fraction.min(0xffff_ffff)
}

/// Ticks per second of dateTimeMicroseconds.
pub(super) const MICROSECONDS: u64 = 1_000_000;
/// Ticks per second of dateTimeNanoseconds.
pub(super) const NANOSECONDS: u64 = 1_000_000_000;
/// Seconds from 1900 to 1970.
const EPOCH_1970: u64 = 2_208_988_800;
/// The 11 low bits of a fraction, below a microsecond: not sent, and ignored (RFC 7011 section 6.1.9).
const MICROSECOND_NOISE: u64 = 0x7ff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_of_a_second_leads_back() {
        for tick in (0..1_000_000).step_by(7) {
            let ticks = 1_763_000_000 * MICROSECONDS + tick;
            assert_eq!(from_ntp(to_ntp(ticks, MICROSECONDS), MICROSECONDS), ticks);
            let ticks = 1_763_000_000 * NANOSECONDS + tick * 997;
            assert_eq!(from_ntp(to_ntp(ticks, NANOSECONDS), NANOSECONDS), ticks);
        }
        let last = 1_763_000_000 * MICROSECONDS + 999_999;
        assert_eq!(from_ntp(to_ntp(last, MICROSECONDS), MICROSECONDS), last);
    }

    #[test]
    fn eras_and_zero() {
        assert_eq!(from_ntp(0, MICROSECONDS), 0);
        assert_eq!(from_ntp(EPOCH_1970 << 32, MICROSECONDS), 0);
        assert_eq!(from_ntp((EPOCH_1970 << 32) | 0x8000_0000, MICROSECONDS), 500_000);
        // 7 February 2036, 06:28:16: the first second of era 1.
        assert_eq!(from_ntp(1 << 31, MICROSECONDS), ((1 << 32) - EPOCH_1970) * MICROSECONDS + 500_000);
        assert_eq!(from_ntp(0x8000_0000 << 32, NANOSECONDS), 0);
    }
}
