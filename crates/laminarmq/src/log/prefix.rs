//! Cutting the start, and starting anew elsewhere.
//!
//! Segments are files and go as a whole. Where the new start is the base of one, those in front of it are
//! removed, the first one first, each removal synced: at any time what is left is a log. This needs no new
//! file, so it works on a full disk.
//!
//! Where the new start lies inside a segment, the start file says so, and the order is:
//!
//! 1. Everything below the new start is made durable, if it is not yet: the start file counts as proof.
//! 2. The start file is replaced, and that is synced. From here on the records are gone.
//! 3. Segments that lie below it as a whole are removed. One that a crash leaves is removed by the next
//!    open, unread.
//!
//! A reset replaces the start file by one that declares all segments void, which is its point of no return;
//! then the segments are exchanged for an empty one, and last comes the start file that ends the reset.
//! An open in between finishes it.

use std::io;
use std::sync::atomic::Ordering;

use super::Log;
use super::open::{io, io_in};
use super::roll::{Failed, create, write_headers};
use crate::env::{Part, SegmentEnv};
use crate::error::{OpenError, OutOfBounds, SyncError, TruncateError};
use crate::format::{FileHeader, StartFile};

impl<E: SegmentEnv> Log<E> {
    /// Drops every record `< index`, durably: when it returns, no crash brings one of them back. Nothing
    /// happens where the log starts at `index` or behind it already. The disk space of a segment comes
    /// back once all of its records are gone and another segment follows it.
    ///
    /// Records below `index` that are not durable yet are made so first. A crash while it runs leaves the
    /// start where it was, or at `index`, or at the base of a segment between the two.
    ///
    /// # Errors
    ///
    /// [`TruncateError::OutOfBounds`] behind the end. After [`TruncateError::StartFile`] the log is as it
    /// was; after [`TruncateError::Io`] it is poisoned.
    pub async fn truncate_prefix(&mut self, index: u64) -> Result<(), TruncateError> {
        self.begin_change().await?;
        let (start, end) = (self.start_index(), self.end_index());
        if index > end {
            return Err(OutOfBounds { index, start, end }.into());
        }
        if index > self.durable {
            self.sync().await.map_err(|error| match error {
                SyncError::Io { segment, source } => TruncateError::Io { segment, source },
                SyncError::Poisoned(poisoned) => poisoned.into(),
            })?;
            assert!(index <= self.durable, "a sync makes everything durable");
        }
        let inside = self.segments.iter().all(|segment| segment.base() != index);
        if inside && index > start {
            self.write_start(index, false).await?;
            self.set_start(index);
        }
        if let Err((segment, source)) = self.drop_front(index, !inside).await {
            self.poison("truncating the start", source.kind());
            return Err(TruncateError::Io { segment, source });
        }
        Ok(())
    }

    /// Drops everything and starts anew, empty, at `index`, which may be any: below, inside or behind the
    /// log. Durable when it returns; a crash while it runs leaves the log as it was or empty at `index`.
    /// Tickets and plans from before have no effect any more.
    ///
    /// # Errors
    ///
    /// After [`TruncateError::StartFile`] the log is as it was; after [`TruncateError::Io`] it is poisoned.
    pub async fn reset(&mut self, index: u64) -> Result<(), TruncateError> {
        self.begin_change().await?;
        self.write_start(index, true).await?;
        self.truncations.fetch_add(1, Ordering::SeqCst); // odd: it is under way
        if let Err((segment, source)) = self.exchange_segments(index).await {
            self.poison("resetting", source.kind());
            return Err(TruncateError::Io { segment, source });
        }
        self.truncations.fetch_add(1, Ordering::SeqCst);
        self.changes += 1;
        (self.synced, self.truncated_at) = (self.changes, self.changes);
        self.set_start(index);
        self.set_durable(index);
        (self.unsealed, self.sealed_for) = (false, index);
        Ok(())
    }

    /// Deletes the log with all its files, durably: what is opened next is an empty log. A crash while it runs
    /// leaves the log without its newest segments.
    ///
    /// # Errors
    ///
    /// Where the storage refuses; the same part of the log may be left then as after a crash.
    pub async fn remove(mut self) -> Result<(), TruncateError> {
        while let Some(segment) = self.segments.pop_back() {
            let base = segment.base();
            let at = |source| TruncateError::Io {
                segment: base,
                source,
            };
            self.env.remove(base, segment.files).await.map_err(at)?;
            self.env.sync_names().await.map_err(at)?;
        }
        let removed = self.env.remove_start().await;
        removed.map_err(|source| TruncateError::StartFile { source })?;
        let synced = self.env.sync_names().await;
        synced.map_err(|source| TruncateError::StartFile { source })
    }

    /// Makes a new start file durable.
    async fn write_start(&mut self, start: u64, resetting: bool) -> Result<(), TruncateError> {
        let bytes = StartFile { start, resetting }.encode();
        let written = self.env.write_start(&bytes).await;
        written.map_err(|source| TruncateError::StartFile { source })?;
        if let Err(source) = self.env.sync_names().await {
            self.poison("syncing the directory", source.kind());
            let segment = self.segments[0].base();
            return Err(TruncateError::Io { segment, source });
        }
        self.names_changed_at = 0;
        Ok(())
    }

