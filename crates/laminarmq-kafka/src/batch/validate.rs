//! The check that every batch from a client passes before anything else sees it.
//!
//! What it lets through, every consumer can decode: one batch and nothing behind it, a CRC that holds, a
//! known codec, as many whole records as the head says, offset deltas 0, 1, 2, ..., and a max timestamp
//! that is the largest of the records.
//!
//! Uncompressed records are walked in place, without an allocation. Compressed ones are walked through a
//! fixed buffer while they are decompressed, and are never in memory as a whole (a raw snappy block is the
//! exception: its format has no smaller unit).

use bytes::{Bytes, BytesMut};

use super::builder::ProducerStamp;
use super::compression::{Compression, Decompressor};
use super::error::BatchError;
use super::header::{
    Attributes, BatchHeader, HEAD_BYTES, Head, NO_PRODUCER_ID, set_base_offset_and_epoch, verify,
};
use super::input::{Input, SliceInput, StreamInput};
use super::record::{self, NoFields};

/// What one batch may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes of a batch as it comes, head included. Kafka's `max.message.bytes`, whose default is this
    /// one's: 1 048 588.
    pub batch_bytes_max: usize,
    /// Bytes of the records of one batch once decompressed. Default: 32 MiB.
    pub decompressed_bytes_max: u64,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            batch_bytes_max: (1 << 20) + 12,
            decompressed_bytes_max: 32 << 20,
        }
    }
}

/// A batch that passed [`validate`]: a head as fields, and the body as it came.
///
/// Cloning is cheap; the body is shared with the bytes that the batch came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBatch {
    header: BatchHeader,
    codec: Compression,
    offset_delta_of_max_timestamp: u32,
    body: Bytes,
}

impl CheckedBatch {
    /// All fields of the head. Base offset and leader epoch are what the producer wrote: without meaning.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Number of records, at least 1. They take as many offsets.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.header.record_count.unsigned_abs()
    }

    /// Offset of the last record less that of the first: the count less 1.
    #[must_use]
    pub fn last_offset_delta(&self) -> u32 {
        self.header.last_offset_delta.unsigned_abs()
    }

    /// Milliseconds since the epoch that the records' timestamps are relative to.
    #[must_use]
    pub fn base_timestamp(&self) -> i64 {
        self.header.base_timestamp
    }

    /// The largest timestamp of the records in milliseconds since the epoch; -1 where they have none; the
    /// time of the append after [`Self::stamp_append_time`].
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        self.header.max_timestamp
    }

    /// Offset, less that of the first record, of the first record that has the max timestamp.
    #[must_use]
    pub fn offset_delta_of_max_timestamp(&self) -> u32 {
        self.offset_delta_of_max_timestamp
    }

    /// Id, epoch and first sequence number of an idempotent producer.
    #[must_use]
    pub fn producer(&self) -> Option<ProducerStamp> {
        (self.header.producer_id != NO_PRODUCER_ID).then_some(ProducerStamp {
            id: self.header.producer_id,
            epoch: self.header.producer_epoch,
            base_sequence: self.header.base_sequence,
        })
    }

    /// Codec, kind of timestamp, kind of batch.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        self.header.attributes
    }

    /// How the records are compressed.
    #[must_use]
    pub fn codec(&self) -> Compression {
        self.codec
    }

    /// The CRC-32C that the batch carries, after corrections.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.header.crc
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn size(&self) -> usize {
        self.header.size
    }

    /// The head for its place in the log; followed by [`Self::body`] it is the batch.
    #[must_use]
    pub fn head(&self, base_offset: i64, leader_epoch: i32) -> Head {
        let mut head = self.header.encode();
        set_base_offset_and_epoch(&mut head, base_offset, leader_epoch);
        head
    }

    /// Everything behind the head, shared with the bytes that came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The whole batch for its place in the log in one piece. This copies the body; where pieces do, use
    /// [`Self::head`] and [`Self::body`].
    #[must_use]
    pub fn to_bytes(&self, base_offset: i64, leader_epoch: i32) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.size());
        bytes.extend_from_slice(&self.head(base_offset, leader_epoch));
        bytes.extend_from_slice(&self.body);
        bytes.freeze()
    }

    /// Makes `now_ms` the time of all records, for topics with `message.timestamp.type=LogAppendTime`.
    /// The CRC is corrected; the body is neither read nor changed.
    pub fn stamp_append_time(&mut self, now_ms: i64) {
        self.header.stamp_append_time(now_ms);
        self.offset_delta_of_max_timestamp = 0;
    }
}

