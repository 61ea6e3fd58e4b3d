//! Builds a frame as a list of pieces.
//!
//! Small values gather in a buffer of the writer's own; a shared buffer of at least [`LINK_BYTES_MIN`] bytes
//! becomes a piece of its own and is not copied. The pieces in order are the frame.

use bytes::{BufMut, Bytes, BytesMut};

use super::varint;

/// Shared buffers from this length on are linked, shorter ones copied: below it a piece of its own costs
/// more than the copy.
pub const LINK_BYTES_MIN: usize = 1024;

/// Why a message cannot be written in a version, and which field stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{part}.{field}: {reason}")]
pub struct EncodeError {
    /// The innermost structure that was being written.
    pub part: &'static str,
    /// Its field, or what stands in for one.
    pub field: &'static str,
    /// What was wrong.
    pub reason: EncodeReason,
}

/// What was wrong with the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeReason {
    /// The field has a value that this version cannot carry, and dropping it would change the meaning.
    #[error("version {0} cannot carry this field")]
    NotInVersion(i16),
    /// Null where the version allows none.
    #[error("null is not allowed in version {0}")]
    Null(i16),
    /// A value that is longer than its length field can say.
    #[error("{0} bytes or elements are too many")]
    TooLong(usize),
    /// A version that this codec does not have.
    #[error("version {0} is not supported")]
    UnsupportedVersion(i16),
    /// The header names another API than the message's.
    #[error("the message belongs to another API than the header")]
    WrongApi,
}

impl EncodeError {
    pub(crate) const fn new(reason: EncodeReason) -> Self {
        Self {
            part: "",
            field: "",
            reason,
        }
    }

    /// A place is named by whoever knows it first: the innermost structure.
    pub(crate) fn or_at(mut self, part: &'static str, field: &'static str) -> Self {
        if self.part.is_empty() {
            self.part = part;
            self.field = field;
        }
        self
    }
}

#[derive(Debug)]
enum Piece {
    Own(BytesMut),
    Shared(Bytes),
}

/// A frame in the making.
#[derive(Debug, Default)]
pub struct Writer {
    pieces: Vec<Piece>,
    tail: BytesMut,
    /// Bytes in `pieces`, without the tail.
    before: usize,
}

impl Writer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that begins with room for the four bytes of a frame's length; [`Self::finish_frame`] fills it.
    #[must_use]
    pub fn frame() -> Self {
        let mut writer = Self::new();
        writer.tail.put_i32(0);
        writer
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.before + self.tail.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in order, none of them empty.
    #[must_use]
    pub fn finish(mut self) -> Vec<Bytes> {
        self.seal_tail();
        self.pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Own(bytes) => bytes.freeze(),
                Piece::Shared(bytes) => bytes,
            })
            .collect()
    }

    /// The pieces of a frame begun with [`Self::frame`], its length filled in.
    pub fn finish_frame(mut self) -> Result<Vec<Bytes>, EncodeError> {
        self.seal_tail();
        let body = self.before.saturating_sub(4);
        let body = i32::try_from(body)
            .map_err(|_| EncodeError::new(EncodeReason::TooLong(body)).or_at("Frame", "length"))?;
        let Some(Piece::Own(first)) = self.pieces.first_mut() else {
            unreachable!("a frame begins with its length, in a buffer of the writer's own");
        };
        first[..4].copy_from_slice(&body.to_be_bytes());
        Ok(self.finish())
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.before += self.tail.len();
            self.pieces.push(Piece::Own(self.tail.split()));
        }
    }

    /// Copies bytes in.
    pub fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Adds a shared buffer: linked when it is long, copied when it is short.
    pub fn link(&mut self, bytes: &Bytes) {
        if bytes.len() < LINK_BYTES_MIN {
            self.put(bytes);
        } else {
            self.seal_tail();
            self.before += bytes.len();
            self.pieces.push(Piece::Shared(bytes.clone()));
        }
    }

    /// An 8-bit number.
    pub fn i8(&mut self, value: i8) {
        self.tail.put_i8(value);
    }

    /// A big-endian 16-bit number.
    pub fn i16(&mut self, value: i16) {
        self.tail.put_i16(value);
    }

    /// A big-endian 32-bit number.
    pub fn i32(&mut self, value: i32) {
        self.tail.put_i32(value);
    }

    /// A big-endian 64-bit number.
    pub fn i64(&mut self, value: i64) {
        self.tail.put_i64(value);
    }

    /// An unsigned variable-length number.
    pub fn uvarint(&mut self, value: u32) {
        varint::put_u32(&mut self.tail, value);
    }

    /// A string's length; `None` is null.
    pub(crate) fn string_len(
        &mut self,
        len: Option<usize>,
        compact: bool,
    ) -> Result<(), EncodeError> {
        // Also in flexible versions: the limit belongs to the type, and other implementations keep it.
        let short =
            len.map(|n| i16::try_from(n).map_err(|_| EncodeError::new(EncodeReason::TooLong(n))));
        let raw = short.transpose()?.unwrap_or(-1);
        if compact {
            self.compact_len(i32::from(raw));
        } else {
            self.i16(raw);
        }
        Ok(())
    }

    /// The length of bytes or of an array; `None` is null.
    pub(crate) fn long_len(
        &mut self,
        len: Option<usize>,
        compact: bool,
    ) -> Result<(), EncodeError> {
        let long =
            len.map(|n| i32::try_from(n).map_err(|_| EncodeError::new(EncodeReason::TooLong(n))));
        let raw = long.transpose()?.unwrap_or(-1);
        if compact {
            self.compact_len(raw);
        } else {
            self.i32(raw);
        }
        Ok(())
    }

    /// One above the length, so that null (-1) is 0.
    fn compact_len(&mut self, raw: i32) {
        varint::put_u64(
            &mut self.tail,
            i64::from(raw).wrapping_add(1).cast_unsigned(),
        );
    }

    pub(crate) fn tags(&mut self, tags: Tags) {
        self.uvarint(tags.count);
        let mut body = tags.body;
        body.seal_tail();
        for piece in body.pieces {
            match piece {
                Piece::Own(bytes) => self.put(&bytes),
                Piece::Shared(bytes) => self.link(&bytes),
            }
        }
    }
}

/// The tagged fields of one structure, gathered in ascending order because their count comes first.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    count: u32,
    last: Option<u32>,
    body: Writer,
}

impl Tags {
    /// Adds the field with this tag, whose value `write` writes.
    pub(crate) fn put(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        assert!(self.last < Some(tag), "tags ascend within a schema");
        self.last = Some(tag);
        self.count += 1;
        let mut value = Writer::new();
        write(&mut value)?;
        let len = u32::try_from(value.len())
            .map_err(|_| EncodeError::new(EncodeReason::TooLong(value.len())))?;
        self.body.uvarint(tag);
        self.body.uvarint(len);
        value.seal_tail();
        for piece in value.pieces {
            match piece {
                Piece::Own(bytes) => self.body.put(&bytes),
                Piece::Shared(bytes) => self.body.link(&bytes),
            }
        }
        Ok(())
    }
}
