//! Reads protocol values from the front of a frame.
//!
//! `position <= end <= frame length`. A read either takes all of its bytes or fails; lengths and counts
//! are compared with what is left before anything is allocated. Payload comes out as slices that share
//! the frame, and so keep all of it alive.

use std::mem::size_of;

use bytes::Bytes;

use super::varint::{self, VarintError};

/// Memory for array elements that one message may ask for, in bytes, unless the caller says otherwise.
///
/// The wire form of an element can be far smaller than the element (a topic without a name and without
/// partitions takes 3 bytes), so the length of the frame alone is a weak bound.
pub const ELEMENT_BYTES_MAX: usize = 32 << 20;

/// Most bytes of one text. It follows from the 16-bit length, and holds for compact lengths too.
pub const TEXT_BYTES_MAX: u64 = i16::MAX as u64;

/// Why bytes are not the message that they should be, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{part}.{field} at byte {offset}: {reason}")]
pub struct DecodeError {
    /// The innermost structure that was being read.
    pub part: &'static str,
    /// Its field, or what stands in for one.
    pub field: &'static str,
    /// Bytes from the start of the reader's frame to the value that failed.
    pub offset: usize,
    /// What was wrong.
    pub reason: DecodeReason,
}

/// What was wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeReason {
    /// A value needs more bytes than are left.
    #[error("needs {needed} bytes, {left} are left")]
    Truncated {
        /// Bytes that the value needs at least.
        needed: u64,
        /// Bytes that were left.
        left: usize,
    },
    /// An array announces more elements than the bytes behind it could hold.
    #[error("announces {count} elements, {left} bytes are left")]
    TooManyElements {
        /// The announced count.
        count: u64,
        /// Bytes that were left.
        left: usize,
    },
    /// The elements of the message's arrays need more memory than one message gets.
    #[error("array elements need more than {limit} bytes of memory")]
    OverBudget {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A length below -1.
    #[error("negative length {0}")]
    NegativeLength(i64),
    /// Text that is longer than the protocol allows.
    #[error("text of {0} bytes, the limit is {max}", max = TEXT_BYTES_MAX)]
    TextTooLong(u64),
    /// Null where the version allows none.
    #[error("null is not allowed here")]
    Null,
    /// Text that is not UTF-8.
    #[error("not valid UTF-8")]
    NotUtf8,
    /// A variable-length integer that is larger than its type.
    #[error("a variable-length integer is larger than its type")]
    VarintTooLarge,
    /// Bytes behind the last field.
    #[error("{0} bytes too many")]
    TrailingBytes(usize),
    /// An API that this codec does not have.
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    /// A version that this codec does not have.
    #[error("version {0} is not supported")]
    UnsupportedVersion(i16),
}

impl DecodeError {
    /// A place is named by whoever knows it first: the innermost structure.
    pub(crate) fn or_at(mut self, part: &'static str, field: &'static str) -> Self {
        if self.part.is_empty() {
            self.part = part;
            self.field = field;
        }
        self
    }
}

/// A cursor over one frame.
#[derive(Debug, Clone)]
pub struct Reader {
    frame: Bytes,
    position: usize,
    end: usize,
    budget: usize,
    budget_left: usize,
}

impl Reader {
    /// Reads from the start of `frame`, with [`ELEMENT_BYTES_MAX`] of memory for array elements.
    #[must_use]
    pub fn new(frame: Bytes) -> Self {
        Self::with_budget(frame, ELEMENT_BYTES_MAX)
    }

