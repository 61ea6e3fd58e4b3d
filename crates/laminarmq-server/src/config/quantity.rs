//! Sizes and durations with units: `64MiB`, `1g`, `250ms`, `10s`.

use std::time::Duration;

/// Parses a number of bytes: digits and an optional unit (`k`, `KiB`, `m`, `MiB`, `g`, `GiB`, in
/// either case, all powers of 1024).
///
/// # Errors
///
/// A sentence about what is wrong.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = split_unit(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => {
            return Err(format!(
                "`{text}` is not a size (want e.g. 4096, 64KiB, 1GiB)"
            ));
        }
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is not a size (want e.g. 4096, 64KiB, 1GiB)"))?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("`{text}` is too large"))
}

/// Parses a duration: a number and `ms`, `s`, `m` or `h`. A bare number counts seconds.
///
/// # Errors
///
/// A sentence about what is wrong.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split_unit(text);
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is not a duration (want e.g. 250ms, 10s, 2m)"))?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => {
            return Err(format!(
                "`{text}` is not a duration (want e.g. 250ms, 10s, 2m)"
            ));
        }
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is too long"))
}

/// A size in the largest unit that loses nothing, so that it parses back to the same number.
pub(crate) fn exact_bytes(number: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if number != 0 && number.trailing_zeros() >= shift {
            return format!("{}{unit}", number >> shift);
        }
    }
    number.to_string()
}

/// A duration in the largest unit that loses nothing above a millisecond, so that it parses back.
pub(crate) fn exact_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit_millis, unit) in [(60 * 60 * 1000, "h"), (60 * 1000, "m"), (1000, "s")] {
        if millis != 0 && millis.is_multiple_of(unit_millis) {
            return format!("{}{unit}", millis / unit_millis);
        }
    }
    format!("{millis}ms")
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (digits, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_with_and_without_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 64 << 10),
            ("64k", 64 << 10),
            ("1 MiB", 1 << 20),
            ("2g", 2 << 30),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1.5M", "12 parsecs", "99999999999999T"] {
            assert!(parse_bytes(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_shown_size_parses_back() {
        for bytes in [0, 1, 1023, 1024, 1536, 1 << 20, 3 << 30, u64::MAX] {
            assert_eq!(parse_bytes(&exact_bytes(bytes)), Ok(bytes));
        }
        assert_eq!(exact_bytes(64 << 20), "64MiB");
    }

    #[test]
    fn a_shown_duration_parses_back() {
        for millis in [0, 1, 999, 1000, 1500, 60_000, 600_000, 3_600_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&exact_duration(duration)), Ok(duration));
        }
        assert_eq!(exact_duration(Duration::from_secs(600)), "10m");
    }

    #[test]
    fn durations_count_seconds_unless_told() {
        assert_eq!(parse_duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert!(parse_duration("soon").is_err());
        assert!(parse_duration("1.5s").is_err());
    }
}
