//! Reading from formats that decompress block by block.

use super::{Stop, take_front};

/// Decompresses the next block of a stream.
pub(super) trait BlockDecoder {
    /// Puts the next block's content into `out`, whatever it held before; a block may be empty. False at
    /// the end of the stream, behind which nothing may follow.
    ///
    /// More than `left` bytes are `TooLarge`, found out before they take memory.
    fn next_block(&mut self, left: u64, out: &mut Vec<u8>) -> Result<bool, Stop>;
}

/// Makes a stream of bytes out of blocks.
pub(super) struct Blocks<D> {
    decoder: D,
    block: Vec<u8>,
    /// Bytes of the block that were read.
    at: usize,
}

impl<D: BlockDecoder> Blocks<D> {
    pub(super) fn new(decoder: D) -> Self {
        Self {
            decoder,
            block: Vec::new(),
            at: 0,
        }
    }

    /// Reads some bytes, none at the end. `left` bytes are allowed, from here on.
    pub(super) fn read(&mut self, out: &mut [u8], left: u64) -> Result<usize, Stop> {
        while self.at == self.block.len() {
            self.at = 0;
            if !self.decoder.next_block(left, &mut self.block)? {
                self.block.clear();
                return Ok(0);
            }
        }
        let mut rest = &self.block[self.at..];
        let taken = take_front(&mut rest, out);
        self.at += taken;
        Ok(taken)
    }
}
