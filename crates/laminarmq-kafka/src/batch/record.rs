//! One record inside a batch.
//!
//! ```text
//!   length (varint) | attributes (1 byte, unused) | timestamp delta (varlong) | offset delta (varint)
//!   | key length (varint, -1 = null) | key | value length (varint, -1 = null) | value
//!   | number of headers (varint) | { key length (varint) | key | value length (varint) | value } ...
//! ```
//!
//! `length` counts what follows it, and must be exactly what the fields take.

use std::ops::Range;

use super::error::{BatchError, RecordFault};
use super::input::Input;
use crate::primitives::varint::{self, VarintError};

/// Takes the places of a record's fields, in the order in which they stand. Ranges count from the start of
/// the input.
pub(super) trait Fields {
    fn key(&mut self, at: Option<Range<u64>>);
    fn value(&mut self, at: Option<Range<u64>>);
    fn header(&mut self, key: Range<u64>, value: Option<Range<u64>>);
}

/// Cares for none of them.
pub(super) struct NoFields;

impl Fields for NoFields {
    #[inline]
    fn key(&mut self, _: Option<Range<u64>>) {}
    #[inline]
    fn value(&mut self, _: Option<Range<u64>>) {}
    #[inline]
    fn header(&mut self, _: Range<u64>, _: Option<Range<u64>>) {}
}

/// What a record says about its place and time.
pub(super) struct Deltas {
    pub(super) offset: i32,
    pub(super) timestamp: i64,
}

/// The least bytes of a header: two lengths.
const HEADER_BYTES_MIN: u64 = 2;

/// Walks over the record at the front of the input, the batch's number `index`.
pub(super) fn scan(
    input: &mut impl Input,
    index: u32,
    fields: &mut impl Fields,
) -> Result<Deltas, BatchError> {
    let mut scan = Scan {
        input,
        index,
        end: u64::MAX,
    };
    let length = scan.i32()?;
    let length = u64::try_from(length).map_err(|_| scan.fault(RecordFault::Length))?;
    scan.end = scan.input.position() + length;

    scan.skip(1)?;
    let timestamp = scan.i64()?;
    let offset = scan.i32()?;
    let key = scan.nullable(RecordFault::Key)?;
    fields.key(key);
    let value = scan.nullable(RecordFault::Value)?;
    fields.value(value);

    let headers = scan.i32()?;
    match u64::try_from(headers) {
        Ok(count) if count <= scan.left() / HEADER_BYTES_MIN => {}
        _ => return Err(scan.fault(RecordFault::HeaderCount)),
    }
    for _ in 0..headers {
        let key = scan
            .nullable(RecordFault::HeaderKey)?
            .ok_or(scan.fault(RecordFault::HeaderKey))?;
        let value = scan.nullable(RecordFault::HeaderValue)?;
        fields.header(key, value);
    }
    if scan.input.position() != scan.end {
        return Err(scan.fault(RecordFault::Length));
    }
    Ok(Deltas { offset, timestamp })
}

struct Scan<'i, I> {
    input: &'i mut I,
    index: u32,
    /// Where the record ends by its own length.
    end: u64,
}

impl<I: Input> Scan<'_, I> {
    fn fault(&self, fault: RecordFault) -> BatchError {
        BatchError::Record {
            index: self.index,
            fault,
        }
    }

    /// Bytes of the record that are left, by its own length.
    #[inline]
    fn left(&self) -> u64 {
        self.end.saturating_sub(self.input.position())
    }

    #[inline]
    fn i32(&mut self) -> Result<i32, BatchError> {
        let window = self.input.peek()?;
        // Most numbers of a record are small.
        if let Some(&byte @ ..0x80) = window.first() {
            self.input.advance(1);
            return Ok(i32::from(byte >> 1) ^ -i32::from(byte & 1));
        }
        let read = varint::get_i32(window);
        self.take(read)
    }

    #[inline]
    fn i64(&mut self) -> Result<i64, BatchError> {
        let read = varint::get_i64(self.input.peek()?);
        self.take(read)
    }

    #[inline]
    fn take<T>(&mut self, read: Result<(T, usize), VarintError>) -> Result<T, BatchError> {
        match read {
            Ok((value, used)) => {
                self.input.advance(used);
                Ok(value)
            }
            Err(VarintError::Truncated) => Err(self.fault(RecordFault::Truncated)),
            Err(VarintError::TooLarge) => Err(self.fault(RecordFault::Number)),
        }
    }

    #[inline]
    fn skip(&mut self, bytes: u64) -> Result<(), BatchError> {
        if self.input.skip(bytes)? {
            Ok(())
        } else {
            Err(self.fault(RecordFault::Truncated))
        }
    }

    /// A length, -1 for null, and that many bytes, of which the place is told.
    #[inline]
    fn nullable(&mut self, fault: RecordFault) -> Result<Option<Range<u64>>, BatchError> {
        let length = self.i32()?;
        let Ok(length) = u64::try_from(length) else {
            return if length == -1 {
                Ok(None)
            } else {
                Err(self.fault(fault))
            };
        };
        if length > self.left() {
            return Err(self.fault(fault));
        }
        let start = self.input.position();
        self.skip(length)?;
        Ok(Some(start..start + length))
    }
}
