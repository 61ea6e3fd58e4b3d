//! Where the bytes of records come from: a slice, or a decompressor behind a small fixed buffer.
//!
//! The scan of records is written once, over this trait, so that validation and iteration cannot disagree
//! on what a record is, and so that walking compressed records takes the buffer's memory, not theirs.

use super::compression::Decompressor;
use super::error::BatchError;
use crate::primitives::varint::U64_BYTES_MAX;

/// Bytes that are read front to back.
pub(super) trait Input {
    /// Bytes consumed so far.
    fn position(&self) -> u64;

    /// The next bytes: enough for any variable-length integer unless the input ends sooner; empty at the
    /// end.
    fn peek(&mut self) -> Result<&[u8], BatchError>;

    /// Consumes bytes that `peek` showed.
    fn advance(&mut self, bytes: usize);

    /// Consumes any number of bytes; false where the input ends sooner.
    fn skip(&mut self, bytes: u64) -> Result<bool, BatchError>;
}

/// All bytes are there.
pub(super) struct SliceInput<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> SliceInput<'a> {
    /// Starts at byte `at` of `data`, which is at most its length.
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        assert!(at <= data.len(), "starts inside");
        Self { data, at }
    }
}

impl Input for SliceInput<'_> {
    #[inline]
    fn position(&self) -> u64 {
        self.at as u64
    }

    #[inline]
    fn peek(&mut self) -> Result<&[u8], BatchError> {
        Ok(&self.data[self.at..])
    }

    #[inline]
    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        debug_assert!(self.at <= self.data.len());
    }

    #[inline]
    fn skip(&mut self, bytes: u64) -> Result<bool, BatchError> {
        let left = self.data.len() - self.at;
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= left => {
                self.at += bytes;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

const BUFFER_BYTES: usize = 8 * 1024;
const _: () = assert!(BUFFER_BYTES >= 2 * U64_BYTES_MAX);

/// The output of a decompressor, of which only a buffer full is ever there.
pub(super) struct StreamInput<'a> {
    source: Decompressor<'a>,
    buffer: [u8; BUFFER_BYTES],
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    consumed: u64,
    ended: bool,
}

impl<'a> StreamInput<'a> {
    pub(super) fn new(source: Decompressor<'a>) -> Self {
        Self {
            source,
            buffer: [0; BUFFER_BYTES],
            start: 0,
            end: 0,
            consumed: 0,
            ended: false,
        }
    }

    /// Reads once into the free end of the buffer.
    fn fill(&mut self) -> Result<(), BatchError> {
        let read = self.source.read(&mut self.buffer[self.end..])?;
        self.ended = read == 0;
        self.end += read;
        Ok(())
    }
}

impl Input for StreamInput<'_> {
    fn position(&self) -> u64 {
        self.consumed
    }

    fn peek(&mut self) -> Result<&[u8], BatchError> {
        if self.end - self.start < U64_BYTES_MAX && !self.ended {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < U64_BYTES_MAX && !self.ended {
                self.fill()?;
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.consumed += bytes as u64;
        debug_assert!(self.start <= self.end);
    }

    fn skip(&mut self, bytes: u64) -> Result<bool, BatchError> {
        let mut left = bytes;
        loop {
            let buffered = self.end - self.start;
            let step = usize::try_from(left).map_or(buffered, |left| left.min(buffered));
            self.advance(step);
            left -= step as u64;
            if left == 0 {
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            self.start = 0;
            self.end = 0;
            self.fill()?;
        }
    }
}
