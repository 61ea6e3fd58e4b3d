//! Appending: checked whole, then written, one write per segment that is touched.
//!
//! What is rare is awaited in a box: a future is moved before it is polled, and one with room for all that may
//! have to be done takes longer to move than a short record takes to be appended.

use std::io;
use std::ops::Range;

use super::{FlushPolicy, IndexCache, Log};
use crate::env::{LogFile, SegmentEnv};
use crate::error::AppendError;
use crate::format::CHUNK_HEADER_LENGTH;
use crate::limits::COPY_BYTES_MAX;
use crate::record::Append;
use crate::segment::{Run, Segment};

impl<E: SegmentEnv> Log<E> {
    /// Appends one record and returns its index. The bytes are then with the operating system.
    ///
    /// # Errors
    ///
    /// The log is as it was before, unless the error is [`AppendError::Poisoned`].
    pub async fn append(&mut self, record: Append<'_>) -> Result<u64, AppendError> {
        // Nearly all appends of single records are like this, and short enough that what else there is to look at
        // would be a good part of their time.
        // Not in a function of its own, whose result would be copied once more.
        if let Some(length) = self.plain_length(&record) {
            let durable = self.durable;
            let segment = self
                .segments
                .back_mut()
                .expect("a log has at least one segment");
            let index = segment.end();
            let appended = segment
                .append_short(&record, length, durable, &mut self.scratch)
                .await;
            if let Err(error) = appended {
                return Err(self.append_failed(error));
            }
            self.pace.appended(1, CHUNK_HEADER_LENGTH as u64 + length);
            self.changes += 1;
            segment.changed_at = self.changes;
            if segment.is_index_block_due() {
                Box::pin(self.flush_index_block()).await;
            }
            return Ok(index);
        }
        let one = std::slice::from_ref(&record);
        let range = Box::pin(self.append_many(one)).await?;
        Ok(range.start)
    }

    /// Appends a record behind the last one and with its key, where the storage takes it at once and nothing has to be done
    /// before or after it; says whether it did.
    // Not `async`: where nothing waits, a future is only something to build and to move.
    #[inline(always)]
    pub(crate) fn append_now(&mut self, record: &Append<'_>) -> bool {
        let length = record.value_len();
        if !self.is_quiet(self.write_segment(), length) {
            return false;
        }
        let durable = self.durable;
        let segment = self
            .segments
            .back_mut()
            .expect("a log has at least one segment");
        if segment.is_index_block_due_next()
            || !segment.append_now(record, length, durable, &mut self.scratch)
        {
            return false;
        }
        self.pace.appended(1, CHUNK_HEADER_LENGTH as u64 + length);
        self.changes += 1;
        segment.changed_at = self.changes;
        true
    }

    /// Whether nothing has to be done before or after a record with a value of that length is appended, and it is not the
    /// write segment's first.
    #[inline]
    fn is_quiet(&self, segment: &Segment<E::File>, length: u64) -> bool {
        let goes_on = segment.count > 0 && segment.end() < u64::MAX - 1;
        let is_room = !self.options.auto_roll || segment.store_length < self.options.segment_bytes;
        let is_quiet = self.poisoned.is_none()
            && !self.unfinished
            && !self.may_seal()
            && matches!(self.options.flush, FlushPolicy::OnRequest)
            && length <= self.options.record_bytes_max;
        let aim = segment.store_length + CHUNK_HEADER_LENGTH as u64 + length;
        goes_on && is_room && is_quiet && !self.is_write_ahead_due(segment, aim)
    }

    /// Length of a record's value in bytes, if the record is a short one, or in one piece where that is as good, nothing is wrong with it, and nothing has to
    /// be done before or after it.
    #[inline]
    fn plain_length(&self, record: &Append<'_>) -> Option<u64> {
        let segment = self.write_segment();
        let length = record.value_len();
        let is_one_piece = E::File::IN_MEMORY && record.value.len() == 1;
        let is_short = is_one_piece || length <= COPY_BYTES_MAX as u64;
        let is_sorted = record.key >= segment.summary.last_key;
        (is_short && is_sorted && self.is_quiet(segment, length)).then_some(length)
    }

    #[cold]
    fn append_failed(&mut self, error: Run) -> AppendError {
        match error {
            Run::Undone(source) => AppendError::Io {
                segment: self.write_segment().base(),
                source,
            },
            Run::Stuck(error) => self.poison("taking back an append", error.kind()).into(),
        }
    }

