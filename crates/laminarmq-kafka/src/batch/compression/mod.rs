//! The codecs of record batches: whole buffers in, bounded streams out.
//!
//! The records of a batch are one compressed stream that fills the rest of the batch. What is written is
//! what every client reads: gzip with one member, snappy in the framing of the Java clients, lz4 frames of
//! independent blocks, one zstd frame that tells its size.
//!
//! Reading is a stream that never yields more than its limit, ends where the compressed stream ends, and
//! refuses bytes behind it. The memory of a decoder does not follow from what the data claims:
//!
//! | codec | memory beside the caller's buffer |
//! |---|---|
//! | gzip | a fixed window of 32 KiB |
//! | snappy | one block; it is checked first that so many bytes can come out of it |
//! | lz4 | one block, grown while its content needs it, up to the frame's block size (at most 4 MiB) |
//! | zstd | the window up to 8 MiB, beyond that the output, grown while the content needs it |

mod blocks;
mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;
use std::str::FromStr;

use super::error::{BatchError, CompressedFault};
use blocks::Blocks;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, as one raw block or in the framing of the Java clients.
    Snappy,
    /// The LZ4 frame format with independent blocks.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// All codecs, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number in the attributes of a batch.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The number in the attributes of a batch.
    #[must_use]
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name that settings use (`compression.type`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no codec has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {0:?}: use none, gzip, snappy, lz4 or zstd")]
pub struct UnknownCompression(String);

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name() == name)
            .ok_or_else(|| UnknownCompression(name.to_owned()))
    }
}

/// Appends the compressed form of `input` to `out`.
pub(super) fn compress(codec: Compression, input: &[u8], out: &mut Vec<u8>) {
    match codec {
        Compression::None => out.extend_from_slice(input),
        Compression::Gzip => gzip::compress(input, out),
        Compression::Snappy => snappy::compress(input, out),
        Compression::Lz4 => lz4::compress(input, out),
        Compression::Zstd => zstd::compress(input, out),
    }
}

/// Why a codec's own decoder stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Fault(CompressedFault),
    /// There is more than the limit allows.
    TooLarge,
}

impl Stop {
    const DAMAGED: Self = Self::Fault(CompressedFault::Damaged);
    const UNSUPPORTED: Self = Self::Fault(CompressedFault::Unsupported);
}

/// Decompresses one stream, never more than a limit.
pub(super) struct Decompressor<'a> {
    codec: Compression,
    stream: Stream<'a>,
    max: u64,
    /// Bytes that may still come out.
    left: u64,
}

enum Stream<'a> {
    Plain(&'a [u8]),
    Gzip(gzip::Decoder<'a>),
    Snappy(Blocks<snappy::Decoder<'a>>),
    Lz4(Blocks<lz4::Decoder<'a>>),
    Zstd(zstd::Decoder<'a>),
    ZstdWhole(Blocks<zstd::WholeFrame<'a>>),
}

impl<'a> Decompressor<'a> {
    /// Of the one stream that fills `input`; yields `max` bytes at most.
    pub(super) fn new(codec: Compression, input: &'a [u8], max: u64) -> Result<Self, BatchError> {
        let stream = match codec {
            Compression::None => Ok(Stream::Plain(input)),
            Compression::Gzip => Ok(Stream::Gzip(gzip::Decoder::new(input))),
            Compression::Snappy => {
                snappy::Decoder::new(input).map(|decoder| Stream::Snappy(Blocks::new(decoder)))
            }
            Compression::Lz4 => {
                lz4::Decoder::new(input).map(|decoder| Stream::Lz4(Blocks::new(decoder)))
            }
            Compression::Zstd if zstd::has_large_window(input) => {
                zstd::WholeFrame::new(input).map(|frame| Stream::ZstdWhole(Blocks::new(frame)))
            }
            Compression::Zstd => zstd::Decoder::new(input).map(Stream::Zstd),
        };
        match stream {
            Ok(stream) => Ok(Self {
                codec,
                stream,
                max,
                left: max,
            }),
            Err(stop) => Err(error_of(stop, codec, max)),
        }
    }

    /// Reads some bytes; none only where the stream has ended and nothing follows it. `out` has room.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, BatchError> {
        debug_assert!(!out.is_empty(), "none read means the end");
        // One byte of room beyond what is left tells the end from more than is allowed.
        let probe = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX);
        let room = probe.min(out.len());
        let out = &mut out[..room];
        let read = match &mut self.stream {
            Stream::Plain(rest) => Ok(take_front(rest, out)),
            Stream::Gzip(decoder) => decoder.read(out),
            Stream::Snappy(blocks) => blocks.read(out, self.left),
            Stream::Lz4(blocks) => blocks.read(out, self.left),
            Stream::Zstd(decoder) => decoder.read(out),
            Stream::ZstdWhole(blocks) => blocks.read(out, self.left),
        };
        let checked = read.and_then(|read| {
            self.left = self.left.checked_sub(read as u64).ok_or(Stop::TooLarge)?;
            Ok(read)
        });
        checked.map_err(|stop| error_of(stop, self.codec, self.max))
    }
}

fn error_of(stop: Stop, codec: Compression, max: u64) -> BatchError {
    match stop {
        Stop::Fault(fault) => BatchError::Compressed { codec, fault },
        Stop::TooLarge => BatchError::DecompressedTooLarge { max },
    }
}

/// Moves bytes from the front of `rest` into `out`, as many as fit.
fn take_front(rest: &mut &[u8], out: &mut [u8]) -> usize {
    let taken = rest.len().min(out.len());
    let (front, back) = rest.split_at(taken);
    out[..taken].copy_from_slice(front);
    *rest = back;
    taken
}

/// The decompressed form of `input`, where it has at most `max` bytes.
pub(super) fn decompress(
    codec: Compression,
    input: &[u8],
    max: u64,
) -> Result<Vec<u8>, BatchError> {
    const STEP: usize = 16 * 1024;
    let mut source = Decompressor::new(codec, input, max)?;
    let mut out = Vec::new();
    loop {
        let len = out.len();
        // At most as much again as came so far, so that memory follows the content.
        let allowed = usize::try_from(source.left.saturating_add(1)).unwrap_or(usize::MAX);
        out.resize(len + len.max(STEP).min(allowed), 0);
        let mut end = len;
        while end < out.len() {
            match source.read(&mut out[end..])? {
                0 => {
                    out.truncate(end);
                    return Ok(out);
                }
                read => end += read,
            }
        }
    }
}

#[cfg(test)]
mod tests;
