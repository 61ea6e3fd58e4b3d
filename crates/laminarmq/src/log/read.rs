//! Reading and searching, by the owner of the log.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::lookup::Segments;
use super::{IndexCache, Log};
use crate::env::SegmentEnv;
use crate::error::ReadError;
use crate::record::{EntryInfo, Record};
use crate::segment::View;

impl<E: SegmentEnv> Segments for Log<E> {
    type File = E::File;

    fn start(&self) -> u64 {
        self.start
    }

    fn count(&self) -> usize {
        self.segments.len()
    }

    fn view(&self, number: usize) -> View<'_, E::File> {
        self.segments[number].view()
    }

    fn value_bytes_max(&self) -> u64 {
        self.options.record_bytes_max
    }

    /// Takes a segment's entries into memory where the options say so.
    async fn prepare(&self, number: usize) -> Result<(), ReadError> {
        let most = match self.options.index_cache {
            IndexCache::Recent => return Ok(()),
            IndexCache::Segments(most) => most,
            IndexCache::All => usize::MAX,
        };
        let segment = &self.segments[number];
        let is_write = number + 1 == self.segments.len();
        if most == 0 && !is_write {
            return Ok(());
        }
        let now = self.lookups.fetch_add(1, Ordering::Relaxed);
        segment.used_at.store(now, Ordering::Relaxed);
        if segment.entries.range().start == 0 {
            return Ok(());
        }
        segment.load_entries().await?;
        self.forget_unused_indexes(most);
        Ok(())
    }
}

impl<E: SegmentEnv> Log<E> {
    /// Leaves the entries of at most so many sealed segments in memory, those that were used last.
    fn forget_unused_indexes(&self, most: usize) {
        let sealed = self.segments.iter().take(self.segments.len() - 1);
        // What the index file lacks has to stay.
        let may_go = sealed.filter(|segment| segment.entries_written == segment.count);
        let mut held: Vec<_> = may_go
            .filter(|segment| !segment.entries.range().is_empty())
            .collect();
        held.sort_by_key(|segment| std::cmp::Reverse(segment.used_at.load(Ordering::Relaxed)));
        for segment in held.iter().skip(most) {
            segment.entries.forget_all();
        }
    }

    /// What the index says about a record: no look at the store. From memory for the newest records and where
    /// [`IndexCache`] says so, else one small read.
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfBounds`] outside `[start_index, end_index)`.
    pub async fn entry(&self, index: u64) -> Result<EntryInfo, ReadError> {
        self.entry_info(index).await
    }

    /// The last record whose key is at most `key`: the one that holds it, where keys are the start of what
    /// a record holds.
    ///
    /// # Errors
    ///
    /// As [`Log::entry`].
    pub async fn last_with_key_at_most(&self, key: u64) -> Result<Option<EntryInfo>, ReadError> {
        self.last_matching(key, |_| true).await
    }

    /// As [`Log::last_with_key_at_most`], among the records of one kind. Records of other kinds that stand
    /// between it and the place of the key are passed one by one.
    ///
    /// # Errors
    ///
    /// As [`Log::entry`].
    pub async fn last_of_kind_with_key_at_most(
        &self,
        kind: u8,
        key: u64,
    ) -> Result<Option<EntryInfo>, ReadError> {
        self.last_matching(key, |entry| entry.kind == kind).await
    }

    /// The first record, in the first segment that has one, at which the segment's running maximum of
    /// timestamps reaches `timestamp`. A binary search, except behind a start inside a segment, where
    /// records may have to be passed one by one.
    ///
    /// # Errors
    ///
    /// As [`Log::entry`].
    pub async fn first_at_or_after_time(
        &self,
        timestamp: i64,
    ) -> Result<Option<EntryInfo>, ReadError> {
        self.first_at_or_after(timestamp).await
    }

    /// One record.
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfBounds`] outside `[start_index, end_index)`; [`ReadError::Damaged`] where the bytes
    /// are not those that were written; [`ReadError::TooLarge`] where the value is longer than
    /// `record_bytes_max`, as one written piece by piece may be: see [`Log::record_reader`].
    pub async fn read(&self, index: u64) -> Result<Record, ReadError> {
        self.read_one(index).await
    }

    /// The records of `range` in order, read with one call per segment; their values share that read's
    /// buffer. A range that ends behind the log is cut to it. At least one record, then no more than
    /// fit into `max_bytes`, counted as stored: values and 56 bytes per chunk, of which a record that
    /// was appended as a whole has one.
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfBounds`] where `range.start` is outside `[start_index, end_index]`;
    /// [`ReadError::Damaged`] where the bytes are not those that were written; [`ReadError::TooLarge`] where the
    /// first record is longer than `record_bytes_max`.
    pub async fn read_range(
        &self,
        range: Range<u64>,
        max_bytes: u64,
    ) -> Result<Vec<Record>, ReadError> {
        self.read_many(range, max_bytes).await
    }
}
