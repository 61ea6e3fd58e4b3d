//! Reads that run beside the log's owner.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Log;
use super::lookup::Segments;
use crate::env::{LogEnv, LogFile, ReadAt, ReaderOf};
use crate::error::ReadError;
use crate::record::Record;
use crate::segment::{Piece, parse_records};

/// A read that was planned by the log's owner and runs anywhere: file handles, byte ranges, and what to
/// expect in them.
///
/// What was planned stays readable while the log grows, rolls, or is dropped. After a truncation the plan
/// yields what was there when it was made, or [`ReadError::Truncated`].
pub struct ReadPlan<E: LogEnv> {
    parts: Vec<(ReaderOf<E>, Piece)>,
    truncations: Arc<AtomicU64>,
    planned_at: u64,
}

impl<E: LogEnv> fmt::Debug for ReadPlan<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces = self.parts.iter().map(|(_, piece)| piece);
        f.debug_list().entries(pieces).finish()
    }
}

impl<E: LogEnv> Log<E> {
    /// Plans what [`Log::read_range`] would read, without reading data.
    ///
    /// # Errors
    ///
    /// As [`Log::read_range`], as far as the index is concerned.
    pub async fn plan(&self, range: Range<u64>, max_bytes: u64) -> Result<ReadPlan<E>, ReadError> {
        let pieces = self.pieces(range, max_bytes).await?;
        let mut parts = Vec::with_capacity(pieces.len());
        for (number, piece) in pieces {
            let mut reader = self.segments[number].files.store.reader();
            reader.hold().map_err(|error| piece.error(error))?;
            parts.push((reader, piece));
        }
        Ok(ReadPlan {
            parts,
            truncations: Arc::clone(&self.truncations),
            planned_at: self.truncations.load(Ordering::SeqCst),
        })
    }
}

impl<E: LogEnv> ReadPlan<E> {
    /// The indices of the records that the plan yields.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        let first = self.parts.first().map_or(0, |(_, piece)| piece.first_index);
        let end = self
            .parts
            .last()
            .map_or(0, |(_, piece)| piece.first_index + piece.count);
        first..end
    }

    /// Bytes that the plan reads, chunk headers included.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.parts.iter().map(|(_, piece)| piece.length).sum()
    }

    /// Reads, blocking, one call per segment.
    ///
    /// # Errors
    ///
    /// As [`Log::read_range`], and [`ReadError::Truncated`].
    pub fn read(self) -> Result<Vec<Record>, ReadError> {
        let result = self.read_parts();
        // Whatever a read saw of bytes that replaced the planned ones, it saw after this had gone up.
        if self.truncations.load(Ordering::SeqCst) != self.planned_at {
            return Err(ReadError::Truncated);
        }
        result
    }

    fn read_parts(&self) -> Result<Vec<Record>, ReadError> {
        let count: u64 = self.parts.iter().map(|(_, piece)| piece.count).sum();
        let mut records = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        for (reader, piece) in &self.parts {
            let read = reader.read_at(piece.position, piece.byte_count());
            let bytes = read.map_err(|error| piece.error(error))?;
            parse_records(piece, &bytes, &mut records)?;
        }
        Ok(records)
    }
}
