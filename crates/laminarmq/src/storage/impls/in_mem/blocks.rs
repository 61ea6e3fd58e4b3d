//! Bytes that grow at their end and never move, so that growing copies nothing.
//!
//! Invariants:
//!
//! ```text
//! blocks[0].start == 0; blocks[i + 1].start == blocks[i].start + blocks[i].bytes.len()
//! no block is empty
//! what was appended with one call stands in one block
//! a block never gets more room than it was made with
//! ```

use std::borrow::Cow;
use std::ops::Deref;

use crate::limits::{MEMORY_BLOCK_BYTES_MAX, MEMORY_BLOCK_BYTES_MIN};

#[derive(Debug)]
struct Block {
    /// Place of the first byte among all.
    start: usize,
    bytes: Vec<u8>,
}

/// A sequence of bytes in blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<Block>);

impl Blocks {
    /// A copy of bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let mut blocks = Self::default();
        if !bytes.is_empty() {
            blocks.0.push(Block { start: 0, bytes });
        }
        blocks
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, Block::end)
    }

    /// Appends pieces, one after the other; returns where all ends.
    #[inline]
    pub(super) fn append<P: Deref<Target = [u8]>>(&mut self, pieces: &[P]) -> usize {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        let has_room = self.0.last().is_some_and(|last| length <= last.room());
        if !has_room {
            self.add_block(length);
        }
        let Some(last) = self.0.last_mut() else {
            return 0;
        };
        for piece in pieces {
            last.bytes.extend_from_slice(piece);
        }
        last.end()
    }

    /// Makes room for so many bytes that the last block has not, unless they are none.
    #[cold]
    fn add_block(&mut self, length: usize) {
        let start = self.len();
        let usual = start.clamp(MEMORY_BLOCK_BYTES_MIN, MEMORY_BLOCK_BYTES_MAX);
        if length > 0 {
            let bytes = Vec::with_capacity(length.max(usual));
            self.0.push(Block { start, bytes });
        }
    }

    /// Cuts to `length`, which is at most what there is.
    pub(super) fn truncate(&mut self, length: usize) {
        while self.0.pop_if(|last| last.start >= length).is_some() {}
        if let Some(last) = self.0.last_mut() {
            last.bytes.truncate(length - last.start);
        }
    }

    /// `size` bytes from `position`, where they stand if they do so in one block; `None` where there are not as many.
    #[inline]
    pub(super) fn get(&self, position: usize, size: usize) -> Option<Cow<'_, [u8]>> {
        let end = position.checked_add(size)?;
        // Nothing, at the very end of everything or of a block, is in the block before as well.
        let number = self.0.partition_point(|block| block.end() < end);
        let Some(block) = self.0.get(number) else {
            return (end == 0).then_some(Cow::Borrowed(&[]));
        };
        match position.checked_sub(block.start) {
            Some(from) => Some(Cow::Borrowed(&block.bytes[from..from + size])),
            None => Some(Cow::Owned(self.gather(position, end))),
        }
    }

    /// The bytes from `position` to `end`, which are all there.
    fn gather(&self, position: usize, end: usize) -> Vec<u8> {
        let mut gathered = Vec::with_capacity(end - position);
        let first = self.0.partition_point(|block| block.end() <= position);
        for block in &self.0[first..] {
            if block.start >= end {
                break;
            }
            let (from, to) = (position.max(block.start), end.min(block.end()));
            gathered.extend_from_slice(&block.bytes[from - block.start..to - block.start]);
        }
        gathered
    }
}

impl Block {
    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }

    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends of all kinds beside one vector with the same bytes.
    fn both(lengths: &[usize]) -> (Blocks, Vec<u8>) {
        let (mut blocks, mut plain) = (Blocks::default(), Vec::new());
        for (number, length) in lengths.iter().enumerate() {
            let byte = u8::try_from(number % 251).unwrap();
            let bytes = vec![byte; *length];
            let (head, tail) = bytes.split_at(length / 3);
            let end = blocks.append(&[head, tail]);
            plain.extend_from_slice(&bytes);
            assert_eq!((end, blocks.len()), (plain.len(), plain.len()));
        }
        (blocks, plain)
    }

    fn lengths() -> Vec<usize> {
        let (least, most) = (MEMORY_BLOCK_BYTES_MIN, MEMORY_BLOCK_BYTES_MAX);
        let mut lengths = vec![0, 1, 0, least - 1, 1, least, 3 * least, most + 1, 0, 7];
        lengths.extend([1000; 50]);
        lengths.extend([most - 1, 2, most, most]);
        lengths
    }

    #[test]
    fn all_ranges_read_as_they_were_appended() {
        let (blocks, plain) = both(&lengths());
        let mut places: Vec<usize> = blocks.0.iter().map(|block| block.start).collect();
        places.push(plain.len());
        assert!(places.len() > 5, "there are several blocks: {places:?}");
        for start in &places {
            for end in &places {
                for (from, to) in [(*start, *end), (start + 1, end.saturating_sub(1))] {
                    let want = plain.get(from..to);
                    let got = (from <= to).then(|| blocks.get(from, to - from)).flatten();
                    assert_eq!(got.as_deref(), want, "{from}..{to}");
                }
            }
        }
        assert!(blocks.get(plain.len(), 0).is_some());
        for (position, size) in [(plain.len(), 1), (plain.len() + 1, 0), (usize::MAX, 1)] {
            assert!(blocks.get(position, size).is_none());
        }
        assert!(Blocks::default().get(0, 0).is_some());
        assert!(Blocks::default().get(0, 1).is_none());
    }

    #[test]
    fn one_append_is_lent_and_not_copied() {
        let lengths = lengths();
        let (blocks, _) = both(&lengths);
        let mut position = 0;
        for length in lengths {
            let got = blocks.get(position, length).unwrap();
            assert!(matches!(got, Cow::Borrowed(_)), "{length} at {position}");
            position += length;
        }
    }

    #[test]
    fn what_is_cut_is_gone_and_appends_go_on_there() {
        let whole = both(&lengths()).1.len();
        for cut in [0, 1, MEMORY_BLOCK_BYTES_MIN, whole / 2, whole - 1, whole] {
            let (mut blocks, mut plain) = both(&lengths());
            blocks.truncate(cut);
            plain.truncate(cut);
            assert_eq!(blocks.len(), cut);
            assert!(blocks.get(cut, 1).is_none());
            blocks.append(&[&b"more"[..]]);
            plain.extend_from_slice(b"more");
            assert_eq!(blocks.get(0, cut + 4).as_deref(), Some(&plain[..]));
            assert_eq!(blocks.get(cut, 4).as_deref(), Some(&b"more"[..]));
        }
    }
}
