//! Which segments are too old or too many: decided purely, then done by [`Log::retain`].
//!
//! ```text
//! whole segments go, from the front, up to the first one that stays; never the write segment
//! nothing younger than max_age_ms goes: a segment is as young as its newest record
//! nothing of the newest max_bytes goes: what is left has at least that many bytes
//! ```
//!
//! ```
//! use laminarmq::retention::{self, Policy};
//! use laminarmq::{Log, LogOptions, MemEnv, SegmentEnv, poll_ready};
//!
//! let mut log = poll_ready(Log::open_with(MemEnv::new(), LogOptions::default()))?;
//! let week = Policy { max_age_ms: Some(7 * 24 * 3600 * 1000), ..Policy::default() };
//! let segments: Vec<_> = log.segments().collect();
//! let plan = retention::plan(&segments, log.env().now_ms(), &week);
//! poll_ready(log.retain(&plan))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::env::SegmentEnv;
use crate::error::TruncateError;
use crate::log::Log;
use crate::record::SegmentInfo;

/// What to keep. By default everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// A segment whose newest record is older than this goes, in milliseconds. Compares the records' own
    /// timestamps with the clock, so it is of no use to logs whose records have none.
    pub max_age_ms: Option<u64>,
    /// A segment goes when those behind it have this many bytes without it.
    pub max_bytes: Option<u64>,
}

/// Which segments go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many segments go, from the front.
    pub segments: usize,
    /// Where the log starts then.
    pub start_index: u64,
    /// Length of their stores in bytes.
    pub bytes: u64,
}

/// Applies a policy to a log's segments, which are given in order of their indices, the write segment last.
/// `now_ms` is the time in milliseconds since the Unix epoch.
#[must_use]
pub fn plan(segments: &[SegmentInfo], now_ms: i64, policy: &Policy) -> Plan {
    let total: u64 = segments.iter().map(|segment| segment.store_bytes).sum();
    let mut plan = Plan {
        segments: 0,
        start_index: segments.first().map_or(0, |first| first.base_index),
        bytes: 0,
    };
    for segment in segments {
        let behind = total - plan.bytes - segment.store_bytes;
        let too_old = policy
            .max_age_ms
            .is_some_and(|max| is_older(segment, now_ms, max));
        let too_many = policy.max_bytes.is_some_and(|max| behind >= max);
        if segment.is_write || !(too_old || too_many) {
            break;
        }
        plan.segments += 1;
        plan.start_index = segment.end_index;
        plan.bytes += segment.store_bytes;
    }
    plan
}

/// Whether the newest record is more than `max_age_ms` before `now_ms`. Without records nothing is lost.
fn is_older(segment: &SegmentInfo, now_ms: i64, max_age_ms: u64) -> bool {
    let age = |newest| i128::from(now_ms) - i128::from(newest);
    segment
        .max_timestamp
        .is_none_or(|newest| age(newest) > i128::from(max_age_ms))
}

impl<E: SegmentEnv> Log<E> {
    /// Drops what a plan says, with [`Log::truncate_prefix`]. Does nothing where the log already starts there.
    ///
    /// # Errors
    ///
    /// As [`Log::truncate_prefix`]; [`TruncateError::OutOfBounds`] where the end was truncated since the plan
    /// was made.
    pub async fn retain(&mut self, plan: &Plan) -> Result<(), TruncateError> {
        self.truncate_prefix(plan.start_index).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of ten records each with these newest timestamps and lengths; the last one is written.
    fn segments(of: &[(Option<i64>, u64)]) -> Vec<SegmentInfo> {
        let info = |(number, (max_timestamp, store_bytes)): (usize, &(Option<i64>, u64))| {
            let base_index = 100 + number as u64 * 10;
            SegmentInfo {
                base_index,
                end_index: base_index + 10,
                store_bytes: *store_bytes,
                created_ms: 1 << 50, // of no importance
                max_timestamp: *max_timestamp,
                is_write: number + 1 == of.len(),
            }
        };
        of.iter().enumerate().map(info).collect()
    }

    fn by_age(of: &[i64], now_ms: i64, max_age_ms: u64) -> usize {
        let of: Vec<_> = of.iter().map(|newest| (Some(*newest), 1000)).collect();
        let policy = Policy {
            max_age_ms: Some(max_age_ms),
            max_bytes: None,
        };
        plan(&segments(&of), now_ms, &policy).segments
    }

    fn by_bytes(of: &[u64], max_bytes: u64) -> usize {
        let of: Vec<_> = of.iter().map(|bytes| (Some(i64::MAX), *bytes)).collect();
        let policy = Policy {
            max_age_ms: None,
            max_bytes: Some(max_bytes),
        };
        plan(&segments(&of), 0, &policy).segments
    }

    #[test]
    fn without_a_limit_everything_stays() {
        let all = segments(&[(Some(0), u64::MAX / 4), (None, 5), (Some(0), 5)]);
        let want = Plan {
            segments: 0,
            start_index: 100,
            bytes: 0,
        };
        assert_eq!(plan(&all, i64::MAX, &Policy::default()), want);
        assert_eq!(plan(&[], 0, &Policy::default()).segments, 0);
    }

    #[test]
    fn a_segment_is_as_young_as_its_newest_record() {
        assert_eq!(by_age(&[10, 20, 30, 40], 60, 40), 1);
        assert_eq!(by_age(&[10, 20, 30, 40], 60, 41), 1);
        assert_eq!(by_age(&[10, 20, 30, 40], 60, 39), 2);
        assert_eq!(by_age(&[10, 20, 30, 40], 60, 50), 0);
        assert_eq!(by_age(&[10], 1000, 0), 0, "never the write segment");
        assert_eq!(by_age(&[10, 20, 30], i64::MAX, 0), 2);
        // One that stays keeps those behind it, and a time in the future is young.
        assert_eq!(by_age(&[10, 900, 10, 10], 500, 40), 1);
        assert_eq!(by_age(&[i64::MIN, i64::MAX, 0], i64::MAX, u64::MAX), 0);
        assert_eq!(by_age(&[i64::MIN, 0], i64::MAX, u64::MAX - 1), 1);
        assert_eq!(by_age(&[0, 0], i64::MIN, 0), 0);
    }

    #[test]
    fn the_newest_bytes_stay() {
        assert_eq!(by_bytes(&[10, 20, 30, 40], 0), 3);
        assert_eq!(by_bytes(&[10, 20, 30, 40], 40), 3);
        assert_eq!(by_bytes(&[10, 20, 30, 40], 41), 2);
        assert_eq!(by_bytes(&[10, 20, 30, 40], 70), 2);
        assert_eq!(by_bytes(&[10, 20, 30, 40], 71), 1);
        assert_eq!(by_bytes(&[10, 20, 30, 40], 91), 0);
        assert_eq!(by_bytes(&[10, 20, 30, 40], u64::MAX), 0);
    }

    #[test]
    fn either_limit_is_enough() {
        let all = segments(&[
            (Some(10), 50),
            (Some(90), 50),
            (Some(95), 50),
            (Some(99), 50),
        ]);
        let policy = Policy {
            max_age_ms: Some(80),
            max_bytes: Some(100),
        };
        let want = Plan {
            segments: 2,
            start_index: 120,
            bytes: 100,
        };
        assert_eq!(plan(&all, 100, &policy), want);
    }
}
