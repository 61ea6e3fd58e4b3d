//! The `-o` offsets of `consume`: a [`Place`], or `FROM:TO` with two of them, which stops before TO.

use std::str::FromStr;

use crate::cli::place::{Bounds, OffsetsByTime, Place};

/// Where to start, and where to stop if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetSpec {
    from: Place,
    to: Option<Place>,
}

/// A resolved range of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: i64,
    /// Exclusive; `None`: follow for ever.
    pub(super) to: Option<i64>,
    /// The offset that was asked for, where the partition does not hold it.
    pub(super) outside: Option<i64>,
}

impl OffsetSpec {
    /// The range in a partition with these bounds. `stop_at_end` ends an open range at the end that
    /// is there now.
    pub(super) fn resolve(self, bounds: Bounds, found: &OffsetsByTime, stop_at_end: bool) -> Span {
        let from = self.from.resolve(bounds, found);
        let to = match self.to {
            Some(place) => Some(place.resolve(bounds, found).max(from)),
            None if stop_at_end => Some(bounds.end),
            None => None,
        };
        let outside = self.from.outside(from);
        Span { from, to, outside }
    }

    /// The one place of a range without an end.
    pub(super) fn open_place(self) -> Option<Place> {
        self.to.is_none().then_some(self.from)
    }

    pub(super) fn places(self) -> impl Iterator<Item = Place> {
        std::iter::once(self.from).chain(self.to)
    }
}

impl FromStr for OffsetSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A time may hold colons of its own, so it is no matter of the first one.
        let whole = text.parse().map(|from| Self { from, to: None });
        if whole.is_ok() || !text.contains(':') {
            return whole;
        }
        let halves = text
            .match_indices(':')
            .map(|(at, _)| (&text[..at], &text[at + 1..]));
        let mut ranges = halves.filter_map(|(from, to)| {
            // `:TO` reads from the start, as in a slice.
            let from = match from {
                "" => Place::Start,
                from => from.parse().ok()?,
            };
            Some((from, to.parse().ok()?))
        });
        let Some((from, to)) = ranges.next() else {
            return Err(format!(
                "`{text}` is not a range of offsets (want FROM:TO, each start, end, N, +N, -N or @TIME)"
            ));
        };
        let backwards = match (from, to) {
            (_, Place::Start) => return Err(String::from("a range cannot end at `start`")),
            (Place::At(from), Place::At(to)) | (Place::Time(from), Place::Time(to)) => to < from,
            _ => false,
        };
        if backwards {
            return Err(format!("the range `{text}` ends before its start"));
        }
        Ok(Self { from, to: Some(to) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { start: 10, end: 20 };

    fn resolve(text: &str, stop_at_end: bool) -> (i64, Option<i64>) {
        let spec: OffsetSpec = text.parse().expect(text);
        let found =
            OffsetsByTime::from([(0, Some(10)), (54_000_000, Some(13)), (64_800_000, None)]);
        let span = spec.resolve(BOUNDS, &found, stop_at_end);
        (span.from, span.to)
    }

    #[test]
    fn an_open_range_ends_nowhere_or_at_the_end_of_now() {
        for (text, from) in [("start", 10), ("15", 15), ("-3", 17), ("end", 20)] {
            assert_eq!(resolve(text, false), (from, None), "{text}");
            assert_eq!(resolve(text, true), (from, Some(20)), "{text}");
        }
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
    fn times_with_colons_begin_and_end_ranges() {
        assert_eq!(resolve("@1970-01-01T15:00", false), (13, None));
        assert_eq!(resolve("@1970-01-01T15:00:end", false), (13, Some(20)));
        assert_eq!(resolve("start:@1970-01-01T15:00:00", false), (10, Some(13)));
        assert_eq!(
            resolve("@1970-01-01T15:00:00Z:@1970-01-01T18:00", false),
            (13, Some(20))
        );
        assert_eq!(resolve("@0:@54000", false), (10, Some(13)));
    }

    #[test]
    fn what_is_no_offset_is_refused() {
        for text in [
            "",
            "begin",
            "5:",
            "5:start",
            "9:5",
            "@9:@5",
            "1:2:3",
            "99999999999999999999",
        ] {
            assert!(text.parse::<OffsetSpec>().is_err(), "{text:?} was accepted");
        }
    }
}
