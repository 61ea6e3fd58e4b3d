//! How fast old records go to a node while clients write new ones.
//!
//! - While new records pass through this node, to or from another, the bulk lane to a node carries
//!   [`PEER_BULK_BYTES_PER_SECOND`], or twice what the live lane carries there if that is more: so it catches up
//!   whatever is written meanwhile, and who writes does not wait for disks that are busy with old records.
//! - While nobody writes, it is as fast as the link and the disks are.

use crate::limits::{PEER_BULK_BYTES_PER_SECOND, PEER_BUSY_FOR, PEER_PACE_EVERY};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of new records, counted from the start.
#[derive(Debug, Default)]
pub(super) struct Meter(AtomicU64);

impl Meter {
    pub(super) fn add(&self, bytes: usize) {
        // An idle group's messages have none, and are many.
        if bytes > 0 {
            self.0.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// New records that passed until a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    /// Through this node.
    pub(super) here: u64,
    /// To the node that catches up.
    pub(super) there: u64,
}

/// See the module's documentation. Times are since a moment that stays the same.
#[derive(Debug)]
pub(super) struct Pacer {
    looked: Duration,
    passed: Passed,
    busy_until: Duration,
    /// Bytes per second while it is busy.
    rate: u64,
}

impl Pacer {
    pub(super) fn new(now: Duration, passed: Passed) -> Self {
        Self {
            looked: now,
            passed,
            busy_until: now,
            rate: PEER_BULK_BYTES_PER_SECOND,
        }
    }

    /// How long to wait after so many bytes of old records.
    pub(super) fn pause(&mut self, sent: usize, now: Duration, passed: Passed) -> Duration {
        let since = now.saturating_sub(self.looked);
        if since >= PEER_PACE_EVERY {
            if passed.here > self.passed.here {
                self.busy_until = now + PEER_BUSY_FOR;
            }
            let new = u128::from(passed.there - self.passed.there);
            let live = new * 1_000_000 / since.as_micros();
            let live = u64::try_from(live).unwrap_or(u64::MAX);
            self.rate = live.saturating_mul(2).max(PEER_BULK_BYTES_PER_SECOND);
            (self.looked, self.passed) = (now, passed);
        }
        if now < self.busy_until {
            Duration::from_micros(sent as u64 * 1_000_000 / self.rate)
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn passed(here: u64, there: u64) -> Passed {
        Passed { here, there }
    }

    #[test]
    fn old_records_wait_only_while_there_are_new_ones() {
        let at = |looks: u32| PEER_PACE_EVERY * looks;
        let mut pacer = Pacer::new(at(0), passed(7, 7));
        assert_eq!(pacer.pause(MIB, at(1), passed(7, 7)), Duration::ZERO);
        // New ones, of any node.
        let pause = pacer.pause(MIB, at(2), passed(8, 7));
        let gentle = Duration::from_micros(MIB as u64 * 1_000_000 / PEER_BULK_BYTES_PER_SECOND);
        assert_eq!(pause, gentle);
        let later = at(2) + PEER_BUSY_FOR - PEER_PACE_EVERY / 2;
        assert_eq!(pacer.pause(MIB, later, passed(8, 7)), gentle);
        let later = at(2) + PEER_BUSY_FOR;
        assert_eq!(pacer.pause(MIB, later, passed(8, 7)), Duration::ZERO);
    }

    #[test]
    fn a_node_that_gets_many_new_records_gets_old_ones_twice_as_fast() {
        let at = |looks: u32| PEER_PACE_EVERY * looks;
        let mut pacer = Pacer::new(at(0), passed(0, 0));
        let looks_per_second = 1_000_000 / u64::try_from(PEER_PACE_EVERY.as_micros()).unwrap();
        let new = 10 * PEER_BULK_BYTES_PER_SECOND / looks_per_second;
        let pause = pacer.pause(MIB, at(1), passed(new, new));
        let bytes_per_second = MIB as u128 * 1_000_000 / pause.as_micros();
        let want = u128::from(20 * PEER_BULK_BYTES_PER_SECOND);
        assert!(
            bytes_per_second.abs_diff(want) < want / 100,
            "{bytes_per_second}"
        );
    }
}
