//! Times of a document: milliseconds since 1970 in, the text that JSON and the index name show out.
//!
//! A record has three or four dates and a collector writes a million records a second, so the text is made here
//! digit by digit rather than by a calendar library; a test compares the two over the whole range.

/// The last millisecond that has a four-digit year, 9999-12-31T23:59:59.999Z: later times are left out of a
/// document, since neither JSON readers nor Elasticsearch take a longer year without a sign.
pub const LAST_MILLISECOND: i64 = 253_402_300_799_999;

/// Milliseconds of a day.
pub const DAY_MILLIS: i64 = 86_400_000;

/// Appends `2026-11-22T20:00:00.000Z`. Times outside 1970 to 9999 are shown as the nearest bound.
pub fn write(millis: i64, out: &mut Vec<u8>) {
    let millis = millis.clamp(0, LAST_MILLISECOND);
    let (year, month, day) = civil(millis / DAY_MILLIS);
    let of_day = millis % DAY_MILLIS;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], of_day / 3_600_000);
    digits(&mut text[14..16], of_day / 60_000 % 60);
    digits(&mut text[17..19], of_day / 1000 % 60);
    digits(&mut text[20..23], of_day % 1000);
    out.extend_from_slice(&text);
}

/// Writes times as [`write`] does, and keeps the last day's text: a moment's records are of one or two days.
#[derive(Clone, Debug, Default)]
pub(crate) struct DateText {
    day: Option<i64>,
    text: [u8; 24],
}

impl DateText {
    /// Appends `2026-11-22T20:00:00.000Z`.
    pub(crate) fn write(&mut self, millis: i64, out: &mut Vec<u8>) {
        let millis = millis.clamp(0, LAST_MILLISECOND);
        let (day, of_day) = (millis / DAY_MILLIS, millis % DAY_MILLIS);
        if self.day != Some(day) {
            self.day = Some(day);
            let mut text = Vec::with_capacity(24);
            write(day * DAY_MILLIS, &mut text);
            self.text.copy_from_slice(&text);
        }
        let of_day = u32::try_from(of_day).unwrap_or_default();
        let (seconds, millis) = (of_day / 1000, of_day % 1000);
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        let start = out.len();
        out.extend_from_slice(&self.text);
        let Some(text) = out.get_mut(start..start + self.text.len()) else { return };
        [text[11], text[12]] = two_digits(minutes / 60);
        [text[14], text[15]] = two_digits(minutes % 60);
        [text[17], text[18]] = two_digits(seconds);
        [text[20], text[21]] = two_digits(millis / 10);
        text[22] = two_digits(millis % 10)[1];
    }
}

/// Two digits of a number below 100.
fn two_digits(number: u32) -> [u8; 2] {
    let digit = |digit: u32| b'0' + u8::try_from(digit).unwrap_or_default();
    [digit(number / 10), digit(number % 10)]
}

/// Year, month and day of a number of days since 1970-01-01, by counting from 0000-03-01, so that the leap day is
/// the last of a year.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Fills `text` with the last digits of `number`, which is not negative.
fn digits(text: &mut [u8], mut number: i64) {
    for place in text.iter_mut().rev() {
        *place = b"0123456789"[usize::try_from(number % 10).unwrap_or(0)];
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(millis: i64) -> String {
        let mut out = Vec::new();
        write(millis, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_times() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_400_001), "2000-02-29T00:00:00.001Z");
        assert_eq!(text(1_795_377_600_000), "2026-11-22T20:00:00.000Z");
        assert_eq!(text(LAST_MILLISECOND), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(text(-1), text(0));
        assert_eq!(text(i64::MAX), text(LAST_MILLISECOND));
    }

    #[test]
    fn agrees_with_the_calendar_library() {
        // Every 9 days and some odd milliseconds: 325,000 times from 1970 to 9999.
        let (mut millis, mut dates) = (0, DateText::default());
        while millis <= LAST_MILLISECOND {
            let stamp = jiff::Timestamp::from_millisecond(millis).unwrap();
            assert_eq!(text(millis), format!("{stamp:.3}"));
            let mut again = Vec::new();
            dates.write(millis, &mut again);
            dates.write(millis + 59_999, &mut again);
            assert_eq!(String::from_utf8(again).unwrap(), text(millis) + &text(millis + 59_999));
            millis += 9 * DAY_MILLIS + 12_345_678;
        }
    }
}
