//! Rotating, flushing, cutting, expiring, and giving up a log.

use std::fmt::Debug;
use std::hash::Hasher;
use std::time::Duration;

use num_traits::{CheckedSub, FromPrimitive, ToPrimitive, Unsigned};

use super::segment::SegmentStorageProvider;
use super::{LogError, SegmentedLog, SegmentedLogError};
use crate::common::cache::Cache;
use crate::common::serde_compat::SerializationProvider;
use crate::storage::{AsyncConsume, AsyncTruncate, Storage};

impl<S, M, H, Idx, SERP, SSP, C> SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
where
    S: Storage,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy,
    SERP: SerializationProvider,
    SSP: SegmentStorageProvider<S, Idx>,
    C: Cache<usize, ()>,
    C::Error: Debug,
{
    /// Flushes, turns the write segment into a read segment, and starts a new one at its `highest_index`. A write
    /// segment without records stays what it is.
    ///
    /// # Errors
    ///
    /// What the storage says. The log stops where a flush fails.
    pub async fn rotate_new_write_segment(&mut self) -> Result<(), LogError<S, SERP, C>> {
        self.flush().await?;
        let before = self.read_segment_count();
        self.roll().await?;
        if self.read_segment_count() > before {
            self.keep_index_of(before).await?;
        }
        Ok(())
    }

    /// Starts a new write segment; the caller sees to the cache.
    pub(super) async fn roll(&mut self) -> Result<(), LogError<S, SERP, C>> {
        let rolled = self.log.roll().await;
        rolled.map_err(|error| SegmentedLogError::of_storage(&error, self.aside()))
    }

    /// Returns once everything that was appended survives a power cut.
    ///
    /// # Errors
    ///
    /// What the storage says. The log stops then: every later change gets [`SegmentedLogError::WriteSegmentLost`].
    pub async fn flush(&mut self) -> Result<(), LogError<S, SERP, C>> {
        let synced = self.log.sync().await;
        synced.map_err(|error| SegmentedLogError::of_sync(&error, self.aside()))
    }

    /// Removes those segments from the front that were created at least `expiry_duration` ago, the write segment among
    /// them unless it is empty and younger; durably. Returns how many records that were. `highest_index` stays: where
    /// all segments go, a new write segment starts there.
    ///
    /// # Errors
    ///
    /// What the storage says. The log stops then.
    pub async fn remove_expired_segments(
        &mut self,
        expiry_duration: Duration,
    ) -> Result<Idx, LogError<S, SERP, C>> {
        let now = self.log.now_ms();
        let expired = self
            .segments()
            .take_while(|segment| segment.age(now) >= expiry_duration)
            .count();
        if expired == 0 {
            return Ok(Idx::zero());
        }
        let (start, end) = (self.log.start_index(), self.log.end_index());
        let failed = |error, log: &Self| SegmentedLogError::of_truncate(error, log.aside());
        let next = self.log.all_segments().get(expired);
        let kept_from = next.map_or(end, |segment| segment.base());
        let is_all = next.is_none();
        let mut gone = expired;
        if is_all && self.write_segment().count == 0 {
            // It stands where the new one would.
            gone -= 1;
            let renewed = self.log.renew_write_segment().await;
            renewed.map_err(|error| failed(error, self))?;
        } else if is_all {
            self.roll().await?;
        }
        let truncated = self.log.truncate_prefix(kept_from).await;
        truncated.map_err(|error| failed(error, self))?;
        self.drop_indexes(0..gone)?;
        self.removed += gone;
        Idx::from_u64(kept_from.saturating_sub(start)).ok_or_else(SegmentedLogError::index_type)
    }
}

impl<S, M, H, Idx, SERP, SSP, C> AsyncTruncate for SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
where
    S: Storage,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy,
    SERP: SerializationProvider,
    SSP: SegmentStorageProvider<S, Idx>,
    C: Cache<usize, ()>,
    C::Error: Debug,
{
    type TruncError = LogError<S, SERP, C>;
    type Mark = Idx;

    /// Drops every record from `mark` on. Inside a read segment, that segment stays one, shortened, and a new write
    /// segment starts at `mark`; at its base it goes too. What was durable of the dropped records is gone for good when
    /// this returns; the rest may come back after a power cut until the next flush.
    ///
    /// # Errors
    ///
    /// [`SegmentedLogError::IndexOutOfBounds`] outside `[lowest_index, highest_index)`; what the storage says, after
    /// which the log may have stopped.
    async fn truncate(&mut self, mark: &Idx) -> Result<(), Self::TruncError> {
        if self.log.poisoned().is_some() {
            return Err(SegmentedLogError::WriteSegmentLost);
        }
        let range = self.log.start_index()..self.log.end_index();
        let from = mark.to_u64().filter(|from| range.contains(from));
        let from = from.ok_or(SegmentedLogError::IndexOutOfBounds)?;
        let place = self.place_of(from);
        let segments = self.log.all_segments();
        let (count, was_read) = (segments.len(), place + 1 < segments.len());
        let at_base = segments[place].base() == from;
        let was_cached = segments[place].is_index_cached();

        let cut = self.log.cut_segment(place, from).await;
        cut.map_err(|error| SegmentedLogError::of_truncate(error, self.aside()))?;
        if at_base {
            let renewed = self.log.renew_write_segment().await;
            renewed.map_err(|error| SegmentedLogError::of_truncate(error, self.aside()))?;
            return self.drop_indexes(place..count);
        }
        self.drop_indexes(place + 1..count)?;
        if was_read {
            self.roll().await?;
            if !was_cached {
                self.log.all_segments_mut()[place].forget_index().await;
            }
        }
        Ok(())
    }
}

impl<S, M, H, Idx, SERP, SSP, C> AsyncConsume for SegmentedLog<S, M, H, Idx, S::Size, SERP, SSP, C>
where
    S: Storage,
    H: Hasher + Default,
    Idx: Unsigned + CheckedSub + FromPrimitive + ToPrimitive + Ord + Copy,
    SERP: SerializationProvider,
    SSP: SegmentStorageProvider<S, Idx>,
    C: Cache<usize, ()>,
    C::Error: Debug,
{
    type ConsumeError = LogError<S, SERP, C>;

    /// Deletes the log with all its storage. Opening it again gives an empty one.
    async fn remove(self) -> Result<(), Self::ConsumeError> {
        let aside = self.aside().clone();
        let removed = self.log.remove().await;
        removed.map_err(|error| SegmentedLogError::of_truncate(error, &aside))
    }

    /// Makes everything durable, and says so in the storage, so that opening it again need not look for damage.
    async fn close(self) -> Result<(), Self::ConsumeError> {
        let aside = self.aside().clone();
        let closed = self.log.close().await;
        closed.map_err(|error| SegmentedLogError::of_sync(&error, &aside))
    }
}
