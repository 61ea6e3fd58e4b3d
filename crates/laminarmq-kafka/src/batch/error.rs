//! Why a batch is refused, and what the sender is told.

use super::compression::Compression;
use crate::ErrorCode;

/// Why bytes are not a batch that this crate accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a head has.
    #[error("{bytes} bytes do not hold the head of a record batch")]
    TooShort {
        /// Bytes that were there.
        bytes: usize,
    },
    /// Not format v2: old message sets (0, 1), or a format that does not exist yet.
    #[error("record batch format {0} is not supported, only 2 is")]
    Magic(u8),
    /// A length field that cannot hold a head.
    #[error("the length of the record batch is {0}")]
    Length(i32),
    /// The batch is longer than the bytes that came.
    #[error("the record batch has {declared} bytes by its length field, but only {actual} came")]
    Truncated {
        /// Bytes of the batch by its length field.
        declared: usize,
        /// Bytes that were there.
        actual: usize,
    },
    /// Something follows where one batch was allowed.
    #[error("{actual} bytes came where one record batch of {declared} bytes is allowed")]
    MoreThanOneBatch {
        /// Bytes of the first batch by its length field.
        declared: usize,
        /// Bytes that were there.
        actual: usize,
    },
    /// The batch as it came is above the limit.
    #[error("the record batch has {size} bytes, {max} are allowed")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The sum does not fit the bytes.
    #[error("the CRC of the record batch is {computed:#010x}, but it carries {stored:#010x}")]
    Crc {
        /// As the batch carries it.
        stored: u32,
        /// As the bytes have it.
        computed: u32,
    },
    /// A codec number without a codec.
    #[error("compression codec {0} is unknown")]
    UnknownCodec(u8),
    /// Attribute bits without a meaning, or with one that only brokers may use.
    #[error("attributes {0:#06x} of the record batch are not for producers")]
    Attributes(u16),
    /// Control batches are written by brokers alone.
    #[error("control batches are not accepted from clients")]
    ControlBatch,
    /// Transactions are not served yet.
    #[error("transactional record batches are not supported")]
    Transactional,
    /// The batch says that the broker set its timestamps, but it comes from a producer.
    #[error("producers cannot set log append time")]
    AppendTimeFromProducer,
    /// No records, or a count that differs from the range of offsets.
    #[error("{record_count} records do not fit a last offset delta of {last_offset_delta}")]
    RecordCount {
        /// By the head.
        record_count: i32,
        /// By the head.
        last_offset_delta: i32,
    },
    /// Producer id, epoch and sequence contradict each other.
    #[error("producer id {id} with epoch {epoch} and base sequence {sequence} is invalid")]
    Producer {
        /// By the head.
        id: i64,
        /// By the head.
        epoch: i16,
        /// By the head.
        sequence: i32,
    },
    /// A record cannot be decoded.
    #[error("record {index}: {fault}")]
    Record {
        /// Position in the batch, from 0.
        index: u32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// The records' offsets are not dense.
    #[error("record {index} has offset delta {found}")]
    OffsetDelta {
        /// Position in the batch, from 0; also the offset delta it should have.
        index: u32,
        /// The offset delta it has.
        found: i32,
    },
    /// The sum of base timestamp and a record's delta overflows.
    #[error("record {index} has an invalid timestamp")]
    Timestamp {
        /// Position in the batch, from 0.
        index: u32,
    },
    /// Bytes follow the last record.
    #[error("bytes follow the last record of the batch")]
    BytesAfterRecords,
    /// The compressed records cannot be decompressed.
    #[error("{codec} data: {fault}")]
    Compressed {
        /// By the attributes.
        codec: Compression,
        /// What is wrong with it.
        fault: CompressedFault,
    },
    /// The compressed records are larger than allowed.
    #[error("the records decompress to more than {max} bytes")]
    DecompressedTooLarge {
        /// The limit.
        max: u64,
    },
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The records end before this one does.
    #[error("the records end inside it")]
    Truncated,
    /// A variable-length integer does not fit its type.
    #[error("a number does not fit its type")]
    Number,
    /// The length of the record is negative, or not what its fields take.
    #[error("its length is wrong")]
    Length,
    /// A key's length is below -1 or beyond the record.
    #[error("its key has an invalid length")]
    Key,
    /// A value's length is below -1 or beyond the record.
    #[error("its value has an invalid length")]
    Value,
    /// The number of headers is negative, or more than the record has room for.
    #[error("its number of headers is invalid")]
    HeaderCount,
    /// A header's key has a negative length or lies beyond the record.
    #[error("the key of a header has an invalid length")]
    HeaderKey,
    /// A header's value has a length below -1 or lies beyond the record.
    #[error("the value of a header has an invalid length")]
    HeaderValue,
}

/// What is wrong with compressed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompressedFault {
    /// The stream is damaged, ends early, or is none of this codec.
    #[error("the stream is damaged")]
    Damaged,
    /// Something follows the end of the compressed stream.
    #[error("bytes follow the end of the stream")]
    BytesAfterEnd,
    /// A stream that uses what other clients cannot read, or a version that is newer than what is known:
    /// lz4 with linked blocks or a dictionary, snappy in a newer framing.
    #[error("the stream uses a feature that is not supported")]
    Unsupported,
}

impl BatchError {
    /// The error code of the protocol for it.
    ///
    /// Producers retry 2 (damaged on its way), split the batch on 10 and give up on the others.
    #[must_use]
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::TooShort { .. } | Self::Length(_) | Self::Truncated { .. } | Self::Crc { .. } => {
                ErrorCode::CORRUPT_MESSAGE
            }
            Self::TooLarge { .. } | Self::DecompressedTooLarge { .. } => {
                ErrorCode::MESSAGE_TOO_LARGE
            }
            Self::AppendTimeFromProducer | Self::Timestamp { .. } => ErrorCode::INVALID_TIMESTAMP,
            Self::Magic(_) | Self::Transactional => ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT,
            Self::UnknownCodec(_) => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            Self::MoreThanOneBatch { .. }
            | Self::Attributes(_)
            | Self::ControlBatch
            | Self::RecordCount { .. }
            | Self::Producer { .. }
            | Self::Record { .. }
            | Self::OffsetDelta { .. }
            | Self::BytesAfterRecords
            | Self::Compressed { .. } => ErrorCode::INVALID_RECORD,
        }
    }
}
