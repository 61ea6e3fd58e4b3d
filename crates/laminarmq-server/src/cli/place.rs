//! A place in a partition, as `consume -o`, `group seek --to` and `topic trim --to` take it.
//!
//! | typed | is at | |
//! |---|---|---|
//! | `start` | the first record | |
//! | `end` | what comes next | |
//! | `N` | offset N | clamped to what is there |
//! | `+N` | N offsets after the start | |
//! | `-N` | N offsets before the end | |
//! | `@TIME` | the first record that is not older | the end where all are older; see [`time`] |
//!
//! Each is resolved for every partition by itself. `end` is always exclusive.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use super::time;
use crate::client::{Client, ClientError};
use crate::clock;

/// A place in a partition, before its bounds are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Start,
    End,
    At(i64),
    AfterStart(i64),
    BeforeEnd(i64),
    /// Milliseconds since 1970.
    Time(i64),
}

/// The first readable offset and the first that is not (yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// The first offset that is not older than a time, by that time; `None`: all are older.
pub(super) type OffsetsByTime = BTreeMap<i64, Option<i64>>;

impl Place {
    /// The time that has to be looked up before this can be resolved.
    pub(super) fn time(self) -> Option<i64> {
        match self {
            Self::Time(time) => Some(time),
            _ => None,
        }
    }

    /// The offset in a partition with these bounds; `found` holds what was looked up for
    /// [`Self::time`].
    pub(super) fn resolve(self, bounds: Bounds, found: &OffsetsByTime) -> i64 {
        let Bounds { start, end } = bounds;
        let offset = match self {
            Self::Start => start,
            Self::End => end,
            Self::At(offset) => offset,
            Self::AfterStart(count) => start.saturating_add(count),
            Self::BeforeEnd(count) => end.saturating_sub(count),
            Self::Time(time) => found.get(&time).copied().flatten().unwrap_or(end),
        };
        offset.clamp(start, end.max(start))
    }

    /// The offset that was asked for by its number, where that is not the one that was `resolved`.
    pub(super) fn outside(self, resolved: i64) -> Option<i64> {
        match self {
            Self::At(asked) if asked != resolved => Some(asked),
            _ => None,
        }
    }
}

/// The bounds of partitions, and what has to be looked up in them for `places`.
pub(super) async fn look_up(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    places: impl IntoIterator<Item = Place>,
) -> Result<BTreeMap<i32, (Bounds, OffsetsByTime)>, ClientError> {
    let bounds = client.bounds(topic, partitions).await?;
    let mut known: BTreeMap<_, _> = bounds
        .into_iter()
        .map(|(partition, (start, end))| (partition, (Bounds { start, end }, OffsetsByTime::new())))
        .collect();
    for time in places.into_iter().filter_map(Place::time) {
        let offsets = client.offsets_at(topic, partitions, time).await?;
        for (partition, (_, found)) in &mut known {
            found.insert(time, offsets.get(partition).copied().flatten());
        }
    }
    Ok(known)
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
                format!("`{text}` is not an offset (want start, end, N, +N, -N or @TIME)")
            })
        };
        match text {
            "start" | "beginning" => return Ok(Self::Start),
            "end" => return Ok(Self::End),
            _ => {}
        }
        if let Some(count) = text.strip_prefix('+') {
            return number(count).map(Self::AfterStart);
        }
        if let Some(count) = text.strip_prefix('-') {
            return number(count).map(Self::BeforeEnd);
        }
        match text.strip_prefix('@') {
            Some(text) => time::parse(text, clock::wall_ms()).map(Self::Time),
            None => number(text).map(Self::At),
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

    fn resolve(text: &str) -> (i64, Option<i64>) {
        let place: Place = text.parse().expect(text);
        let found = OffsetsByTime::from([(5000, Some(13)), (9000, None)]);
        let offset = place.resolve(BOUNDS, &found);
        (offset, place.outside(offset))
    }

    #[test]
    fn each_place_in_a_partition() {
        for (text, offset) in [
            ("start", 10),
            ("beginning", 10),
            ("end", 20),
            ("15", 15),
            ("+3", 13),
            ("-3", 17),
            ("+0", 10),
            ("-0", 20),
            ("@5", 13),
            ("@9", 20),
        ] {
            assert_eq!(resolve(text), (offset, None), "{text}");
        }
    }

    #[test]
    fn places_outside_are_clamped_and_only_absolute_ones_are_told() {
        assert_eq!(resolve("3"), (10, Some(3)));
        assert_eq!(resolve("99"), (20, Some(99)));
        assert_eq!(resolve("20"), (20, None));
        assert_eq!(resolve("+99"), (20, None));
        assert_eq!(resolve("-99"), (10, None));
        assert_eq!(resolve("-9223372036854775807"), (10, None));
    }

    #[test]
    fn an_empty_partition_has_one_place() {
        let empty = Bounds { start: 7, end: 7 };
        for text in ["start", "end", "0", "+5", "-5", "@5"] {
            let place: Place = text.parse().expect(text);
            assert_eq!(place.resolve(empty, &OffsetsByTime::new()), 7, "{text}");
        }
        assert_eq!(empty.to_string(), "no records (next offset 7)");
        assert_eq!(BOUNDS.to_string(), "offsets 10 to 19");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in ["", "begin", "--5", "+-5", "-+5", "++5", "1.5", "@", "@x"] {
            assert!(text.parse::<Place>().is_err(), "{text:?} was accepted");
        }
    }
}
