//! Which batch is next, and when it is due.
//!
//! Producers share one row of batches, numbered from 0. At a fixed rate batch `n` is due at
//! `start + n * batch / rate`, whatever happened to the batches before it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Goal;

/// A batch that one producer has taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// Number of its first record.
    pub(super) first_record: u64,
    /// When it is due; `None`: at once.
    pub(super) due: Option<Instant>,
}

/// The row of batches.
#[derive(Debug)]
pub(super) struct Schedule {
    start: Instant,
    batch_records: u64,
    rate: Option<u64>,
    /// `None`: as many as fit into the time.
    batches: Option<u64>,
    deadline: Option<Instant>,
    next: AtomicU64,
}

impl Schedule {
    pub(super) fn new(start: Instant, batch_records: u32, goal: Goal, rate: Option<u64>) -> Self {
        let batch_records = u64::from(batch_records);
        let (batches, deadline) = match goal {
            Goal::Records(records) => (Some(records.div_ceil(batch_records)), None),
            Goal::Duration(duration) => (None, Some(start + duration)),
        };
        Self {
            start,
            batch_records,
            rate,
            batches,
            deadline,
            next: AtomicU64::new(0),
        }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// The next batch; `None`: there are no more.
    pub(super) fn claim(&self, now: Instant) -> Option<Claim> {
        if self.rate.is_none() && self.deadline.is_some_and(|deadline| now >= deadline) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = self.rate.map(|rate| self.due(number, rate));
        let late = match (due, self.deadline) {
            (Some(due), Some(deadline)) => due >= deadline,
            _ => false,
        };
        if late || self.batches.is_some_and(|batches| number >= batches) {
            return None;
        }
        Some(Claim {
            first_record: number * self.batch_records,
            due,
        })
    }

    fn due(&self, number: u64, rate: u64) -> Instant {
        let records = u128::from(number) * u128::from(self.batch_records);
        let nanos = records * 1_000_000_000 / u128::from(rate);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn claims(schedule: &Schedule, now: Instant) -> Vec<(u64, Option<u128>)> {
        std::iter::from_fn(|| schedule.claim(now))
            .map(|claim| {
                let due = claim.due.map(|due| (due - schedule.start()).as_millis());
                (claim.first_record, due)
            })
            .collect()
    }

    #[test]
    fn records_end_with_a_whole_batch() {
        let now = clock::now();
        let schedule = Schedule::new(now, 10, Goal::Records(25), None);
        assert_eq!(claims(&schedule, now), [(0, None), (10, None), (20, None)]);
    }

    #[test]
    fn batches_are_due_by_their_number_alone() {
        let start = clock::now();
        let schedule = Schedule::new(start, 10, Goal::Records(40), Some(1000));
        // Long after the start: nothing is skipped or put off.
        let now = start + Duration::from_secs(9);
        let want = [(0, Some(0)), (10, Some(10)), (20, Some(20)), (30, Some(30))];
        assert_eq!(claims(&schedule, now), want);
    }

    #[test]
    fn a_duration_ends_the_row() {
        let start = clock::now();
        let second = Goal::Duration(Duration::from_secs(1));
        let schedule = Schedule::new(start, 500, second, Some(1000));
        assert_eq!(claims(&schedule, start), [(0, Some(0)), (500, Some(500))]);
        let schedule = Schedule::new(start, 500, second, None);
        assert!(schedule.claim(start).is_some());
        assert!(schedule.claim(start + Duration::from_secs(1)).is_none());
    }
}