    /// Writes waiting index entries, if enough of them wait, and forgets what need not be held.
    pub(super) async fn flush_index_block(&mut self) {
        let is_recent = self.options.index_cache == IndexCache::Recent;
        let segment = self.write_segment_mut();
        if segment.flush_index_block().await && is_recent {
            segment.forget_written();
        }
    }

    /// Appends records next to each other and returns their indices. All of them or none; one write unless
    /// the batch fills a segment.
    ///
    /// # Errors
    ///
    /// The log is as it was before, unless the error is [`AppendError::Poisoned`].
    pub async fn append_many(&mut self, records: &[Append<'_>]) -> Result<Range<u64>, AppendError> {
        self.begin_change().await?;
        let start = self.end_index();
        self.check_records(records)?;
        if self.may_seal() {
            Box::pin(self.seal_durable()).await;
        }
        let first_segment = self.segments.len() - 1;
        let mut left = records;
        while !left.is_empty() {
            match self.append_some(left).await {
                Ok(count) => left = &left[count..],
                Err(AppendError::Poisoned(poisoned)) => return Err(poisoned.into()),
                Err(error) => {
                    if self.segments.len() - 1 > first_segment || self.end_index() > start {
                        Box::pin(self.take_back(first_segment, start)).await?;
                    }
                    return Err(error);
                }
            }
        }
        if self.is_flush_due() {
            Box::pin(self.flush()).await?;
        }
        Ok(start..self.end_index())
    }

    /// Appends the first records, as many as go into one segment, and says how many.
    async fn append_some(&mut self, records: &[Append<'_>]) -> Result<usize, AppendError> {
        let mut count = records.len();
        if self.options.auto_roll {
            let limit = self.options.segment_bytes;
            if self.write_segment_bytes() >= limit {
                Box::pin(self.roll()).await?;
            }
            let mut length = self.write_segment_bytes();
            // The first record goes in whatever its length: the segment was not full.
            let fits = records.iter().take_while(|record| {
                let fits = length < limit;
                length += CHUNK_HEADER_LENGTH as u64 + record.value_len();
                fits
            });
            count = fits.count().max(1);
        }
        let durable = self.durable;
        let stored = self.write_segment_bytes();
        let length = |record: &Append<'_>| CHUNK_HEADER_LENGTH as u64 + record.value_len();
        let aim = stored + records[..count].iter().map(length).sum::<u64>();
        if self.is_write_ahead_due(self.write_segment(), aim) {
            Box::pin(self.write_ahead(aim)).await;
        }
        let segment = self
            .segments
            .back_mut()
            .expect("a log has at least one segment");
        match segment
            .append_run(&records[..count], durable, &mut self.scratch)
            .await
        {
            Ok(()) => {
                if segment.is_index_block_due() {
                    Box::pin(self.flush_index_block()).await;
                }
                self.pace.appended(count as u64, aim - stored);
                self.changed();
                Ok(count)
            }
            Err(error) => Err(self.append_failed(error)),
        }
    }

    /// Undoes the part of a batch that went in before the rest failed.
    async fn take_back(&mut self, segment: usize, start: u64) -> Result<(), AppendError> {
        if let Err(error) = self.cut(segment, start).await {
            tracing::error!(%error, "a batch that failed half-way could not be taken back");
            return Err(self
                .poison("taking back a batch", io::ErrorKind::Other)
                .into());
        }
        Ok(())
    }

    /// Everything that can be wrong about records themselves.
    pub(super) fn check_records(&self, records: &[Append<'_>]) -> Result<(), AppendError> {
        let end = self.end_index();
        if end.checked_add(records.len() as u64).is_none() {
            return Err(AppendError::Full { end });
        }
        let max = self.options.record_bytes_max;
        let mut last = self.last_key();
        for record in records {
            let bytes = record.value_len();
            if bytes > max {
                return Err(AppendError::TooLarge { bytes, max });
            }
            if record.key < last {
                return Err(AppendError::KeyWentBack {
                    last,
                    given: record.key,
                });
            }
            last = record.key;
        }
        Ok(())
    }

    /// Key of the last record; 0 without records.
    #[inline]
    pub(crate) fn last_key(&self) -> u64 {
        let last = self.write_segment();
        if last.count > 0 {
            return last.summary.last_key;
        }
        let with_records = self.segments.iter().rev().find(|segment| segment.count > 0);
        with_records.map_or(0, |segment| segment.summary.last_key)
    }
}
