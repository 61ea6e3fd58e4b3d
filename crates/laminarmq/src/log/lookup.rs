//! Finding and reading records in a row of segments, for the log's owner and for readers beside it.

use std::ops::Range;

use bytes::Bytes;

use crate::error::{OutOfBounds, ReadError};
use crate::format::{CHUNK_HEADER_LENGTH, ChunkHeader, IndexEntry};
use crate::record::{EntryInfo, Record};
use crate::segment::{
    Piece, ReadFile, View, describe, parse_chunk, parse_record, parse_records, record_of,
};

/// Segments in order of their indices, at least one, without gaps.
pub(super) trait Segments {
    type File: ReadFile;

    fn start(&self) -> u64;

    fn count(&self) -> usize;

    fn view(&self, number: usize) -> View<'_, Self::File>;

    /// Longest value that a read holds in memory, in bytes.
    fn value_bytes_max(&self) -> u64;

    /// Called before entries of a segment are looked up.
    async fn prepare(&self, _number: usize) -> Result<(), ReadError> {
        Ok(())
    }

    fn end(&self) -> u64 {
        self.view(self.count() - 1).end()
    }

    fn check_bounds(&self, index: u64) -> Result<(), OutOfBounds> {
        let (start, end) = (self.start(), self.end());
        if (start..end).contains(&index) {
            Ok(())
        } else {
            Err(OutOfBounds { index, start, end })
        }
    }