    /// Reads from the start of `frame`; the elements of all arrays together get at most `budget` bytes of
    /// memory (strings, at most as long as the frame, are not counted).
    #[must_use]
    pub fn with_budget(frame: Bytes, budget: usize) -> Self {
        Self {
            end: frame.len(),
            frame,
            position: 0,
            budget,
            budget_left: budget,
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes left to read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// What is left, as a slice that shares the frame.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.frame.slice(self.position..self.end)
    }

    /// Fails when bytes are left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            n => Err(self.error(DecodeReason::TrailingBytes(n))),
        }
    }

    pub(crate) fn error(&self, reason: DecodeReason) -> DecodeError {
        DecodeError {
            part: "",
            field: "",
            offset: self.position,
            reason,
        }
    }

    fn ahead(&self) -> &[u8] {
        &self.frame[self.position..self.end]
    }

    fn check(&self, needed: u64) -> Result<usize, DecodeError> {
        let left = self.remaining();
        match usize::try_from(needed) {
            Ok(n) if n <= left => Ok(n),
            _ => Err(self.error(DecodeReason::Truncated { needed, left })),
        }
    }

    /// The next `N` bytes, by value.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some(bytes) = self.ahead().first_chunk::<N>() else {
            return Err(self.error(DecodeReason::Truncated {
                needed: N as u64,
                left: self.remaining(),
            }));
        };
        let bytes = *bytes;
        self.position += N;
        Ok(bytes)
    }

    /// A big-endian 8-bit number.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    /// A big-endian 16-bit number.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// A big-endian 32-bit number.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A big-endian 64-bit number.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// An unsigned variable-length number.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        match varint::get_u32(self.ahead()) {
            Ok((value, used)) => {
                self.position += used;
                Ok(value)
            }
            Err(VarintError::Truncated) => {
                let left = self.remaining();
                Err(self.error(DecodeReason::Truncated {
                    needed: left as u64 + 1,
                    left,
                }))
            }
            Err(VarintError::TooLarge) => Err(self.error(DecodeReason::VarintTooLarge)),
        }
    }

    /// A string's length: 16 bits, or a variable-length number one above it. `None` is null.
    pub(crate) fn string_len(&mut self, compact: bool) -> Result<Option<u64>, DecodeError> {
        let start = self.position;
        if compact {
            let len = self.compact_len()?;
            return match len {
                Some(n) if n > TEXT_BYTES_MAX => {
                    self.position = start;
                    Err(self.error(DecodeReason::TextTooLong(n)))
                }
                len => Ok(len),
            };
        }
        let raw = self.i16()?;
        self.signed_len(start, i64::from(raw))
    }

    /// The length of bytes or of an array: 32 bits, or a variable-length number one above it. `None` is
    /// null.
    pub(crate) fn long_len(&mut self, compact: bool) -> Result<Option<u64>, DecodeError> {
        if compact {
            return self.compact_len();
        }
        let start = self.position;
        let raw = self.i32()?;
        self.signed_len(start, i64::from(raw))
    }

    fn compact_len(&mut self) -> Result<Option<u64>, DecodeError> {
        Ok(u64::from(self.uvarint()?).checked_sub(1))
    }

    fn signed_len(&mut self, start: usize, raw: i64) -> Result<Option<u64>, DecodeError> {
        if raw == -1 {
            return Ok(None);
        }
        u64::try_from(raw).map(Some).map_err(|_| {
            self.position = start;
            self.error(DecodeReason::NegativeLength(raw))
        })
    }

    /// The next `len` bytes as a slice that shares the frame.
    pub(crate) fn shared(&mut self, len: u64) -> Result<Bytes, DecodeError> {
        let len = self.check(len)?;
        let slice = self.frame.slice(self.position..self.position + len);
        self.position += len;
        Ok(slice)
    }

    /// The next `len` bytes as text.
    pub(crate) fn text(&mut self, len: u64) -> Result<String, DecodeError> {
        let len = self.check(len)?;
        let text = std::str::from_utf8(&self.ahead()[..len])
            .map_err(|_| self.error(DecodeReason::NotUtf8))?
            .to_owned();
        self.position += len;
        Ok(text)
    }

    /// Turns the announced `count` of an array into the capacity for it, when the bytes that are left can
    /// hold that many elements of at least `element_min` bytes and the budget has room for them.
    pub(crate) fn claim<T>(
        &mut self,
        count: u64,
        element_min: usize,
    ) -> Result<usize, DecodeError> {
        let left = self.remaining();
        let most = left / element_min.max(1);
        let count = match usize::try_from(count) {
            Ok(n) if n <= most => n,
            _ => return Err(self.error(DecodeReason::TooManyElements { count, left })),
        };
        let over = DecodeReason::OverBudget { limit: self.budget };
        self.budget_left = count
            .checked_mul(size_of::<T>())
            .and_then(|bytes| self.budget_left.checked_sub(bytes))
            .ok_or_else(|| self.error(over))?;
        Ok(count)
    }

    /// Reads the tagged fields at the end of a structure. `read` takes the value of a tag that it knows and
    /// answers true, or answers false to have it skipped; it sees only that value's bytes and must take all
    /// of them.
    pub(crate) fn tagged(
        &mut self,
        mut read: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        // Each round takes at least two bytes or fails, so a lying count costs nothing.
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = self.uvarint()?;
            let size = self.check(u64::from(size))?;
            let outer = self.end;
            self.end = self.position + size;
            if read(self, tag)? {
                self.finish()?;
            }
            self.position = self.end;
            self.end = outer;
        }
        Ok(())
    }
}
