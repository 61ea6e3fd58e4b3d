//! Cutting the end.
//!
//! The order makes every crash in between harmless:
//!
//! 1. Later segments go, the last one first, each removal synced: there is never a gap between segments.
//! 2. The index is cut too, and synced where it may carry a footer on the media: a footer must never promise
//!    records that the store is about to lose.
//! 3. The store is cut, and synced where durable records were cut: chunks behind the cut prove what was
//!    durable before them, and must not come back beside what is written next.
//!
//! A sealed segment is not cut but replaced ([`SegmentEnv::replace`]): its files may have other names elsewhere.
//!
//! So what a truncation takes from below the durable index is gone for good when it returns. What was
//! above may come back after a crash until the next sync, as if the truncation had not happened.

use std::io;
use std::sync::atomic::Ordering;

use super::Log;
use crate::env::{LogFile, Part, SegmentEnv};
use crate::error::{OutOfBounds, TruncateError};
use crate::segment::{IndexCut, SegmentEnd};

impl<E: SegmentEnv> Log<E> {
    /// Drops every record `>= from`. The segment that holds the record before becomes the write segment
    /// again; call [`Log::roll`] to start a new one at `from` instead.
    ///
    /// # Errors
    ///
    /// [`TruncateError::OutOfBounds`] outside `[start_index, end_index]`. After [`TruncateError::Io`] the
    /// log is poisoned.
    pub async fn truncate_suffix(&mut self, from: u64) -> Result<(), TruncateError> {
        self.begin_change().await?;
        let (start, end) = (self.start_index(), self.end_index());
        if !(start..=end).contains(&from) {
            return Err(OutOfBounds {
                index: from,
                start,
                end,
            }
            .into());
        }
        if from == end {
            return Ok(());
        }
        let target = self
            .segments
            .iter()
            .rposition(|segment| segment.base() < from)
            .unwrap_or(0);
        self.cut(target, from).await
    }

    /// Drops every record `>= from`, which is in the segment number `target` or its end, and makes that the write
    /// segment.
    ///
    /// # Errors
    ///
    /// As [`Log::truncate_suffix`].
    pub(crate) async fn cut_segment(
        &mut self,
        target: usize,
        from: u64,
    ) -> Result<(), TruncateError> {
        self.begin_change().await?;
        self.cut(target, from).await
    }

    /// Makes `target` the write segment, and `from` its end.
    pub(super) async fn cut(&mut self, target: usize, from: u64) -> Result<(), TruncateError> {
        let segment = &self.segments[target];
        assert!(
            (segment.base()..=segment.end()).contains(&from),
            "the cut is in that segment"
        );
        let kept = from - segment.base();
        let is_sealed = segment.footer == SegmentEnd::Sealed;
        // Damage that these meet is found before anything is changed.
        let (position, summary) = segment.cut_at(from).await?;
        let index = segment.index_cut(kept).await?;
        if is_sealed {
            // They are to be written again, to the index of the new file.
            segment.load_entries().await?;
        }
        self.truncations.fetch_add(1, Ordering::SeqCst); // odd: it is under way
        if let Err((segment, source)) = self.cut_files(target, from, (position, index)).await {
            self.poison("truncating", source.kind());
            return Err(TruncateError::Io { segment, source });
        }
        let segment = self.write_segment_mut();
        segment.set_cut(kept, position, summary);
        self.segments_changed();
        self.truncations.fetch_add(1, Ordering::SeqCst);
        self.changed();
        self.truncated_at = self.changes;
        if from < self.durable {
            self.set_durable(from);
            self.synced = self.changes;
        }
        Ok(())
    }

    async fn cut_files(
        &mut self,
        target: usize,
        from: u64,
        (position, index): (u64, IndexCut),
    ) -> Result<(), (u64, io::Error)> {
        // The header of a segment that could not be created says what was durable then. Its removal has to
        // last before that is no longer so.
        if from < self.durable && self.names_changed_at > self.synced {
            let base = self.write_segment().base();
            self.env.sync_names().await.map_err(|error| (base, error))?;
            self.names_changed_at = 0;
        }
        while self.segments.len() - 1 > target {
            let segment = self.segments.pop_back().expect("there are more than one");
            let base = segment.base();
            self.env
                .remove(base, segment.files)
                .await
                .map_err(|error| (base, error))?;
            self.env.sync_names().await.map_err(|error| (base, error))?;
            self.names_changed_at = 0;
        }
        let must_last = from < self.durable;
        let segment = self
            .segments
            .back_mut()
            .expect("a log has at least one segment");
        let base = segment.base();
        let at = |error| (base, error);
        if segment.footer == SegmentEnd::Sealed {
            let files = &mut segment.files;
            self.env.replace(base, files, position).await.map_err(at)?;
            self.names_changed_at = 0;
            return segment.reset_index().await.map_err(at);
        }
        segment.cut_index(index).await.map_err(at)?;
        let files = &mut segment.files;
        if must_last {
            let synced = self.env.sync(base, files, Part::Index).await;
            synced.map_err(at)?;
        }
        files.store.truncate(position).await.map_err(at)?;
        if must_last {
            let synced = self.env.sync(base, files, Part::Store).await;
            synced.map_err(at)?;
        }
        Ok(())
    }
}
