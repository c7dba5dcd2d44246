//! Times as clients write them: formats, date math, rounding to buckets.
//!
//! Inside, a time is milliseconds since 1970, as in Elasticsearch's `date` type.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, Unit, Zoned};

use super::error::{EsError, Result};

/// How a `date` text is read where no format is given: `strict_date_optional_time||epoch_millis`.
pub(crate) const DEFAULT_FORMAT: &str = "strict_date_optional_time||epoch_millis";

/// Reads a time, date math included; `up` rounds what is not said to the end of its unit (`lte`, `gt`).
pub(crate) fn parse(text: &str, format: &str, zone: &TimeZone, now: i64, up: bool) -> Result<i64> {
    let (anchor, math) = match text.strip_prefix("now") {
        Some(math) => (zoned(now, zone)?, math),
        None => {
            let (anchor, math) = text.split_once("||").unwrap_or((text, ""));
            let millis = format
                .split("||")
                .find_map(|format| absolute(anchor, format, zone, up && math.is_empty()))
                .ok_or_else(|| {
                    EsError::shard(
                        "parse_exception",
                        format!("failed to parse date field [{text}] with format [{format}]"),
                    )
                })?;
            (zoned(millis, zone)?, math)
        }
    };
    let time = apply_math(anchor, math, up).ok_or_else(|| {
        EsError::shard("parse_exception", format!("failed to parse date math [{math}] in [{text}]"))
    })?;
    Ok(time.timestamp().as_millisecond())
}

/// A time zone: `Europe/Berlin`, `UTC`, `Z`, `+02:00`.
pub(crate) fn zone(name: &str) -> Result<TimeZone> {
    if matches!(name, "Z" | "UTC" | "utc" | "GMT") {
        return Ok(TimeZone::UTC);
    }
    offset(name)
        .map(TimeZone::fixed)
        .or_else(|| TimeZone::get(name).ok())
        .ok_or_else(|| EsError::content(format!("failed to parse time zone [{name}]")))
}

/// A time in one of the formats that Elasticsearch knows by name, or in a pattern of the usual letters.
pub(crate) fn format(millis: i64, format: &str, zone: &TimeZone) -> String {
    let first = format.split("||").next().unwrap_or(format);
    match first {
        "epoch_millis" => return millis.to_string(),
        "epoch_second" => return millis.div_euclid(1000).to_string(),
        _ => {}
    }
    let Ok(time) = zoned(millis, zone) else { return millis.to_string() };
    let suffix = if time.offset() == Offset::UTC { "Z".to_owned() } else { time.strftime("%:z").to_string() };
    let milli = time.millisecond();
    match first {
        "strict_date_optional_time" | "date_optional_time" | "strict_date_time" | "date_time" => {
            format!("{}.{milli:03}{suffix}", time.strftime("%Y-%m-%dT%H:%M:%S"))
        }
        "strict_date_time_no_millis" | "date_time_no_millis" => {
            format!("{}{suffix}", time.strftime("%Y-%m-%dT%H:%M:%S"))
        }
        "strict_date_optional_time_nanos" => {
            format!("{}.{milli:03}{suffix}", time.strftime("%Y-%m-%dT%H:%M:%S"))
        }
        "strict_date" | "date" | "strict_year_month_day" | "year_month_day" => {
            time.strftime("%Y-%m-%d").to_string()
        }
        "strict_date_hour_minute_second" | "date_hour_minute_second" => {
            time.strftime("%Y-%m-%dT%H:%M:%S").to_string()
        }
        "strict_year_month" | "year_month" => time.strftime("%Y-%m").to_string(),
        "strict_year" | "year" => time.strftime("%Y").to_string(),
        "basic_date" => time.strftime("%Y%m%d").to_string(),
        pattern => by_pattern(&time, pattern, &suffix),
    }
}

/// Letters of a Java date pattern as far as buckets and columns use them.
fn by_pattern(time: &Zoned, pattern: &str, suffix: &str) -> String {
    let mut text = String::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\'' {
            text.extend(letters.by_ref().take_while(|c| *c != '\''));
            continue;
        }
        let mut width = 1;
        while letters.peek() == Some(&letter) && letter.is_ascii_alphabetic() {
            letters.next();
            width += 1;
        }
        let number = match letter {
            'y' | 'u' if width == 2 => i64::from(time.year().rem_euclid(100)),
            'y' | 'u' => i64::from(time.year()),
            'M' if width >= 3 => {
                text.push_str(&time.strftime(if width == 3 { "%b" } else { "%B" }).to_string());
                continue;
            }
            'M' => i64::from(time.month()),
            'd' => i64::from(time.day()),
            'H' => i64::from(time.hour()),
            'm' => i64::from(time.minute()),
            's' => i64::from(time.second()),
            'S' => i64::from(time.millisecond()),
            'D' => i64::from(time.day_of_year()),
            'E' | 'e' => {
                text.push_str(&time.strftime(if width < 4 { "%a" } else { "%A" }).to_string());
                continue;
            }
            'X' | 'Z' | 'x' => {
                text.push_str(suffix);
                continue;
            }
            other => {
                text.extend(std::iter::repeat_n(other, width));
                continue;
            }
        };
        text.push_str(&format!("{number:0width$}"));
    }
    text
}

