//! Many records one after the other, from one read per window.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::Log;
use super::lookup::Segments;
use crate::env::SegmentEnv;
use crate::error::{OutOfBounds, ReadError};
use crate::format::ChunkHeader;
use crate::limits::STREAM_WINDOW_BYTES;
use crate::segment::{Framing, Parsed, Piece, ReadFile, parse_chunk, parse_record};

/// A record of a stream, its checksums verified. Lives until the stream moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Place in the log.
    pub index: u64,
    /// As appended.
    pub term: u32,
    /// As appended.
    pub kind: u8,
    /// As appended.
    pub flags: u8,
    /// As appended.
    pub key: u64,
    /// As appended, in milliseconds.
    pub timestamp: i64,
    /// The value.
    pub value: &'a [u8],
}

/// The records of a range in order, each verified. It never skips: at a record that cannot be read it
/// yields an error, and the same one again after that. Holds one window of 256 KiB in memory, or one record where
/// that is longer.
///
/// ```
/// use laminarmq::{Append, Log, LogOptions, MemEnv, poll_ready};
///
/// let mut log = poll_ready(Log::open_with(MemEnv::new(), LogOptions::default()))?;
/// for value in ["a", "b", "c"] {
///     poll_ready(log.append(Append { value: &[value.as_bytes()], ..Append::default() }))?;
/// }
/// let mut values = Vec::new();
/// let mut records = log.stream(1..)?;
/// while let Some(record) = poll_ready(records.next())? {
///     values.extend_from_slice(record.value);
/// }
/// assert_eq!(values, b"bc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecordStream<'a, E: SegmentEnv> {
    log: &'a Log<E>,
    cursor: Cursor,
}

impl<E: SegmentEnv> fmt::Debug for RecordStream<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream")
            .field("next", &self.cursor.next)
            .field("end", &self.cursor.end)
            .finish_non_exhaustive()
    }
}

impl<E: SegmentEnv> Log<E> {
    /// The records of a range, which is cut to the end of the log as it is now.
    ///
    /// # Errors
    ///
    /// Where the range begins outside `[start_index, end_index]`. Without a beginning it begins at the start.
    pub fn stream(
        &self,
        range: impl std::ops::RangeBounds<u64>,
    ) -> Result<RecordStream<'_, E>, OutOfBounds> {
        let cursor = Cursor::new(self, range)?;
        Ok(RecordStream { log: self, cursor })
    }
}

impl<E: SegmentEnv> RecordStream<'_, E> {
    /// The next record; `None` behind the last one.
    ///
    /// # Errors
    ///
    /// As [`Log::read`].
    pub async fn next(&mut self) -> Result<Option<RecordRef<'_>>, ReadError> {
        self.cursor.next(self.log).await
    }
}

/// Where a stream has come to. Knows nothing of the log between two calls but places in it.
pub(super) struct Cursor {
    next: u64,
    end: u64,
    /// Bytes of a store, and where they stand.
    window: Bytes,
    position: u64,
    segment: u64,
    framing: Framing,
    /// Records below this index follow in the same segment.
    segment_end: u64,
    /// Place of the next record in the window.
    at: usize,
    link: Option<u32>,
    /// The value of a record in several chunks.
    joined: Vec<u8>,
}

impl Cursor {
    pub(super) fn new(
        log: &impl Segments,
        range: impl std::ops::RangeBounds<u64>,
    ) -> Result<Self, OutOfBounds> {
        let (start, end) = (log.start(), log.end());
        let Range { start: next, end } = cut(range, start, end);
        if !(start..=log.end()).contains(&next) {
            let (index, end) = (next, log.end());
            return Err(OutOfBounds { index, start, end });
        }
        Ok(Self {
            next,
            end,
            window: Bytes::new(),
            position: 0,
            segment: 0,
            framing: log.view(0).framing,
            segment_end: 0,
            at: 0,
            link: None,
            joined: Vec::new(),
        })
    }

