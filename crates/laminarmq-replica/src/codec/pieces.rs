//! Bytes to be written, in pieces: small ones gathered, large ones shared.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{LogIndex, LogPoint, Term};

/// Shorter pieces are copied to their neighbours: a copy of so few bytes costs less than one more
/// piece of a vectored write.
pub const SHARED_BYTES_MIN: usize = 512;

/// Gathers bytes in order. What [`PieceWriter::share`] gets is not copied, unless it is short.
#[derive(Debug, Default)]
pub struct PieceWriter {
    done: Vec<Bytes>,
    /// What was written since the last shared piece.
    tail: BytesMut,
    /// Bytes of `done`.
    done_bytes: usize,
}

impl PieceWriter {
    /// Without any bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.done_bytes + self.tail.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.tail.put_u8(value);
    }

    /// Two bytes, the lowest first.
    pub fn u16(&mut self, value: u16) {
        self.tail.put_u16_le(value);
    }

    /// Four bytes, the lowest first.
    pub fn u32(&mut self, value: u32) {
        self.tail.put_u32_le(value);
    }

    /// Eight bytes, the lowest first.
    pub fn u64(&mut self, value: u64) {
        self.tail.put_u64_le(value);
    }

    /// These bytes, copied.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.tail.put_slice(bytes);
    }

    /// These bytes, shared if they are at least [`SHARED_BYTES_MIN`].
    pub fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_BYTES_MIN {
            self.copy(bytes);
        } else {
            self.end_tail();
            self.done_bytes += bytes.len();
            self.done.push(bytes.clone());
        }
    }

    /// Everything of `other`, which is empty then.
    pub fn append(&mut self, other: &mut Self) {
        for piece in other.done.drain(..) {
            self.share(&piece);
        }
        other.done_bytes = 0;
        let tail = other.tail.split();
        if tail.len() < SHARED_BYTES_MIN {
            self.copy(&tail);
        } else {
            self.share(&tail.freeze());
        }
    }

    /// The pieces so far, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let done = self.done.iter().map(|piece| &piece[..]);
        done.chain(std::iter::once(&self.tail[..]))
    }

    /// Takes all pieces out, in order; none is empty.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.end_tail();
        self.done_bytes = 0;
        std::mem::take(&mut self.done)
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.done_bytes += self.tail.len();
            self.done.push(self.tail.split().freeze());
        }
    }

    pub(super) fn term(&mut self, term: Term) {
        self.u32(term.get());
    }

    pub(super) fn index(&mut self, index: LogIndex) {
        self.u64(index.get());
    }

    pub(super) fn point(&mut self, point: LogPoint) {
        self.index(point.index);
        self.term(point.term);
    }

    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            let [low, ..] = value.to_le_bytes();
            self.u8(0x80 | low);
            value >>= 7;
        }
        let [last, ..] = value.to_le_bytes();
        self.u8(last);
    }
}