fn absolute(text: &str, format: &str, zone: &TimeZone, up: bool) -> Option<i64> {
    match format {
        "epoch_millis" => text.parse().ok(),
        "epoch_second" => text.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(if up { 999 } else { 0 }),
        "strict_date_optional_time"
        | "date_optional_time"
        | "strict_date_time"
        | "date_time"
        | "strict_date_optional_time_nanos"
        | "strict_date_time_no_millis"
        | "date_time_no_millis"
        | "strict_date"
        | "date"
        | "strict_year_month_day"
        | "year_month_day"
        | "strict_date_hour_minute_second"
        | "strict_year_month"
        | "strict_year"
        | "iso8601" => iso(text, zone, up),
        "basic_date" => civil(text.get(..4)?, text.get(4..6)?, text.get(6..)?, zone, up),
        pattern => patterned(text, pattern, zone, up),
    }
}

/// `2026`, `2026-11`, `2026-11-22`, `2026-11-22T05`, `…T05:06`, `…:07`, `….123456`, with or without an offset.
fn iso(text: &str, zone: &TimeZone, up: bool) -> Option<i64> {
    let (date, clock) = text.split_once('T').map_or((text, None), |(date, clock)| (date, Some(clock)));
    let mut date = date.split('-');
    let year = date.next().filter(|year| year.len() == 4)?;
    let month = date.next();
    let day = date.next();
    if date.next().is_some() {
        return None;
    }
    let Some(clock) = clock.filter(|clock| !clock.is_empty()) else {
        return match (month, day) {
            (Some(month), Some(day)) => civil(year, month, day, zone, up),
            (Some(month), None) => whole(start(year, month, "01")?, Span::new().months(1), zone, up),
            (None, _) => whole(start(year, "01", "01")?, Span::new().years(1), zone, up),
        };
    };
    let start = start(year, month?, day?)?;
    let split = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, place) = clock.split_at(split);
    let zone = match place {
        "" => zone.clone(),
        "Z" => TimeZone::UTC,
        place => TimeZone::fixed(offset(place)?),
    };
    let (clock, fraction) = clock.split_once(['.', ',']).map_or((clock, None), |(c, f)| (c, Some(f)));
    let mut parts = clock.split(':').map(|part| part.parse::<i64>().ok().filter(|_| part.len() == 2));
    let (hour, minute, second) = (parts.next()??, parts.next(), parts.next());
    let time = start.checked_add(Span::new().try_hours(hour).ok()?).ok()?;
    let Some(minute) = minute else { return whole(time, Span::new().hours(1), &zone, up) };
    let time = time.checked_add(Span::new().try_minutes(minute?).ok()?).ok()?;
    let Some(second) = second else { return whole(time, Span::new().minutes(1), &zone, up) };
    let time = time.checked_add(Span::new().try_seconds(second?).ok()?).ok()?;
    if hour > 24 || minute? > 59 || second? > 59 {
        return None;
    }
    let Some(fraction) = fraction else { return whole(time, Span::new().seconds(1), &zone, up) };
    let millis: String = fraction.chars().chain("00".chars()).take(3).collect();
    let time = time.checked_add(Span::new().try_milliseconds(millis.parse::<i64>().ok()?).ok()?).ok()?;
    Some(time.to_zoned(zone).ok()?.timestamp().as_millisecond())
}

/// A text under a pattern such as `yyyy-MM-dd HH:mm:ss`.
fn patterned(text: &str, pattern: &str, zone: &TimeZone, up: bool) -> Option<i64> {
    let mut digits = text;
    let mut parts = [None::<i64>; 7];
    let mut letters = pattern.chars().filter(|c| *c != '\'').peekable();
    while let Some(letter) = letters.next() {
        let Some(place) = "yMdHmsS".find(if letter == 'u' { 'y' } else { letter }) else {
            digits = digits.strip_prefix(letter)?;
            continue;
        };
        let mut width = 1;
        while letters.peek() == Some(&letter) {
            letters.next();
            width += 1;
        }
        *parts.get_mut(place)? = Some(digits.get(..width)?.parse().ok()?);
        digits = digits.get(width..)?;
    }
    let [year, month, day, hour, minute, second, milli] = parts;
    if !digits.is_empty() {
        return None;
    }
    let (month_text, day_text) = (month.unwrap_or(1).to_string(), day.unwrap_or(1).to_string());
    let span = Span::new()
        .try_hours(hour.unwrap_or(0))
        .ok()?
        .try_minutes(minute.unwrap_or(0))
        .ok()?
        .try_seconds(second.unwrap_or(0))
        .ok()?
        .try_milliseconds(milli.unwrap_or(0))
        .ok()?;
    let time = start(&year?.to_string(), &month_text, &day_text)?.checked_add(span).ok()?;
    let unit = match (month, day, hour, minute, second, milli) {
        (None, ..) => Span::new().years(1),
        (_, None, ..) => Span::new().months(1),
        (_, _, None, ..) => Span::new().days(1),
        (_, _, _, None, ..) => Span::new().hours(1),
        (_, _, _, _, None, _) => Span::new().minutes(1),
        (.., None) => Span::new().seconds(1),
        _ => Span::new().milliseconds(1),
    };
    whole(time, unit, zone, up)
}