/// Checks a batch from a client, as the module describes it.
///
/// A max timestamp that differs from the records' is corrected rather than refused (with the CRC): clients
/// exist that leave it at -1, and lookups by time stand on it.
pub fn validate(bytes: Bytes, limits: &BatchLimits) -> Result<CheckedBatch, BatchError> {
    if bytes.len() > limits.batch_bytes_max {
        return Err(BatchError::TooLarge {
            size: bytes.len(),
            max: limits.batch_bytes_max,
        });
    }
    let mut header = verify(&bytes)?;
    check_fields(&header)?;
    let codec = header.attributes.codec()?;

    let records = &bytes[HEAD_BYTES..];
    let times = match codec {
        Compression::None => walk(&mut SliceInput::new(records, 0), &header)?,
        codec => {
            let source = Decompressor::new(codec, records, limits.decompressed_bytes_max)?;
            walk(&mut StreamInput::new(source), &header)?
        }
    };
    if header.max_timestamp != times.max {
        header.correct_max_timestamp(times.max);
    }
    let mut body = bytes;
    bytes::Buf::advance(&mut body, HEAD_BYTES);
    Ok(CheckedBatch {
        header,
        codec,
        offset_delta_of_max_timestamp: times.offset_delta_of_max,
        body,
    })
}

/// The fields of the head that need no look at the records.
fn check_fields(header: &BatchHeader) -> Result<(), BatchError> {
    let attributes = header.attributes;
    if attributes.is_control() {
        return Err(BatchError::ControlBatch);
    }
    if attributes.is_transactional() {
        return Err(BatchError::Transactional);
    }
    if attributes.is_log_append_time() {
        return Err(BatchError::AppendTimeFromProducer);
    }
    if attributes.has_delete_horizon() || attributes.unknown() != 0 {
        return Err(BatchError::Attributes(attributes.0));
    }
    if header.record_count < 1 || header.last_offset_delta != header.record_count - 1 {
        return Err(BatchError::RecordCount {
            record_count: header.record_count,
            last_offset_delta: header.last_offset_delta,
        });
    }
    let valid = match header.producer_id {
        // What the other two hold then has no meaning, and clients differ.
        NO_PRODUCER_ID => true,
        id => id >= 0 && header.producer_epoch >= 0 && header.base_sequence >= 0,
    };
    if !valid {
        return Err(BatchError::Producer {
            id: header.producer_id,
            epoch: header.producer_epoch,
            sequence: header.base_sequence,
        });
    }
    Ok(())
}

struct Times {
    max: i64,
    offset_delta_of_max: u32,
}

/// Walks all records, and to the end of the input.
fn walk(input: &mut impl Input, header: &BatchHeader) -> Result<Times, BatchError> {
    let mut times = Times {
        max: i64::MIN,
        offset_delta_of_max: 0,
    };
    for index in 0..header.record_count.unsigned_abs() {
        let deltas = record::scan(input, index, &mut NoFields)?;
        if u32::try_from(deltas.offset) != Ok(index) {
            return Err(BatchError::OffsetDelta {
                index,
                found: deltas.offset,
            });
        }
        let timestamp = header
            .base_timestamp
            .checked_add(deltas.timestamp)
            .ok_or(BatchError::Timestamp { index })?;
        if index == 0 || timestamp > times.max {
            times.max = timestamp;
            times.offset_delta_of_max = index;
        }
    }
    if !input.peek()?.is_empty() {
        return Err(BatchError::BytesAfterRecords);
    }
    Ok(times)
}
