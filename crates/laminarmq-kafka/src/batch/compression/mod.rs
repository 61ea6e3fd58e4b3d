//! The codecs of record batches.

use std::fmt;
use std::str::FromStr;

use super::error::BatchError;

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
        codec => panic!("{codec}"),
    }
}

/// Decompresses as a stream, never more than a limit.
pub(super) struct Decompressor<'a> {
    input: &'a [u8],
}

impl<'a> Decompressor<'a> {
    /// Of one compressed stream that fills `input`.
    pub(super) fn new(codec: Compression, input: &'a [u8], _max: u64) -> Result<Self, BatchError> {
        match codec {
            Compression::None => Ok(Self { input }),
            codec => Err(BatchError::UnknownCodec(codec.id())),
        }
    }

    /// Reads some bytes, and none only at the end, where nothing may follow.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, BatchError> {
        let n = out.len().min(self.input.len());
        out[..n].copy_from_slice(&self.input[..n]);
        self.input = &self.input[n..];
        Ok(n)
    }
}

/// The decompressed form of `input`, where it has at most `max` bytes.
pub(super) fn decompress(codec: Compression, _: &[u8], _: u64) -> Result<Vec<u8>, BatchError> {
    Err(BatchError::UnknownCodec(codec.id()))
}