fn civil(year: &str, month: &str, day: &str, zone: &TimeZone, up: bool) -> Option<i64> {
    whole(start(year, month, day)?, Span::new().days(1), zone, up)
}

fn start(year: &str, month: &str, day: &str) -> Option<DateTime> {
    DateTime::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?, 0, 0, 0, 0).ok()
}

/// The first millisecond of a unit, or with `up` its last.
fn whole(start: DateTime, unit: Span, zone: &TimeZone, up: bool) -> Option<i64> {
    let time = if up { start.checked_add(unit).ok()? } else { start };
    let millis = time.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond();
    Some(if up { millis - 1 } else { millis })
}

fn apply_math(mut time: Zoned, mut math: &str, up: bool) -> Option<Zoned> {
    while let Some(sign) = math.chars().next() {
        math = math.get(1..)?;
        let digits = math.len() - math.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count: i64 = if digits == 0 { 1 } else { math.get(..digits)?.parse().ok()? };
        let unit = math.get(digits..)?.chars().next()?;
        math = math.get(digits + unit.len_utf8()..)?;
        let span = |count: i64| {
            Some(match unit {
                'y' => Span::new().try_years(count).ok()?,
                'M' => Span::new().try_months(count).ok()?,
                'w' => Span::new().try_weeks(count).ok()?,
                'd' => Span::new().try_days(count).ok()?,
                'h' | 'H' => Span::new().try_hours(count).ok()?,
                'm' => Span::new().try_minutes(count).ok()?,
                's' => Span::new().try_seconds(count).ok()?,
                _ => return None,
            })
        };
        match sign {
            '+' => time = time.checked_add(span(count)?).ok()?,
            '-' => time = time.checked_sub(span(count)?).ok()?,
            '/' if digits == 0 => {
                time = floor(&time, unit)?;
                if up {
                    time = time.checked_add(span(1)?).ok()?.checked_sub(Span::new().milliseconds(1)).ok()?;
                }
            }
            _ => return None,
        }
    }
    Some(time)
}

/// The start of the calendar unit that a time lies in; weeks begin on Monday.
fn floor(time: &Zoned, unit: char) -> Option<Zoned> {
    let unit = match unit {
        'y' => return time.first_of_year().ok()?.start_of_day().ok(),
        'q' => {
            let back = i64::from((time.month() - 1) % 3);
            return time
                .first_of_month()
                .ok()?
                .checked_sub(Span::new().months(back))
                .ok()?
                .start_of_day()
                .ok();
        }
        'M' => return time.first_of_month().ok()?.start_of_day().ok(),
        'w' => {
            let back = i64::from(time.weekday().to_monday_zero_offset());
            return time.checked_sub(Span::new().days(back)).ok()?.start_of_day().ok();
        }
        'd' => return time.start_of_day().ok(),
        'h' | 'H' => Unit::Hour,
        'm' => Unit::Minute,
        's' => Unit::Second,
        _ => return None,
    };
    time.round(jiff::ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Floor)).ok()
}

/// How `date_histogram` cuts time into buckets.
#[derive(Clone, Debug)]
pub(crate) struct Rounding {
    /// What a bucket is.
    pub(crate) interval: Interval,
    /// Whose midnights and months.
    pub(crate) zone: TimeZone,
    /// Milliseconds that buckets begin later.
    pub(crate) offset: i64,
}

/// The width of a bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Interval {
    /// Always so many milliseconds.
    Fixed(i64),
    /// `m h d w M q y`: as long as the calendar says.
    Calendar(char),
}

impl Rounding {
    /// First millisecond of the bucket and of the next one.
    pub(crate) fn bucket(&self, millis: i64) -> (i64, i64) {
        let shifted = millis.saturating_sub(self.offset);
        let (start, end) = match self.interval {
            Interval::Fixed(width) => {
                let local = self.local_offset(shifted);
                let start = (shifted + local).div_euclid(width) * width - local;
                (start, start + width)
            }
            Interval::Calendar(unit) => self.calendar(shifted, unit).unwrap_or((shifted, shifted + 1)),
        };
        (start + self.offset, end + self.offset)
    }