    /// Removes the segments that lie below `index` as a whole. With `each`, a crash finds no gap.
    async fn drop_front(&mut self, index: u64, each: bool) -> Result<(), (u64, io::Error)> {
        let dead = self.segments.iter().skip(1);
        let mut left = dead.take_while(|next| next.base() <= index).count();
        while left > 0 {
            left -= 1;
            let segment = self.segments.pop_front().expect("more than one is there");
            let base = segment.base();
            self.set_start(self.start.max(self.segments[0].base()));
            self.segments_changed();
            let at = |error| (base, error);
            self.env.remove(base, segment.files).await.map_err(at)?;
            if each || left == 0 {
                self.env.sync_names().await.map_err(at)?;
                self.names_changed_at = 0;
            }
        }
        Ok(())
    }

    /// Puts one empty segment in the place of all, durably, and ends the reset.
    async fn exchange_segments(&mut self, start: u64) -> Result<(), (u64, io::Error)> {
        let at = |error| (start, error);
        let header = FileHeader {
            base_index: start,
            created_ms: self.env.now_ms(),
            durable_index: start,
            previous_base: start,
            checksum: self.env.value_checksum().kind(),
        };
        // There is a segment at any time, so that a log that stops half-way still has one.
        while self.segments.len() > 1 {
            let segment = self.segments.pop_back().expect("more than one is there");
            let base = segment.base();
            self.env.remove(base, segment.files).await.map_err(at)?;
        }
        if self.segments[0].base() == start {
            let files = &mut self.segments[0].files;
            self.env.replace(start, files, 0).await.map_err(at)?;
            self.segments[0].restart(header);
            write_headers(&mut self.segments[0]).await.map_err(at)?;
        } else {
            let created = create(&mut self.env, header).await;
            let segment =
                created.map_err(|(Failed::Undone(error) | Failed::Stuck(error))| at(error))?;
            self.segments.push_back(segment);
            let old = self.segments.pop_front().expect("two are there");
            let base = old.base();
            self.env.remove(base, old.files).await.map_err(at)?;
        }
        // The index too: a footer of the segment that had this base may be on the media.
        let files = &mut self.segments[0].files;
        self.env.sync(start, files, Part::Index).await.map_err(at)?;
        self.env.sync(start, files, Part::Store).await.map_err(at)?;
        end_reset(&mut self.env, start).await.map_err(at)?;
        self.names_changed_at = 0;
        self.segments_changed();
        Ok(())
    }
}

/// Makes the new segment's name durable, and then the start file that says that it counts.
async fn end_reset<E: SegmentEnv>(env: &mut E, start: u64) -> io::Result<()> {
    env.sync_names().await?;
    let resetting = false;
    let bytes = StartFile { start, resetting }.encode();
    env.write_start(&bytes).await?;
    env.sync_names().await
}

/// What an open finds out from the start file before it looks at segments.
pub(super) struct Begin {
    /// Nothing below is in the log; 0 without a start file. It had been durable.
    pub(super) floor: u64,
    /// Segments that may hold something of the log.
    pub(super) bases: Vec<u64>,
    /// Whether a reset has to be ended, for which there are no segments any more.
    resetting: bool,
}

impl Begin {
    /// Reads the start file, and removes the segments that are void or below the start.
    pub(super) async fn find<E: SegmentEnv>(env: &mut E) -> Result<Self, OpenError> {
        let bytes = env.read_start().await.map_err(io("read the start file"))?;
        let mut bases = env.list().await.map_err(io("list the segments"))?;
        let Some(bytes) = bytes else {
            return Ok(Self {
                floor: 0,
                bases,
                resetting: false,
            });
        };
        let said = StartFile::decode(&bytes)
            .map_err(|source| OpenError::StartFormat { source })?
            .ok_or(OpenError::StartDamaged)?;
        let dead = if said.resetting {
            bases.len()
        } else {
            let below = bases.partition_point(|base| *base <= said.start);
            below.saturating_sub(1)
        };
        for base in bases.drain(..dead) {
            tracing::info!(
                segment = base,
                start_index = said.start,
                "removed a segment that was truncated"
            );
            let files = env.open(base).await.map_err(io_in("open", base))?;
            env.remove(base, files)
                .await
                .map_err(io_in("remove", base))?;
        }
        Ok(Self {
            floor: said.start,
            bases,
            resetting: said.resetting,
        })
    }

    /// Where the first segment of a log without segments has to be. A reset goes where it was told to.
    pub(super) fn first_base(&self, initial_index: u64) -> u64 {
        if self.resetting {
            self.floor
        } else {
            self.floor.max(initial_index)
        }
    }

    /// Ends a reset that was interrupted, after its new segment was made durable.
    pub(super) async fn end_reset<E: SegmentEnv>(&self, env: &mut E) -> Result<(), OpenError> {
        if self.resetting {
            end_reset(env, self.floor)
                .await
                .map_err(io("write the start file"))?;
        }
        Ok(())
    }
}
