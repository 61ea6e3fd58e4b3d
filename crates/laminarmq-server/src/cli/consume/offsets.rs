//! The `-o` offsets of `consume`.
//!
//! | typed | starts at | |
//! |---|---|---|
//! | `start` | the first record | |
//! | `end` | what comes next | |
//! | `N` | offset N | clamped to what is there |
//! | `+N` | N offsets after the start | |
//! | `-N` | N offsets before the end | |
//! | `FROM:TO` | FROM, and stops before TO | `TO` is N, +N or `end` |
//!
//! Each is resolved for every partition by itself. `end` is always exclusive.

use std::fmt::{self, Display};
use std::str::FromStr;

/// A place in a partition, before its bounds are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    End,
    At(i64),
    AfterStart(i64),
    BeforeEnd(i64),
}

/// Where to start, and where to stop if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetSpec {
    from: Place,
    to: Option<Place>,
}

/// The first readable offset and the first that is not (yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// A resolved range of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    /// Exclusive; `None`: follow for ever.
    pub(crate) to: Option<i64>,
    /// The offset that was asked for, where the partition does not hold it.
    pub(crate) outside: Option<i64>,
}

impl OffsetSpec {
    /// The range in a partition with these bounds. `stop_at_end` ends an open range at the end that
    /// is there now.
    pub(crate) fn resolve(self, bounds: Bounds, stop_at_end: bool) -> Span {
        let from = self.from.resolve(bounds);
        let to = match self.to {
            Some(place) => Some(place.resolve(bounds).max(from)),
            None if stop_at_end => Some(bounds.end),
            None => None,
        };
        let outside = match self.from {
            Place::At(asked) if asked != from => Some(asked),
            _ => None,
        };
        Span { from, to, outside }
    }
}

impl Place {
    fn resolve(self, bounds: Bounds) -> i64 {
        let Bounds { start, end } = bounds;
        let offset = match self {
            Self::Start => start,
            Self::End => end,
            Self::At(offset) => offset,
            Self::AfterStart(count) => start.saturating_add(count),
            Self::BeforeEnd(count) => end.saturating_sub(count),
        };
        offset.clamp(start, end.max(start))
    }
}

impl FromStr for OffsetSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = match text.split_once(':') {
            Some((from, to)) => (from, Some(to)),
            None => (text, None),
        };
        // `:TO` reads from the start, as in a slice.
        let from = match from {
            "" if to.is_some() => Place::Start,
            from => from.parse()?,
        };
        let to = match to.map(str::parse).transpose()? {
            Some(Place::Start) => return Err(String::from("a range cannot end at `start`")),
            to => to,
        };
        if let (Place::At(from), Some(Place::At(to))) = (from, to)
            && to < from
        {
            return Err(format!(
                "the range ends at {to}, before its start at {from}"
            ));
        }
        Ok(Self { from, to })
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| -> Result<i64, String> {
            // A second sign is no number; `parse` alone would take it.
            let number = digits
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| digits.parse());
            number.and_then(Result::ok).ok_or_else(|| {
                format!("`{text}` is not an offset (want start, end, N, +N, -N or FROM:TO)")
            })
        };
        match text {
            "start" | "beginning" => Ok(Self::Start),
            "end" => Ok(Self::End),
            _ => match (text.strip_prefix('+'), text.strip_prefix('-')) {
                (Some(count), _) => number(count).map(Self::AfterStart),
                (_, Some(count)) => number(count).map(Self::BeforeEnd),
                _ => number(text).map(Self::At),
            },
        }
    }
}

impl Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start >= self.end {
            write!(f, "no records (next offset {})", self.end)
        } else {
            write!(f, "offsets {} to {}", self.start, self.end - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { start: 10, end: 20 };

    fn resolve(text: &str, stop_at_end: bool) -> (i64, Option<i64>) {
        let spec: OffsetSpec = text.parse().expect(text);
        let span = spec.resolve(BOUNDS, stop_at_end);
        (span.from, span.to)
    }

    #[test]
    fn each_place_in_a_partition() {
        for (text, from) in [
            ("start", 10),
            ("beginning", 10),
            ("end", 20),
            ("15", 15),
            ("+3", 13),
            ("-3", 17),
            ("+0", 10),
            ("-0", 20),
        ] {
            assert_eq!(resolve(text, false), (from, None), "{text}");
            assert_eq!(resolve(text, true), (from, Some(20)), "{text}");
        }
    }

    #[test]
    fn places_outside_are_clamped_and_only_absolute_ones_are_told() {
        let span = |text: &str| {
            text.parse::<OffsetSpec>()
                .expect(text)
                .resolve(BOUNDS, false)
        };
        assert_eq!((span("3").from, span("3").outside), (10, Some(3)));
        assert_eq!((span("99").from, span("99").outside), (20, Some(99)));
        assert_eq!((span("20").from, span("20").outside), (20, None));
        assert_eq!((span("+99").from, span("+99").outside), (20, None));
        assert_eq!((span("-99").from, span("-99").outside), (10, None));
        assert_eq!(span("-9223372036854775807").from, 10);
    }

    #[test]
    fn ranges_end_before_their_second_half() {
        assert_eq!(resolve("12:14", false), (12, Some(14)));
        assert_eq!(resolve(":12", false), (10, Some(12)));
        assert_eq!(resolve("start:+2", false), (10, Some(12)));
        assert_eq!(resolve("-5:end", false), (15, Some(20)));
        assert_eq!(resolve("15:99", false), (15, Some(20)));
        // Nothing to read rather than a range that runs backwards.
        assert_eq!(resolve("end:12", false), (20, Some(20)));
    }

    #[test]
    fn an_empty_partition_has_one_place() {
        let empty = Bounds { start: 7, end: 7 };
        for text in ["start", "end", "0", "+5", "-5"] {
            let spec: OffsetSpec = text.parse().expect(text);
            assert_eq!(spec.resolve(empty, true).from, 7, "{text}");
        }
        assert_eq!(empty.to_string(), "no records (next offset 7)");
        assert_eq!(BOUNDS.to_string(), "offsets 10 to 19");
    }

    #[test]
    fn what_is_no_offset_is_refused() {
        for text in [
            "",
            "begin",
            "--5",
            "+-5",
            "-+5",
            "++5",
            "1.5",
            "5:",
            "5:start",
            "9:5",
            "1:2:3",
            "99999999999999999999",
        ] {
            assert!(text.parse::<OffsetSpec>().is_err(), "{text:?} was accepted");
        }
    }
}