    fn calendar(&self, millis: i64, unit: char) -> Option<(i64, i64)> {
        let start = floor(&zoned(millis, &self.zone).ok()?, unit)?;
        let span = match unit {
            'y' => Span::new().years(1),
            'q' => Span::new().months(3),
            'M' => Span::new().months(1),
            'w' => Span::new().weeks(1),
            'd' => Span::new().days(1),
            'h' => Span::new().hours(1),
            'm' => Span::new().minutes(1),
            _ => Span::new().seconds(1),
        };
        let end = start.checked_add(span).ok()?;
        Some((start.timestamp().as_millisecond(), end.timestamp().as_millisecond()))
    }

    fn local_offset(&self, millis: i64) -> i64 {
        if self.zone == TimeZone::UTC {
            return 0;
        }
        Timestamp::from_millisecond(millis)
            .map_or(0, |time| i64::from(self.zone.to_offset(time).seconds()) * 1000)
    }
}

/// Milliseconds of `30s`, `5m`, `1h`, `1d`, `500ms`.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

fn zoned(millis: i64, zone: &TimeZone) -> Result<Zoned> {
    Timestamp::from_millisecond(millis).map(|time| time.to_zoned(zone.clone())).map_err(|_| {
        EsError::shard("parse_exception", format!("[{millis}] is outside the years -9999 to 9999"))
    })
}

fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..).filter(|m| !m.is_empty()).map_or(Some(0), |m| m.parse().ok())?;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_377_600_123;

    fn utc(text: &str, up: bool) -> String {
        crate::store::time(parse(text, DEFAULT_FORMAT, &TimeZone::UTC, NOW, up).unwrap())
    }

    #[test]
    fn texts_and_math_become_times() {
        let table = [
            ("now", false, "2026-11-22T20:00:00.123Z"),
            ("now-1d/d", false, "2026-11-21T00:00:00.000Z"),
            ("now/d", true, "2026-11-22T23:59:59.999Z"),
            ("now/w", false, "2026-11-16T00:00:00.000Z"),
            ("2026-11-22||+1M/M", false, "2026-12-01T00:00:00.000Z"),
            ("2026-11-22", false, "2026-11-22T00:00:00.000Z"),
            ("2026-11-22", true, "2026-11-22T23:59:59.999Z"),
            ("2026", true, "2026-12-31T23:59:59.999Z"),
            ("2026-11-22T05:06", true, "2026-11-22T05:06:59.999Z"),
            ("2026-11-22T05:06:07.5Z", false, "2026-11-22T05:06:07.500Z"),
            ("2026-11-22T05:06:07+02:00", false, "2026-11-22T03:06:07.000Z"),
            ("1795377600123", false, "2026-11-22T20:00:00.123Z"),
        ];
        for (text, up, expected) in table {
            assert_eq!(utc(text, up), expected, "{text}");
        }
        for wrong in ["yesterday", "2026-13-01", "now-1x", "2026-11-22T99:00:00", "now/", "now-999999999999y"]
        {
            assert!(parse(wrong, DEFAULT_FORMAT, &TimeZone::UTC, NOW, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn buckets_follow_the_calendar_and_the_zone() {
        let berlin = zone("Europe/Berlin").unwrap();
        let day = Rounding { interval: Interval::Calendar('d'), zone: berlin, offset: 0 };
        // The day on which clocks go forward is 23 hours long.
        let (start, end) =
            day.bucket(parse("2026-03-29T12:00:00Z", DEFAULT_FORMAT, &TimeZone::UTC, 0, false).unwrap());
        assert_eq!(
            (crate::store::time(start).as_str(), end - start),
            ("2026-03-28T23:00:00.000Z", 23 * 3_600_000)
        );
        let fixed = Rounding { interval: Interval::Fixed(60_000), zone: TimeZone::UTC, offset: 5000 };
        assert_eq!(fixed.bucket(64_999), (5000, 65_000));
        assert_eq!(fixed.bucket(65_000), (65_000, 125_000));
        assert_eq!(fixed.bucket(-1), (-55_000, 5000));
    }

    #[test]
    fn patterns_read_and_write() {
        let millis = parse("22/11/2026 20:00", "dd/MM/yyyy HH:mm", &TimeZone::UTC, 0, false).unwrap();
        assert_eq!(format(millis, "yyyy-MM-dd'T'HH:mm", &TimeZone::UTC), "2026-11-22T20:00");
        assert_eq!(format(millis, "epoch_second", &TimeZone::UTC), (millis / 1000).to_string());
    }
}
