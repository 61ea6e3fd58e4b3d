//! Reading a record chunk by chunk, each verified before it is handed out.

use std::fmt;

use bytes::Bytes;

use super::Log;
use super::lookup::Segments;
use crate::env::SegmentEnv;
use crate::error::ReadError;
use crate::format::CHUNK_HEADER_LENGTH;
use crate::record::EntryInfo;
use crate::segment::{Piece, ReadFile, View, parse_chunk};

/// The value of one record, chunk by chunk. Holds one chunk in memory: at most
/// [`STREAM_CHUNK_BYTES`](crate::limits::STREAM_CHUNK_BYTES) of a record that was written piece by piece, the
/// whole value of one that was appended as a whole.
///
/// ```
/// use laminarmq::{Append, Log, LogOptions, MemEnv, poll_ready};
///
/// let mut log = poll_ready(Log::open_with(MemEnv::new(), LogOptions::default()))?;
/// let index = poll_ready(log.append(Append { value: &[b"hello"], ..Append::default() }))?;
/// let mut record = poll_ready(log.record_reader(index))?;
/// assert_eq!(record.info().length, 5);
/// while let Some(chunk) = poll_ready(record.next_chunk())? {
///     assert_eq!(chunk, "hello");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecordReader<'a, E: SegmentEnv> {
    view: View<'a, E::File>,
    info: EntryInfo,
    /// Where the next chunk stands, and where the record ends.
    position: u64,
    end: u64,
    /// Checksum of the chunk before.
    link: Option<u32>,
}

impl<E: SegmentEnv> fmt::Debug for RecordReader<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordReader")
            .field("info", &self.info)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl<E: SegmentEnv> Log<E> {
    /// Reads a record of any length chunk by chunk.
    ///
    /// # Errors
    ///
    /// As [`Log::entry`].
    pub async fn record_reader(&self, index: u64) -> Result<RecordReader<'_, E>, ReadError> {
        let info = self.entry_info(index).await?;
        let view = self.view(self.segment_of(index));
        let (entry, end) = view.span(index).await?;
        Ok(RecordReader {
            view,
            info,
            position: entry.position,
            end,
            link: None,
        })
    }
}

impl<E: SegmentEnv> RecordReader<'_, E> {
    /// What the index says about the record.
    #[must_use]
    pub fn info(&self) -> &EntryInfo {
        &self.info
    }

    /// The next bytes of the value, verified; `None` at its end. After an error, the same again.
    ///
    /// # Errors
    ///
    /// [`ReadError::Damaged`] where the bytes are not those that were written.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, ReadError> {
        // Every record has a chunk, one of no bytes too: an index that gives it no room is wrong.
        if self.position == self.end && self.link.is_some() {
            return Ok(None);
        }
        let (view, index) = (&self.view, self.info.index);
        let is_first = self.link.is_none();
        let header_length = CHUNK_HEADER_LENGTH as u64;
        let piece = Piece::one(view, index, self.position, header_length);
        let bytes = view.store.read_bytes(self.position, piece.byte_count());
        let bytes = bytes.await.map_err(|error| piece.error(error))?;
        let at = self.position;
        let damaged = move |what| piece.damaged(index, at, what);
        let left = self.end.saturating_sub(self.position);
        let (header, _) = view
            .check_header(&bytes, index, is_first, self.link, left)
            .map_err(damaged)?;
        let length = header.stored_length();
        let piece = Piece { length, ..piece };
        let bytes = view.store.read_bytes(self.position, piece.byte_count());
        let bytes = bytes.await.map_err(|error| piece.error(error))?;
        let (header, crc, value) = parse_chunk(&bytes, 0, index, is_first, self.link, view.framing)
            .map_err(|(_, what)| damaged(what))?;
        let next = self.position + header.stored_length();
        if header.is_last() != (next == self.end) {
            return Err(damaged("the record does not end where the index says"));
        }
        (self.position, self.link) = (next, Some(crc));
        Ok(Some(bytes.slice(value)))
    }
}
