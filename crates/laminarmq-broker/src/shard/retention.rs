//! What a partition keeps: whole segments go from the front once they are too old or too many.
//!
//! [`plan`] is pure. Sealed segments go by the library's rules ([`laminarmq::retention`]); the write segment
//! goes only by age, and only after all others, so that a topic to which nobody writes any more gets empty
//! too.

use laminarmq::SegmentInfo;
use laminarmq::retention::{self, Policy};
use laminarmq_replica::{LogIndex, TrimTo};

/// How long a partition keeps what. `None`: for ever, without a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// A segment whose newest record is older goes, in milliseconds.
    pub age_ms: Option<u64>,
    /// A sealed segment goes when those behind it have as many bytes without it.
    pub bytes: Option<u64>,
    /// A write segment that is older than this is closed by the next entry, in milliseconds.
    pub segment_age_ms: Option<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Plan {
    pub(super) trim: Option<TrimTo>,
    /// The next entry begins a segment.
    pub(super) roll: bool,
}

/// Applies the rules to a log's segments, the write segment last. `now_ms` is the time in milliseconds since
/// the Unix epoch.
pub(super) fn plan(segments: &[SegmentInfo], now_ms: i64, rules: &Retention) -> Plan {
    let Some((write, sealed)) = segments.split_last() else {
        return Plan::default();
    };
    let dated: Vec<_> = sealed
        .iter()
        .zip(&segments[1..])
        .map(|(segment, next)| dated(segment, next))
        .chain([*write])
        .collect();
    let policy = Policy {
        max_age_ms: rules.age_ms,
        max_bytes: rules.bytes,
    };
    let plan = retention::plan(&dated, now_ms, &policy);
    let all_sealed = plan.segments == sealed.len();
    let is_older = |since: i64, age: Option<u64>| {
        let is = i128::from(now_ms) - i128::from(since);
        age.is_some_and(|age| is > i128::from(age))
    };
    // Without times nobody can say how old the records of the write segment are.
    let newest = write.max_timestamp.filter(|newest| *newest >= 0);
    let trim = if all_sealed && newest.is_some_and(|newest| is_older(newest, rules.age_ms)) {
        Some(TrimTo::HighWatermark)
    } else {
        (plan.segments > 0).then_some(TrimTo::Index(LogIndex(plan.start_index)))
    };
    let is_empty = write.base_index == write.end_index;
    Plan {
        trim,
        roll: !is_empty && is_older(write.created_ms, rules.segment_age_ms),
    }
}

/// A segment whose records have no times is as young as its last append, about when the next one was made.
fn dated(segment: &SegmentInfo, next: &SegmentInfo) -> SegmentInfo {
    let known = segment.max_timestamp.filter(|newest| *newest >= 0);
    SegmentInfo {
        max_timestamp: Some(known.unwrap_or(next.created_ms)),
        ..*segment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of ten entries and 100 bytes each, made at these times, with these newest records.
    fn segments(of: &[(i64, Option<i64>)]) -> Vec<SegmentInfo> {
        let info = |(number, (created_ms, max_timestamp)): (usize, &(i64, Option<i64>))| {
            let base_index = 1 + number as u64 * 10;
            SegmentInfo {
                base_index,
                end_index: base_index + 10,
                store_bytes: 100,
                created_ms: *created_ms,
                max_timestamp: *max_timestamp,
                is_write: number + 1 == of.len(),
            }
        };
        of.iter().enumerate().map(info).collect()
    }

    fn by_age(of: &[(i64, Option<i64>)], age: u64) -> Option<TrimTo> {
        let rules = Retention {
            age_ms: Some(age),
            ..Retention::default()
        };
        let plan = plan(&segments(of), 1000, &rules);
        assert!(!plan.roll);
        plan.trim
    }

    fn before(index: u64) -> Option<TrimTo> {
        Some(TrimTo::Index(LogIndex(index)))
    }

    const OLD: [(i64, Option<i64>); 3] = [(0, Some(100)), (0, Some(200)), (0, Some(300))];

    #[test]
    fn without_rules_everything_stays() {
        assert_eq!(
            plan(&segments(&OLD), 1000, &Retention::default()),
            Plan::default()
        );
        assert_eq!(plan(&[], 1000, &Retention::default()), Plan::default());
    }

    #[test]
    fn old_segments_go_and_the_write_segment_last() {
        assert_eq!(by_age(&OLD, 900), None);
        assert_eq!(by_age(&OLD, 899), before(11));
        assert_eq!(by_age(&OLD, 799), before(21));
        assert_eq!(by_age(&OLD, 700), before(21));
        assert_eq!(by_age(&OLD, 699), Some(TrimTo::HighWatermark));
        // One that is young keeps what stands behind it.
        let young = [(0, Some(100)), (0, Some(950)), (0, Some(100))];
        assert_eq!(by_age(&young, 100), before(11));
        assert_eq!(by_age(&[(0, Some(100))], 100), Some(TrimTo::HighWatermark));
    }

    #[test]
    fn records_without_times_are_as_old_as_their_segment() {
        let none = [(0, Some(-1)), (500, None), (700, Some(-1))];
        assert_eq!(by_age(&none, 500), None);
        assert_eq!(by_age(&none, 499), before(11));
        assert_eq!(by_age(&none, 299), before(21));
        assert_eq!(by_age(&none, 0), before(21), "not the write segment");
    }

    #[test]
    fn the_newest_bytes_stay() {
        let by_bytes = |bytes| {
            let rules = Retention {
                bytes: Some(bytes),
                ..Retention::default()
            };
            plan(&segments(&OLD), 1000, &rules).trim
        };
        assert_eq!(by_bytes(201), None);
        assert_eq!(by_bytes(200), before(11));
        assert_eq!(by_bytes(100), before(21));
        assert_eq!(by_bytes(0), before(21));
    }

    #[test]
    fn an_old_write_segment_with_something_in_it_is_closed() {
        let rules = Retention {
            segment_age_ms: Some(100),
            ..Retention::default()
        };
        let roll = |segments: &[SegmentInfo], now| plan(segments, now, &rules).roll;
        let mut made_at_500 = segments(&[(0, None), (500, None)]);
        assert!(!roll(&made_at_500, 600));
        assert!(roll(&made_at_500, 601));
        made_at_500[1].end_index = made_at_500[1].base_index;
        assert!(!roll(&made_at_500, 601));
    }
}
