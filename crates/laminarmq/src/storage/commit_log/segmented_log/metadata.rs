//! How metadata stands in a record.
//!
//! Metadata that serialises to nothing, `()` among it, is not stored at all: such a record is, byte for byte, what
//! [`Log`](crate::Log) writes. Other metadata stands in front of the value, its length before it as four bytes,
//! little-endian, and the record has [`METADATA`] among its flags. The index is not stored with it, since the engine
//! knows it.

use std::error::Error;

use num_traits::Zero;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MetaWithIdx;
use super::segment::SegmentError;
use crate::common::serde_compat::SerializationProvider;

/// Flag of a record that begins with metadata.
pub(crate) const METADATA: u8 = 0x80;

/// Bytes of the metadata's length.
const PREFIX: usize = 4;

/// Metadata as it is written in front of a value.
pub(crate) struct Serialized<B> {
    prefix: [u8; PREFIX],
    bytes: B,
}

impl<B: std::ops::Deref<Target = [u8]>> Serialized<B> {
    pub(crate) fn of<M, SERP, SE>(metadata: &M) -> Result<Self, SegmentError<SE, SERP::Error>>
    where
        M: Serialize,
        SERP: SerializationProvider<SerializedBytes = B>,
    {
        let bytes = SERP::serialize(metadata).map_err(SegmentError::SerializationError)?;
        let length = u32::try_from(bytes.len());
        let length = length.map_err(|_| SegmentError::UsizeU32Inconvertible)?;
        let prefix = length.to_le_bytes();
        Ok(Self { prefix, bytes })
    }

    pub(crate) fn flags(&self) -> u8 {
        if self.bytes.is_empty() { 0 } else { METADATA }
    }

    /// Both empty where nothing is stored.
    pub(crate) fn pieces(&self) -> [&[u8]; 2] {
        if self.bytes.is_empty() {
            [&[], &[]]
        } else {
            [&self.prefix, &self.bytes]
        }
    }

    /// Bytes that are stored.
    pub(crate) fn stored_len(&self) -> u64 {
        self.pieces().iter().map(|piece| piece.len() as u64).sum()
    }
}

/// Where metadata ends in the bytes of a record.
pub(crate) struct Framed {
    metadata_at: usize,
    pub(crate) value_at: usize,
}

impl Framed {
    /// In the first bytes of a record with these flags.
    pub(crate) fn of<SE, SDE>(bytes: &[u8], flags: u8) -> Result<Self, SegmentError<SE, SDE>> {
        if flags & METADATA == 0 {
            return Ok(Self {
                metadata_at: 0,
                value_at: 0,
            });
        }
        let length = bytes.first_chunk::<PREFIX>();
        let length = length.and_then(|length| usize::try_from(u32::from_le_bytes(*length)).ok());
        let value_at = length.and_then(|length| length.checked_add(PREFIX));
        match value_at.filter(|value_at| *value_at <= bytes.len()) {
            Some(value_at) => Ok(Self {
                metadata_at: PREFIX,
                value_at,
            }),
            None => Err(SegmentError::RecordMetadataNotFound),
        }
    }

    pub(crate) fn metadata<M, SERP, SE>(
        &self,
        bytes: &[u8],
    ) -> Result<M, SegmentError<SE, SERP::Error>>
    where
        M: DeserializeOwned,
        SERP: SerializationProvider,
    {
        let stored = &bytes[self.metadata_at..self.value_at];
        SERP::deserialize(stored).map_err(|error| {
            if self.value_at == 0 {
                SegmentError::RecordMetadataNotFound
            } else {
                SegmentError::SerializationError(error)
            }
        })
    }
}

/// What counts for a record beside the bytes that are stored for it: its index in the metadata, and the metadata's
/// length where the metadata is nothing.
pub(crate) fn counted_beside<M, Idx, SERP>() -> Result<u64, SERP::Error>
where
    M: Default + Serialize,
    Idx: Zero + Serialize,
    SERP: SerializationProvider,
    SERP::Error: Error,
{
    let metadata = M::default();
    let alone = SERP::serialized_size(&metadata)?;
    let index = Some(Idx::zero());
    let whole = SERP::serialized_size(&MetaWithIdx { metadata, index })?;
    let prefix = if alone == 0 { PREFIX } else { 0 };
    // A record may count for at most 64 bytes beside what it holds.
    Ok((whole.saturating_sub(alone) + prefix).min(64) as u64)
}
