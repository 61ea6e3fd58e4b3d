//! Snappy, in the two ways that clients write it.
//!
//! Raw: the whole stream is one snappy block, which begins with the size of its content. librdkafka and
//! others write it. Framed, as the xerial library of the Java clients does it:
//!
//! ```text
//!   82 'S' 'N' 'A' 'P' 'P' 'Y' 00 | version (i32) | oldest compatible version (i32)
//!   { length (i32) | raw snappy block } ...                     numbers big endian, both versions 1
//! ```
//!
//! Whatever begins with the eight bytes of the magic is framed. Written is the framed form: clients of any
//! language had to learn it for the sake of Java producers, and its blocks can be read one by one.

use snap::raw;

use super::blocks::BlockDecoder;
use super::{CompressedFault, Stop};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const VERSION: i32 = 1;
const HEADER_BYTES: usize = MAGIC.len() + 4 + 4;

/// Content of a written block, as the Java clients cut it.
const BLOCK_BYTES: usize = 32 * 1024;

/// No element of a block makes more of its bytes: the best is a copy of 64 bytes in three.
const EXPANSION_MAX: u64 = 22;
const _: () = assert!(EXPANSION_MAX * 3 >= 64);

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    let mut encoder = raw::Encoder::new();
    for block in input.chunks(BLOCK_BYTES) {
        let length_at = out.len();
        let start = length_at + 4;
        out.resize(start + raw::max_compress_len(block.len()), 0);
        let written = encoder
            .compress(block, &mut out[start..])
            .expect("there is room for the worst case");
        let length = i32::try_from(written).expect("a small block");
        out[length_at..start].copy_from_slice(&length.to_be_bytes());
        out.truncate(start + written);
    }
}

pub(super) struct Decoder<'a> {
    inner: raw::Decoder,
    form: Form<'a>,
}

enum Form<'a> {
    /// The one block, until it was read.
    Raw(Option<&'a [u8]>),
    /// Blocks that were not read yet.
    Framed(&'a [u8]),
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, Stop> {
        let form = if input.starts_with(&MAGIC) {
            let (header, blocks) = input.split_at_checked(HEADER_BYTES).ok_or(Stop::DAMAGED)?;
            let oldest = header.last_chunk().expect("the header ends with it");
            if i32::from_be_bytes(*oldest) > VERSION {
                return Err(Stop::UNSUPPORTED);
            }
            Form::Framed(blocks)
        } else {
            Form::Raw(Some(input))
        };
        Ok(Self {
            inner: raw::Decoder::new(),
            form,
        })
    }

    /// The next raw block.
    fn next_raw(&mut self) -> Result<Option<&'a [u8]>, Stop> {
        match &mut self.form {
            Form::Raw(block) => Ok(block.take()),
            Form::Framed([]) => Ok(None),
            Form::Framed(blocks) => {
                let (length, rest) = blocks.split_first_chunk().ok_or(Stop::DAMAGED)?;
                let length =
                    usize::try_from(i32::from_be_bytes(*length)).map_err(|_| Stop::DAMAGED)?;
                let (block, rest) = rest.split_at_checked(length).ok_or(Stop::DAMAGED)?;
                *blocks = rest;
                Ok(Some(block))
            }
        }
    }
}

impl BlockDecoder for Decoder<'_> {
    fn next_block(&mut self, left: u64, out: &mut Vec<u8>) -> Result<bool, Stop> {
        let Some(block) = self.next_raw()? else {
            return Ok(false);
        };
        let claimed = raw::decompress_len(block).map_err(|_| Stop::DAMAGED)?;
        if claimed as u64 > block.len() as u64 * EXPANSION_MAX {
            return Err(Stop::Fault(CompressedFault::Damaged));
        }
        if claimed as u64 > left {
            return Err(Stop::TooLarge);
        }
        out.resize(claimed, 0);
        let written = self
            .inner
            .decompress(block, out)
            .map_err(|_| Stop::DAMAGED)?;
        debug_assert_eq!(written, claimed, "a block has the size that it names");
        Ok(true)
    }
}
