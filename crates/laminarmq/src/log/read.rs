//! Reading and searching, by the owner of the log.

use std::ops::Range;

use super::Log;
use crate::env::{LogFile, SegmentEnv};
use crate::error::{Damage, OutOfBounds, ReadError};
use crate::format::IndexEntry;
use crate::record::{EntryInfo, Record};
use crate::segment::{Piece, Segment, parse_records, read_chunk_header};

impl<E: SegmentEnv> Log<E> {
    /// What the index says about a record: no look at the store. From memory for the write segment, else one
    /// small read.
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfBounds`] outside `[start_index, end_index)`.
    pub async fn entry(&self, index: u64) -> Result<EntryInfo, ReadError> {
        self.check_bounds(index)?;
        let segment = &self.segments[self.segment_of(index)];
        let entry = segment.entry(index).await?;
        Ok(Segment::<E::File>::describe(index, &entry))
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

    async fn last_matching(
        &self,
        key: u64,
        matches: impl Fn(&EntryInfo) -> bool,
    ) -> Result<Option<EntryInfo>, ReadError> {
        let holds =
            |segment: &Segment<E::File>| segment.count > 0 && segment.summary.first_key <= key;
        let Some(number) = self.segments.iter().rposition(holds) else {
            return Ok(None);
        };
        let segment = &self.segments[number];
        let (base, end) = (segment.base(), segment.end());
        let behind = segment
            .partition_point(base, end, |_, entry| entry.key <= key)
            .await?;
        let mut index = behind;
        while index > self.start_index() {
            index -= 1;
            let entry = self.entry(index).await?;
            if matches(&entry) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
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
        for segment in &self.segments {
            if segment.count == 0 || segment.summary.max_timestamp < timestamp {
                continue;
            }
            let is_before = |_, entry: &IndexEntry| entry.max_timestamp < timestamp;
            let (base, end) = (segment.base(), segment.end());
            let mut index = segment.partition_point(base, end, is_before).await?;
            if index < self.start {
                index = self.first_left_at_or_after(segment, timestamp).await?;
            }
            // Behind a truncated start there may be none. Else an index entry cannot say less than the
            // footer made from it, unless one of them is damaged.
            if index < end {
                return self.entry(index).await.map(Some);
            }
        }
        Ok(None)
    }

    /// The same in the segment that the log starts inside of, where a truncated record has that time: it
    /// counts in the running maximum, so records are looked at one by one until one exceeds it.
    async fn first_left_at_or_after(
        &self,
        segment: &Segment<E::File>,
        timestamp: i64,
    ) -> Result<u64, ReadError> {
        let (start, end) = (self.start.min(segment.end()), segment.end());
        let gone = segment.entry(start - 1).await?.max_timestamp;
        let hidden = |_, entry: &IndexEntry| entry.max_timestamp <= gone;
        let hidden_end = segment.partition_point(start, end, hidden).await?;
        for index in start..hidden_end {
            let position = segment.entry(index).await?.position;
            let (header, _) = read_chunk_header(segment, index, position).await?;
            if header.timestamp >= timestamp {
                return Ok(index);
            }
        }
        Ok(hidden_end)
    }

    /// One record.
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfBounds`] outside `[start_index, end_index)`; [`ReadError::Damaged`] where the bytes
    /// are not those that were written.
    pub async fn read(&self, index: u64) -> Result<Record, ReadError> {
        self.check_bounds(index)?;
        let mut records = self.read_range(index..index + 1, 0).await?;
        Ok(records
            .pop()
            .expect("a range inside the log yields at least one record"))
    }

    /// The records of `range` in order, read with one call per segment; their values share that read's
    /// buffer. A range that ends behind the log is cut to it. At least one record, then no more than
    /// fit into `max_bytes`, counted as stored: values and 56 bytes per record.
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfBounds`] where `range.start` is outside `[start_index, end_index]`;
    /// [`ReadError::Damaged`] where the bytes are not those that were written.
    pub async fn read_range(
        &self,
        range: Range<u64>,
        max_bytes: u64,
    ) -> Result<Vec<Record>, ReadError> {
        let pieces = self.pieces(range, max_bytes).await?;
        let count: u64 = pieces.iter().map(|(_, piece)| piece.count).sum();
        let mut records = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        for (number, piece) in &pieces {
            let store = &self.segments[*number].files.store;
            let read = store.read_at(piece.position, piece.byte_count()).await;
            let bytes = read.map_err(|error| piece.error(error))?;
            parse_records(piece, &bytes, &mut records)?;
        }
        Ok(records)
    }

    /// Where the bytes of a range are: the segments' numbers and places in them.
    pub(super) async fn pieces(
        &self,
        range: Range<u64>,
        max_bytes: u64,
    ) -> Result<Vec<(usize, Piece)>, ReadError> {
        let (start, log_end) = (self.start_index(), self.end_index());
        if !(start..=log_end).contains(&range.start) {
            return Err(OutOfBounds {
                index: range.start,
                start,
                end: log_end,
            }
            .into());
        }
        let (mut next, end) = (range.start, range.end.min(log_end));
        let mut left = max_bytes;
        let mut pieces = Vec::new();
        while next < end {
            let number = self.segment_of(next);
            let piece = locate(&self.segments[number], next, end, left).await?;
            if piece.length > left && !pieces.is_empty() {
                break;
            }
            left = left.saturating_sub(piece.length);
            next += piece.count;
            pieces.push((number, piece));
            // A piece that stops inside its segment stopped for `max_bytes`.
            if next < self.segments[number].end() {
                break;
            }
        }
        Ok(pieces)
    }

    fn check_bounds(&self, index: u64) -> Result<(), OutOfBounds> {
        let (start, end) = (self.start_index(), self.end_index());
        if (start..end).contains(&index) {
            Ok(())
        } else {
            Err(OutOfBounds { index, start, end })
        }
    }

    /// Number of the segment that holds `index`, which is inside the log.
    fn segment_of(&self, index: u64) -> usize {
        self.segments
            .partition_point(|segment| segment.end() <= index)
    }
}

/// The records from `first` on in one segment: at least one, not beyond `end`, within `max_bytes`.
async fn locate<F: LogFile>(
    segment: &Segment<F>,
    first: u64,
    end: u64,
    max_bytes: u64,
) -> Result<Piece, ReadError> {
    let end = end.min(segment.end());
    let position = segment.entry(first).await?.position;
    let limit = position.saturating_add(max_bytes);
    // Record `i` fits if the one behind it starts within the limit, so the search is over those.
    let mut stop = segment
        .partition_point(first + 1, end, |_, entry| entry.position <= limit)
        .await?;
    let mut stop_position = segment.store_length;
    if stop < segment.end() {
        stop_position = segment.entry(stop).await?.position;
    }
    if stop_position > limit && stop > first + 1 {
        stop -= 1;
        stop_position = segment.entry(stop).await?.position;
    }
    // Only a damaged index can say otherwise; without this it could ask for any amount of memory.
    if stop_position < position || stop_position > segment.store_length {
        let what = "the index points outside the store; \
                    close the log and delete the index file, opening rebuilds it";
        return Err(Damage {
            segment: segment.base(),
            index: first,
            position,
            what,
        }
        .into());
    }
    Ok(Piece {
        segment: segment.base(),
        seed: segment.seed,
        first_index: first,
        count: stop - first,
        position,
        length: stop_position - position,
    })
}
