//! How fast old records go to a node while clients write new ones.
//!
//! - While new records pass through this node, to or from any other, its bulk lane to a node carries
//!   [`PEER_BULK_BYTES_PER_SECOND`], or twice as much as passes if that is more: so who catches up gets there
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

/// See the module's documentation. Times are since a moment that stays the same.
#[derive(Debug)]
pub(super) struct Pacer {
    looked: Duration,
    /// Bytes of new records that had passed by then.
    passed: u64,
    busy_until: Duration,
    /// Bytes per second while it is busy.
    rate: u64,
}

impl Pacer {
    pub(super) fn new(now: Duration, passed: u64) -> Self {
        Self {
            looked: now,
            passed,
            busy_until: now,
            rate: PEER_BULK_BYTES_PER_SECOND,
        }
    }

    /// How long to wait after so many bytes of old records.
    pub(super) fn pause(&mut self, sent: usize, now: Duration, passed: u64) -> Duration {
        let since = now.saturating_sub(self.looked);
        if since >= PEER_PACE_EVERY {
            let new = passed - self.passed;
            if new > 0 {
                self.busy_until = now + PEER_BUSY_FOR;
            }
            let live = u128::from(new) * 1_000_000 / since.as_micros();
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

    #[test]
    fn old_records_wait_only_while_there_are_new_ones() {
        let at = |looks: u32| PEER_PACE_EVERY * looks;
        let mut pacer = Pacer::new(at(0), 7);
        assert_eq!(pacer.pause(MIB, at(1), 7), Duration::ZERO);
        // New ones, to or from any node.
        let pause = pacer.pause(MIB, at(2), 8);
        let gentle = Duration::from_micros(MIB as u64 * 1_000_000 / PEER_BULK_BYTES_PER_SECOND);
        assert_eq!(pause, gentle);
        let later = at(2) + PEER_BUSY_FOR - PEER_PACE_EVERY / 2;
        assert_eq!(pacer.pause(MIB, later, 8), gentle);
        let later = at(2) + PEER_BUSY_FOR;
        assert_eq!(pacer.pause(MIB, later, 8), Duration::ZERO);
    }

    #[test]
    fn old_records_are_twice_as_fast_as_many_new_ones() {
        let at = |looks: u32| PEER_PACE_EVERY * looks;
        let mut pacer = Pacer::new(at(0), 0);
        let looks_per_second = 1_000_000 / u64::try_from(PEER_PACE_EVERY.as_micros()).unwrap();
        let new = 10 * PEER_BULK_BYTES_PER_SECOND / looks_per_second;
        let pause = pacer.pause(MIB, at(1), new);
        let bytes_per_second = MIB as u128 * 1_000_000 / pause.as_micros();
        let want = u128::from(20 * PEER_BULK_BYTES_PER_SECOND);
        assert!(
            bytes_per_second.abs_diff(want) < want / 100,
            "{bytes_per_second}"
        );
    }
}