    /// Number of the segment that holds `index`, which is inside the log.
    fn segment_of(&self, index: u64) -> usize {
        let (mut low, mut high) = (0, self.count() - 1);
        while low < high {
            // Most reads are of the newest records.
            let middle = if high - low > 1 {
                (low + high) / 2
            } else {
                low
            };
            if self.view(middle).end() <= index {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    async fn entry_info(&self, index: u64) -> Result<EntryInfo, ReadError> {
        self.check_bounds(index)?;
        let number = self.segment_of(index);
        self.prepare(number).await?;
        let entry = self.view(number).entry(index).await?;
        Ok(describe(index, &entry))
    }

    async fn last_matching(
        &self,
        key: u64,
        matches: impl Fn(&EntryInfo) -> bool,
    ) -> Result<Option<EntryInfo>, ReadError> {
        for number in (0..self.count()).rev() {
            let view = self.view(number);
            if view.bounds.count == 0 || view.bounds.summary.first_key > key {
                continue;
            }
            self.prepare(number).await?;
            let is_at_most = |entry: &IndexEntry| entry.key <= key;
            let behind = view
                .partition_point(view.base, view.end(), is_at_most)
                .await?;
            let mut index = behind;
            while index > self.start() {
                index -= 1;
                let entry = self.entry_info(index).await?;
                if entry.key > key {
                    // Keys do not fall along a log: the index that led here is not that of this store.
                    return Err(view.not_written(behind));
                }
                if matches(&entry) {
                    return Ok(Some(entry));
                }
            }
            return Ok(None);
        }
        Ok(None)
    }

    async fn first_at_or_after(&self, timestamp: i64) -> Result<Option<EntryInfo>, ReadError> {
        for number in 0..self.count() {
            let view = self.view(number);
            if view.bounds.count == 0 || view.bounds.summary.max_timestamp < timestamp {
                continue;
            }
            self.prepare(number).await?;
            let is_before = |entry: &IndexEntry| entry.max_timestamp < timestamp;
            let mut index = view
                .partition_point(view.base, view.end(), is_before)
                .await?;
            if index < self.start() {
                index = first_left(&view, self.start(), timestamp).await?;
            }
            // Behind a truncated start there may be none.
            if index < view.end() {
                return self.entry_info(index).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn read_one(&self, index: u64) -> Result<Record, ReadError> {
        self.check_bounds(index)?;
        let number = self.segment_of(index);
        self.prepare(number).await?;
        let view = self.view(number);
        let entry = view.entry(index).await?;
        // Nearly every record is one chunk, and undamaged.
        let end = one_chunk_end(&entry);
        let length = self.check_span(&view, index, &entry, end)?;
        let piece = Piece::one(&view, index, entry.position, length);
        let read = view.store.read_bytes(entry.position, piece.byte_count());
        let bytes = read.await.map_err(|error| piece.error(error))?;
        match parse_chunk(&bytes, 0, index, true, None, view.framing) {
            Ok((head, _, value)) if head.is_last() => Ok(record_of(&head, index, bytes, value)),
            Ok(_) | Err(_) => Box::pin(self.read_chunks(&view, index, entry, bytes)).await,
        }
    }

    /// A record that is not one undamaged chunk. `bytes` are its beginning, with as much as one chunk would have.
    async fn read_chunks(
        &self,
        view: &View<'_, Self::File>,
        index: u64,
        entry: IndexEntry,
        mut bytes: Bytes,
    ) -> Result<Record, ReadError> {
        let damaged = |at: u64, what| {
            let piece = Piece::one(view, index, entry.position, 0);
            piece.damaged(index, entry.position + at, what)
        };
        if is_part(&bytes, view.framing.seed) {
            let end = view.end_position(index).await?;
            let length = self.check_span(view, index, &entry, end)?;
            if end <= one_chunk_end(&entry) {
                return Err(damaged(0, "the record ends without its last chunk"));
            }
            let piece = Piece::one(view, index, entry.position, length);
            let read = view.store.read_bytes(entry.position, piece.byte_count());
            bytes = read.await.map_err(|error| piece.error(error))?;
        }
        match parse_record(&bytes, 0, index, None, view.framing) {
            Ok(parsed) => Ok(parsed.into_record(&bytes, index)),
            Err((at, what)) => Err(damaged(at as u64, what)),
        }
    }

    /// How many bytes of the store a record takes, by its index entry.
    fn check_span(
        &self,
        view: &View<'_, Self::File>,
        index: u64,
        entry: &IndexEntry,
        end: u64,
    ) -> Result<u64, ReadError> {
        self.check_length(index, entry.length)?;
        check_place(view, index, entry.position, end)
    }

    /// Whether the value is short enough to be read as a whole.
    fn check_length(&self, index: u64, bytes: u64) -> Result<(), ReadError> {
        let max = self.value_bytes_max();
        if bytes > max {
            return Err(ReadError::TooLarge { index, bytes, max });
        }
        Ok(())
    }

    async fn read_many(&self, range: Range<u64>, max_bytes: u64) -> Result<Vec<Record>, ReadError> {
        let pieces = self.pieces(range, max_bytes).await?;
        let count: u64 = pieces.iter().map(|(_, piece)| piece.count).sum();
        let mut records = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        for (number, piece) in &pieces {
            let view = self.view(*number);
            let read = view.store.read_bytes(piece.position, piece.byte_count());
            let bytes = read.await.map_err(|error| piece.error(error))?;
            parse_records(piece, &bytes, &mut records)?;
        }
        Ok(records)
    }

    /// Where the bytes of a range are: the segments' numbers and places in them.
    async fn pieces(
        &self,
        range: Range<u64>,
        max_bytes: u64,
    ) -> Result<Vec<(usize, Piece)>, ReadError> {
        let (start, log_end) = (self.start(), self.end());
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
            self.prepare(number).await?;
            let view = self.view(number);
            let (first_length, piece) = locate(&view, next, end, left).await?;
            if pieces.is_empty() {
                // Whatever `max_bytes` is, this one would be read.
                self.check_length(next, first_length)?;
            } else if piece.length > left {
                break;
            }
            left = left.saturating_sub(piece.length);
            next += piece.count;
            pieces.push((number, piece));
            // A piece that stops inside its segment stopped for `max_bytes`.
            if next < view.end() {
                break;
            }
        }
        Ok(pieces)
    }
}

/// Where a record ends in the store, if it is one chunk.
fn one_chunk_end(entry: &IndexEntry) -> u64 {
    // An entry that was forged may say any number; `check_place` refuses what is outside the store.
    let value = entry.position.saturating_add(CHUNK_HEADER_LENGTH as u64);
    value.saturating_add(entry.length)
}

/// Whether a record begins there that has more than one chunk.
fn is_part(bytes: &[u8], seed: u32) -> bool {
    ChunkHeader::decode(bytes, seed).is_some_and(|(header, _)| !header.is_last())
}

/// Bytes from `position` to `end`. Only a damaged index can give places outside the store; without this
/// it could ask for any amount of memory.
fn check_place<R>(
    view: &View<'_, R>,
    index: u64,
    position: u64,
    end: u64,
) -> Result<u64, ReadError> {
    if end < position || end > view.bounds.store_length {
        let what = "the index points outside the store; \
                    close the log and delete the index file, opening rebuilds it";
        let piece = Piece::one(view, index, position, 0);
        return Err(piece.damaged(index, position, what));
    }
    Ok(end - position)
}

/// The records from `first` on in one segment: at least one, not beyond `end`, within `max_bytes`. And the length
/// of the first one's value.
pub(crate) async fn locate<R: ReadFile>(
    view: &View<'_, R>,
    first: u64,
    end: u64,
    max_bytes: u64,
) -> Result<(u64, Piece), ReadError> {
    let end = end.min(view.end());
    let IndexEntry {
        position, length, ..
    } = view.entry(first).await?;
    let limit = position.saturating_add(max_bytes);
    // Record `i` fits if the one behind it starts within the limit, so the search is over those.
    let mut stop = view
        .partition_point(first + 1, end, |entry| entry.position <= limit)
        .await?;
    let mut stop_position = view.end_position(stop - 1).await?;
    if stop_position > limit && stop > first + 1 {
        stop -= 1;
        stop_position = view.end_position(stop - 1).await?;
    }
    let bytes = check_place(view, first, position, stop_position)?;
    Ok((length, Piece::of(view, first..stop, position, bytes)))
}

/// The first record at or after `timestamp` in a segment that the log starts inside of, where a truncated
/// record has that time: it counts in the running maximum, so records are looked at one by one until one
/// exceeds it.
async fn first_left<R: ReadFile>(
    view: &View<'_, R>,
    start: u64,
    timestamp: i64,
) -> Result<u64, ReadError> {
    let (start, end) = (start.min(view.end()), view.end());
    let gone = view.entry(start - 1).await?.max_timestamp;
    let hidden = |entry: &IndexEntry| entry.max_timestamp <= gone;
    let hidden_end = view.partition_point(start, end, hidden).await?;
    for index in start..hidden_end {
        let position = view.entry(index).await?.position;
        let (header, _) = view.chunk_header(index, position).await?;
        if header.timestamp >= timestamp {
            return Ok(index);
        }
    }
    Ok(hidden_end)
}
