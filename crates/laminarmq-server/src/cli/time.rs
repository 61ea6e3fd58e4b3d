//! Points in time as people type them, behind the `@` of an offset.
//!
//! | typed | means |
//! |---|---|
//! | `1700000000` | seconds since 1970 |
//! | `1700000000123` | milliseconds since 1970 |
//! | `2026-11-26` | that day's beginning, UTC |
//! | `2026-11-26T15:04`, `...:05`, `...:05.678` | UTC, unless `Z`, `+01:00` or `-0530` follows |
//! | `-15m` | a quarter of an hour ago (`ms`, `s`, `m`, `h`, `d`) |

use crate::config::quantity;

/// From here on a bare number counts milliseconds: as seconds it lies in the year 5138.
const MILLIS_FROM: i64 = 100_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Milliseconds since 1970; `now` in the same.
pub(super) fn parse(text: &str, now: i64) -> Result<i64, String> {
    let wrong =
        || format!("`@{text}` is not a time (want e.g. @2026-11-26T15:00:00Z, @1700000000, @-15m)");
    if let Some(ago) = text.strip_prefix('-') {
        let (ago, times) = match ago.strip_suffix('d') {
            Some(days) => (format!("{days}h"), 24),
            None => (ago.to_owned(), 1),
        };
        let ago = quantity::parse_duration(&ago).map_err(|_| wrong())?;
        let ago = i64::try_from(ago.as_millis()).map_err(|_| wrong())?;
        return Ok(now.saturating_sub(ago.saturating_mul(times)).max(0));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().map_err(|_| wrong())?;
        let scale = if number < MILLIS_FROM { 1000 } else { 1 };
        return Ok(number * scale);
    }
    calendar(text).filter(|time| *time >= 0).ok_or_else(wrong)
}

fn calendar(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2)?;
    let day = digits(parts.next()?, 2)?;
    if parts.next().is_some() || !(1..=12).contains(&month) {
        return None;
    }
    if !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let (clock, offset) = time.map_or(Some((0, 0)), time_of_day)?;
    Some(days_before(year, month, day) * DAY_MS + clock - offset)
}

/// Milliseconds into the day, and how far the zone is ahead of UTC.
fn time_of_day(text: &str) -> Option<(i64, i64)> {
    let at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(at);
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, millis(fraction)?),
        None => (clock, 0),
    };
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let second = parts.next().map_or(Some(0), |second| digits(second, 2))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let clock = ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    Some((clock, zone_offset(zone)?))
}

fn zone_offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let zone = zone.get(1..)?;
    let (hours, minutes) = match zone.split_once(':') {
        Some(parts) => parts,
        None => (zone.get(..2)?, zone.get(2..)?),
    };
    let minutes = if minutes.is_empty() { "00" } else { minutes };
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 23 && minutes <= 59).then(|| sign * (hours * 60 + minutes) * 60 * 1000)
}

/// Digits behind a second's dot, cut to milliseconds.
fn millis(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{fraction:0<3}");
    padded.get(..3)?.parse().ok()
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let all = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok())?
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to this one.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn every_form_of_a_time() {
        for (text, want) in [
            ("0", 0),
            ("1700000000", 1_700_000_000_000),
            ("1700000000123", 1_700_000_000_123),
            ("1970-01-01", 0),
            ("1970-01-02", DAY_MS),
            ("2000-03-01", 951_868_800_000),
            ("2024-02-29", 1_709_164_800_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14 22:13:20", 1_700_000_000_000),
            ("2023-11-14T22:13:20.5", 1_700_000_000_500),
            ("2023-11-14T22:13:20.1239z", 1_700_000_000_123),
            ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
            ("2023-11-14T16:43:20-0530", 1_700_000_000_000),
            ("2023-11-14T22:13", 1_699_999_980_000),
            ("-15m", NOW - 15 * 60 * 1000),
            ("-250ms", NOW - 250),
            ("-2d", NOW - 2 * DAY_MS),
            ("-999999999h", 0),
        ] {
            assert_eq!(parse(text, NOW), Ok(want), "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = 0;
        for year in 1970..2402 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(
                        days_before(year, month, day),
                        expected,
                        "{year}-{month}-{day}"
                    );
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-",
            "-x",
            "-d",
            "-1hd",
            "yesterday",
            "2026-13-01",
            "2026-02-29",
            "2026-00-10",
            "2026-1-1",
            "1969-12-31",
            "2026-11-26T24:00",
            "2026-11-26T15",
            "2026-11-26T15:00:60",
            "2026-11-26T15:00:00.",
            "2026-11-26T15:00:00+1",
            "2026-11-26T15:00:00+24:00",
            "2026-11-26T15:00é",
            "2026-11-26-01",
            "99999999999999999999",
        ] {
            assert!(parse(text, NOW).is_err(), "{text:?} was accepted");
        }
    }
}