    pub(super) async fn next<S: Segments>(
        &mut self,
        log: &S,
    ) -> Result<Option<RecordRef<'_>>, ReadError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let index = self.next;
        let (head, value) = match self.single() {
            Some((head, crc, value)) => {
                self.pass(value.end, crc);
                (head, Some(value))
            }
            // In a box, so that the future of all the other calls is small: it is moved about by each.
            None => Box::pin(self.any(log)).await?,
        };
        let value = match value {
            Some(value) => &self.window[value],
            None => &self.joined,
        };
        Ok(Some(RecordRef {
            index,
            term: head.term,
            kind: head.kind,
            flags: head.entry_flags,
            key: head.key,
            timestamp: head.timestamp,
            value,
        }))
    }

    /// The next record where it is one chunk, is whole in the window, and is undamaged, as nearly all are.
    #[inline]
    fn single(&self) -> Option<(ChunkHeader, u32, Range<usize>)> {
        let rest = self.window.get(self.at..)?;
        if self.next >= self.segment_end || !ChunkHeader::is_whole_in(rest) {
            return None;
        }
        parse_chunk(
            &self.window,
            self.at,
            self.next,
            true,
            self.link,
            self.framing,
        )
        .ok()
        .filter(|(head, ..)| head.is_last())
    }

    /// The next record, read anew. Its value's place in the window; `None` where it is in `joined`.
    async fn any<S: Segments>(
        &mut self,
        log: &S,
    ) -> Result<(ChunkHeader, Option<Range<usize>>), ReadError> {
        self.refill(log).await?;
        let Parsed {
            head,
            value,
            joined,
            end,
            last_crc,
        } = parse_record(&self.window, self.at, self.next, self.link, self.framing).map_err(
            |(at, what)| {
                let piece = self.piece();
                piece.damaged(self.next, piece.position + at as u64, what)
            },
        )?;
        self.pass(end, last_crc);
        let Some(joined) = joined else {
            return Ok((head, Some(value)));
        };
        self.joined = joined;
        Ok((head, None))
    }

    /// Goes on behind a record that ends at `end` of the window.
    fn pass(&mut self, end: usize, last_crc: u32) {
        self.next += 1;
        (self.at, self.link) = (end, Some(last_crc));
    }

    fn piece(&self) -> Piece {
        Piece {
            segment: self.segment,
            framing: self.framing,
            first_index: self.next,
            count: 1,
            position: self.position,
            length: self.window.len() as u64,
        }
    }

    /// Reads on from the next record, at least that one.
    async fn refill<S: Segments>(&mut self, log: &S) -> Result<(), ReadError> {
        log.check_bounds(self.next)?;
        let number = log.segment_of(self.next);
        log.prepare(number).await?;
        let view = log.view(number);
        let (entry, end) = view.span(self.next).await?;
        let record = log.check_span(&view, self.next, &entry, end)?;
        if self.segment != view.base {
            self.link = None;
        }
        let left = view.bounds.store_length - entry.position;
        let length = record.max(left.min(STREAM_WINDOW_BYTES as u64));
        (self.segment, self.framing) = (view.base, view.framing);
        (self.position, self.at) = (entry.position, 0);
        self.segment_end = view.end();
        self.window = Bytes::new();
        let mut piece = self.piece();
        piece.length = length;
        let read = view.store.read_bytes(piece.position, piece.byte_count());
        self.window = read.await.map_err(|error| piece.error(error))?;
        Ok(())
    }
}

/// The range as numbers, its end cut to `end`; it begins at `start` where it does not say.
fn cut(range: impl std::ops::RangeBounds<u64>, start: u64, end: u64) -> Range<u64> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let from = match range.start_bound() {
        Included(from) => *from,
        Excluded(from) => from.saturating_add(1),
        Unbounded => start,
    };
    let to = match range.end_bound() {
        Included(to) => to.saturating_add(1),
        Excluded(to) => *to,
        Unbounded => end,
    };
    from..to.min(end)
}
