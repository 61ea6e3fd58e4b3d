//! The LZ4 frame format, in the part of it that Kafka's clients read: version 1, independent blocks, no
//! dictionary, one frame.
//!
//! ```text
//!   magic 04 22 4d 18 | FLG | BD | [content size (u64)] | header checksum
//!   { size (u32), high bit: stored as it is | bytes | [checksum (u32)] } ...
//!   0 (u32) | [content checksum (u32)]                                     numbers little endian
//!
//!   FLG  7 6      5            4               3             2                 1         0
//!        version  independent  block checksum  content size  content checksum  reserved  dictionary
//!   BD   6 5 4: block size, 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB; others reserved
//! ```
//!
//! Checksums are XXH32; the header's is its second byte. Frames of linked blocks are refused although they
//! could be read here: the Java consumer cannot.

use std::hash::Hasher;
use std::io::Write;

use lz4_flex::block::{DecompressError, decompress_into};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use super::blocks::BlockDecoder;
use super::{CompressedFault, Stop};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

const VERSION_MASK: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUM: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const FLG_RESERVED: u8 = 1 << 1;
const DICTIONARY: u8 = 1;
const BD_RESERVED: u8 = 0b1000_1111;

/// The high bit of a block's size: its bytes are stored as they are.
const STORED: u32 = 1 << 31;

/// A block's buffer starts with this much and grows fourfold, while the content asks for more.
const BUFFER_BYTES_MIN: usize = 64 * 1024;

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    let info = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder
        .write_all(input)
        .expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail");
}

pub(super) struct Decoder<'a> {
    /// What was not read yet; nothing after the end mark.
    rest: &'a [u8],
    ended: bool,
    block_bytes_max: usize,
    block_checksums: bool,
    content_size: Option<u64>,
    content_hash: Option<XxHash32>,
    produced: u64,
}

impl<'a> Decoder<'a> {
    /// Reads the frame's header.
    pub(super) fn new(input: &'a [u8]) -> Result<Self, Stop> {
        let mut rest = input.strip_prefix(&MAGIC).ok_or(Stop::DAMAGED)?;
        let descriptor = rest;
        let [flags, block_size] = take(&mut rest)?;
        if flags & VERSION_MASK != VERSION
            || flags & FLG_RESERVED != 0
            || block_size & BD_RESERVED != 0
        {
            return Err(Stop::DAMAGED);
        }
        if flags & INDEPENDENT == 0 || flags & DICTIONARY != 0 {
            return Err(Stop::UNSUPPORTED);
        }
        let block_bytes_max = match block_size >> 4 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            _ => return Err(Stop::DAMAGED),
        };
        let content_size = match flags & CONTENT_SIZE {
            0 => None,
            _ => Some(u64::from_le_bytes(take(&mut rest)?)),
        };
        let descriptor = &descriptor[..descriptor.len() - rest.len()];
        let [_, checksum, _, _] = XxHash32::oneshot(0, descriptor).to_le_bytes();
        if take(&mut rest)? != [checksum] {
            return Err(Stop::DAMAGED);
        }
        Ok(Self {
            rest,
            ended: false,
            block_bytes_max,
            block_checksums: flags & BLOCK_CHECKSUM != 0,
            content_size,
            content_hash: (flags & CONTENT_CHECKSUM != 0).then(|| XxHash32::with_seed(0)),
            produced: 0,
        })
    }

    /// Checks what stands behind the last block.
    fn finish(&mut self) -> Result<(), Stop> {
        if self.content_size.is_some_and(|size| size != self.produced) {
            return Err(Stop::DAMAGED);
        }
        if let Some(hash) = &self.content_hash {
            let stored = u32::from_le_bytes(take(&mut self.rest)?);
            if u64::from(stored) != hash.finish() {
                return Err(Stop::DAMAGED);
            }
        }
        if !self.rest.is_empty() {
            return Err(Stop::Fault(CompressedFault::BytesAfterEnd));
        }
        self.ended = true;
        Ok(())
    }
}

impl BlockDecoder for Decoder<'_> {
    fn next_block(&mut self, left: u64, out: &mut Vec<u8>) -> Result<bool, Stop> {
        if self.ended {
            return Ok(false);
        }
        let size = u32::from_le_bytes(take(&mut self.rest)?);
        if size == 0 {
            self.finish()?;
            return Ok(false);
        }
        let bytes = usize::try_from(size & !STORED).map_err(|_| Stop::DAMAGED)?;
        if bytes > self.block_bytes_max {
            return Err(Stop::DAMAGED);
        }
        let (block, rest) = self.rest.split_at_checked(bytes).ok_or(Stop::DAMAGED)?;
        self.rest = rest;
        if self.block_checksums
            && u32::from_le_bytes(take(&mut self.rest)?) != XxHash32::oneshot(0, block)
        {
            return Err(Stop::DAMAGED);
        }

        if size & STORED != 0 {
            if block.len() as u64 > left {
                return Err(Stop::TooLarge);
            }
            out.clear();
            out.extend_from_slice(block);
        } else {
            decompress_block(block, self.block_bytes_max, left, out)?;
        }
        self.produced += out.len() as u64;
        if let Some(hash) = &mut self.content_hash {
            hash.write(out);
        }
        Ok(true)
    }
}

/// Decompresses a block of at most `block_bytes_max` bytes, of which `left` are allowed.
fn decompress_block(
    block: &[u8],
    block_bytes_max: usize,
    left: u64,
    out: &mut Vec<u8>,
) -> Result<(), Stop> {
    let allowed = usize::try_from(left).unwrap_or(usize::MAX);
    let room_max = block_bytes_max.min(allowed);
    // The buffer of the block before, where there was one.
    let mut room = out.capacity().max(BUFFER_BYTES_MIN).min(room_max);
    loop {
        out.resize(room, 0);
        match decompress_into(block, out) {
            Ok(written) => {
                out.truncate(written);
                return Ok(());
            }
            Err(DecompressError::OutputTooSmall { .. }) if room < room_max => {
                room = room.saturating_mul(4).min(room_max);
            }
            Err(DecompressError::OutputTooSmall { .. }) if room < block_bytes_max => {
                return Err(Stop::TooLarge);
            }
            Err(_) => return Err(Stop::DAMAGED),
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Stop> {
    let (front, back) = rest.split_first_chunk().ok_or(Stop::DAMAGED)?;
    *rest = back;
    Ok(*front)
}
