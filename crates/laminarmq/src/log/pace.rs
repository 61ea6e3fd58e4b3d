//! When to sync without being asked, and when to write blocks ahead.

use super::{FlushPolicy, Log};
use crate::env::{LogFile, SegmentEnv};
use crate::error::AppendError;
use crate::limits::{
    WRITE_AHEAD_AFTER_SYNCS, WRITE_AHEAD_BELOW_BYTES, WRITE_AHEAD_PIECE, WRITE_AHEAD_STEP_MAX,
    WRITE_AHEAD_STEP_MIN, WRITE_AHEAD_SYNCS,
};
use crate::segment::Segment;

/// What was appended since the last sync began, and how that went before.
#[derive(Debug, Default)]
pub(super) struct Pace {
    records: u64,
    bytes: u64,
    /// By the environment's clock.
    synced_ms: i64,
    /// Syncs in a row before which little was appended.
    small_syncs: u32,
    /// Bytes that were appended before the last sync.
    sync_bytes: u64,
}

impl Pace {
    pub(super) fn starting(now_ms: i64) -> Self {
        Self {
            synced_ms: now_ms,
            ..Self::default()
        }
    }

    pub(super) fn appended(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
    }

    /// A sync of everything begins.
    pub(super) fn syncing(&mut self, now_ms: i64) {
        let is_small = self.bytes < WRITE_AHEAD_BELOW_BYTES;
        self.small_syncs = if is_small {
            self.small_syncs.saturating_add(1)
        } else {
            0
        };
        self.sync_bytes = self.bytes;
        (self.records, self.bytes, self.synced_ms) = (0, 0, now_ms);
    }

    fn is_due(&self, policy: FlushPolicy, now_ms: impl FnOnce() -> i64) -> bool {
        let FlushPolicy::Every { records, bytes, ms } = policy else {
            return false;
        };
        let reached = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        reached(records, self.records)
            || reached(bytes, self.bytes)
            || ms.is_some_and(|ms| {
                let passed = now_ms().saturating_sub(self.synced_ms);
                u64::try_from(passed).is_ok_and(|passed| passed >= ms)
            })
    }
}

/// Up to where a store is written ahead that will have `aim` bytes, with so many appended before each sync: a part of
/// its length, so that little is written in vain in short ones, but enough for some syncs; in whole pieces.
fn ahead_of(aim: u64, sync_bytes: u64) -> u64 {
    let some_syncs = sync_bytes.saturating_mul(WRITE_AHEAD_SYNCS);
    let step = (some_syncs.max(aim / 8)).clamp(WRITE_AHEAD_STEP_MIN, WRITE_AHEAD_STEP_MAX);
    let end = aim + step;
    end - end % WRITE_AHEAD_PIECE as u64
}

impl<E: SegmentEnv> Log<E> {
    /// Whether the options say that it is time to sync.
    pub(super) fn is_flush_due(&self) -> bool {
        self.pace.is_due(self.options.flush, || self.env.now_ms())
    }

    /// Syncs because it is time.
    pub(super) async fn flush(&mut self) -> Result<(), AppendError> {
        match self.sync().await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.poisoned.expect("a failed sync stops the log").into()),
        }
    }

    /// Whether to make room in the write segment for an append that ends at `aim`: where that pays, because
    /// small syncs come one after the other, or the storage says so; never in memory, which has nothing to overwrite.
    #[inline]
    pub(super) fn is_write_ahead_due(&self, segment: &Segment<E::File>, aim: u64) -> bool {
        let store = &segment.files.store;
        self.options.write_ahead
            && !E::File::IN_MEMORY
            && (self.pace.small_syncs >= WRITE_AHEAD_AFTER_SYNCS || store.wants_room())
            && store.reserved() < aim
    }

    /// Makes that room. A failure costs speed only.
    pub(super) async fn write_ahead(&mut self, aim: u64) {
        // Behind the size at which the segment is rolled, nothing will be overwritten.
        let ahead = ahead_of(aim, self.pace.sync_bytes);
        let end = ahead.min(self.options.segment_bytes.max(aim));
        let store = &mut self.write_segment_mut().files.store;
        if let Err(error) = store.reserve(end).await {
            tracing::debug!(%error, "blocks were not written ahead");
            self.pace.small_syncs = 0; // a while without further tries
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_due_at_the_first_of_its_limits() {
        let mut pace = Pace::starting(1000);
        let policy = FlushPolicy::Every {
            records: Some(10),
            bytes: Some(500),
            ms: Some(50),
        };
        pace.appended(9, 499);
        assert!(!pace.is_due(policy, || 1049));
        assert!(pace.is_due(policy, || 1050));
        assert!(!pace.is_due(FlushPolicy::OnRequest, || i64::MAX));
        assert!(
            !pace.is_due(policy, || i64::MIN),
            "a clock that was set back"
        );
        pace.appended(1, 0);
        assert!(pace.is_due(policy, || 1000));
        pace.syncing(1001);
        assert!(!pace.is_due(policy, || 1050));
        pace.appended(1, 500);
        assert!(pace.is_due(policy, || 1001));
    }

    #[test]
    fn only_small_syncs_in_a_row_count() {
        let mut pace = Pace::default();
        for _ in 0..WRITE_AHEAD_AFTER_SYNCS {
            pace.appended(1, 10);
            pace.syncing(0);
        }
        assert_eq!(pace.small_syncs, WRITE_AHEAD_AFTER_SYNCS);
        pace.appended(1, WRITE_AHEAD_BELOW_BYTES);
        pace.syncing(0);
        assert_eq!(pace.small_syncs, 0);
    }

    #[test]
    fn steps_grow_with_the_store() {
        assert_eq!(ahead_of(0, 10), WRITE_AHEAD_STEP_MIN);
        assert_eq!(ahead_of(4 << 20, 10), (4 << 20) + (512 << 10));
        assert_eq!(ahead_of(1 << 40, 10), (1 << 40) + WRITE_AHEAD_STEP_MAX);
    }

    #[test]
    fn steps_grow_with_what_is_synced() {
        assert_eq!(ahead_of(0, 4096), 4096 * WRITE_AHEAD_SYNCS);
        assert_eq!(ahead_of(4 << 20, 4000), (4 << 20) + (512 << 10));
        assert_eq!(ahead_of(0, u64::MAX), WRITE_AHEAD_STEP_MAX);
        let mut pace = Pace::default();
        pace.appended(2, 300);
        pace.syncing(0);
        pace.appended(1, 10);
        assert_eq!(pace.sync_bytes, 300);
    }

    #[test]
    fn a_step_ends_with_a_whole_piece_behind_what_is_wanted() {
        for aim in (0..300_000).step_by(997) {
            let end = ahead_of(aim, 10);
            assert!(end.is_multiple_of(WRITE_AHEAD_PIECE as u64), "{aim}");
            let step = aim..=aim + WRITE_AHEAD_STEP_MIN;
            assert!(step.contains(&end), "{aim} to {end}");
        }
    }
}
