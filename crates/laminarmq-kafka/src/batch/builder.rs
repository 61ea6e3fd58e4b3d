//! Writing: a batch is built record by record.

use bytes::{Bytes, BytesMut};

use super::compression::{Compression, compress};
use super::header::{Attributes, BatchHeader, HEAD_BYTES, NO_PRODUCER_ID, NO_SEQUENCE, crc_of};
use crate::primitives::varint;

/// Who sent a batch, for idempotent producers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerStamp {
    /// Producer id, at least 0.
    pub id: i64,
    /// Epoch of the id, at least 0.
    pub epoch: i16,
    /// Sequence number of the first record of the batch, at least 0; the others follow densely.
    pub base_sequence: i32,
}

/// A record to write. `None` is null, which differs from empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewRecord<'a> {
    /// Milliseconds since the epoch, or -1 for none.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// Headers: key and value.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Why a record cannot join a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The batch, or the record, would be larger than the format can say (2 GiB).
    #[error("the record does not fit into a batch")]
    TooLarge,
    /// The time differs from the first record's by more than the format can say.
    #[error("the timestamp is too far from that of the first record")]
    Timestamp,
}

/// The most bytes of uncompressed records in a batch, so that compressed ones fit their length field even
/// where the codec makes them larger.
const RECORDS_BYTES_MAX: usize = 1 << 30;

/// Collects records, then makes the batch of them; its buffers are used again for the next one.
#[derive(Debug)]
pub struct BatchBuilder {
    codec: Compression,
    producer: Option<ProducerStamp>,
    /// Empty without a record; else room for the head, then the records as they are without a codec.
    buffer: BytesMut,
    /// Bytes that the batch before took there: the next one is likely to be like it.
    expected_size: usize,
    /// A compressed batch, head included, before it is copied to its size.
    compressed: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// Batches with this codec, from a producer without an id.
    #[must_use]
    pub fn new(codec: Compression) -> Self {
        Self {
            codec,
            producer: None,
            buffer: BytesMut::new(),
            expected_size: 0,
            compressed: Vec::new(),
            count: 0,
            base_timestamp: 0,
            max_timestamp: 0,
        }
    }

    /// Sets who sends this batch and those after it; the sequence must be set anew for each.
    pub fn set_producer(&mut self, producer: Option<ProducerStamp>) -> &mut Self {
        self.producer = producer;
        self
    }

    /// Number of records so far.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.count.unsigned_abs() as usize
    }

    /// No records yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far: exact without a codec, and otherwise what it would be without one.
    #[must_use]
    pub fn estimated_size(&self) -> usize {
        self.buffer.len().max(HEAD_BYTES)
    }

    /// What [`Self::estimated_size`] would be with one more record.
    #[must_use]
    pub fn estimated_size_with(&self, record: &NewRecord<'_>) -> usize {
        let body = body_size(
            record,
            self.timestamp_delta(record).unwrap_or(0),
            self.count,
        );
        self.estimated_size() + length_size(body) + body
    }

    /// Relative to the first record, which may be this one.
    fn timestamp_delta(&self, record: &NewRecord<'_>) -> Option<i64> {
        if self.is_empty() {
            return Some(0);
        }
        record.timestamp.checked_sub(self.base_timestamp)
    }

    /// Appends a record. Its offset is the next one of the batch.
    pub fn push(&mut self, record: &NewRecord<'_>) -> Result<(), PushError> {
        let timestamp_delta = self.timestamp_delta(record).ok_or(PushError::Timestamp)?;
        let body = body_size(record, timestamp_delta, self.count);
        let records = self.estimated_size() - HEAD_BYTES;
        if records + length_size(body) + body > RECORDS_BYTES_MAX {
            return Err(PushError::TooLarge);
        }

        let out = &mut self.buffer;
        if out.is_empty() {
            out.reserve(self.expected_size);
            out.resize(HEAD_BYTES, 0);
        }
        out.reserve(body + varint::U32_BYTES_MAX);
        put_length(out, body);
        out.extend_from_slice(&[0]);
        varint::put_i64(out, timestamp_delta);
        varint::put_i32(out, self.count);
        put_nullable(out, record.key);
        put_nullable(out, record.value);
        put_length(out, record.headers.len());
        for (key, value) in record.headers {
            put_nullable(out, Some(key.as_bytes()));
            put_nullable(out, *value);
        }
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
            self.max_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.count += 1;
        Ok(())
    }

    /// The batch of all records so far, at base offset 0; the builder is empty afterwards.
    ///
    /// # Panics
    /// Without a record: a batch holds at least one.
    #[must_use]
    pub fn build(&mut self) -> Bytes {
        assert!(!self.is_empty(), "a batch holds at least one record");
        self.expected_size = self.buffer.len();
        let batch = if self.codec == Compression::None {
            let mut batch = self.buffer.split();
            self.seal(&mut batch);
            batch.freeze()
        } else {
            let mut batch = std::mem::take(&mut self.compressed);
            batch.clear();
            batch.resize(HEAD_BYTES, 0);
            compress(self.codec, &self.buffer[HEAD_BYTES..], &mut batch);
            self.seal(&mut batch);
            self.compressed = batch;
            Bytes::copy_from_slice(&self.compressed)
        };
        self.clear();
        batch
    }

    /// Writes the head in front of the records.
    fn seal(&self, batch: &mut [u8]) {
        let producer = self.producer.unwrap_or(ProducerStamp {
            id: NO_PRODUCER_ID,
            epoch: -1,
            base_sequence: NO_SEQUENCE,
        });
        let mut header = BatchHeader {
            base_offset: 0,
            size: batch.len(),
            partition_leader_epoch: -1,
            crc: 0,
            attributes: Attributes::of(self.codec),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: producer.base_sequence,
            record_count: self.count,
        };
        batch[..HEAD_BYTES].copy_from_slice(&header.encode());
        header.crc = crc_of(batch);
        batch[..HEAD_BYTES].copy_from_slice(&header.encode());
    }

    /// Drops the records so far.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.count = 0;
        self.base_timestamp = 0;
        self.max_timestamp = 0;
    }
}

/// Bytes of a record behind its length.
fn body_size(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: i32) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|(key, value)| nullable_size(Some(key.as_bytes())) + nullable_size(*value))
        .sum();
    1 + varint::len_i64(timestamp_delta)
        + varint::len_i32(offset_delta)
        + nullable_size(record.key)
        + nullable_size(record.value)
        + length_size(record.headers.len())
        + headers
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => 1,
        Some(bytes) => length_size(bytes.len()) + bytes.len(),
    }
}

/// Bytes that [`put_length`] writes; right for any length, so that one too large adds up to too large.
fn length_size(length: usize) -> usize {
    varint::len_u64((length as u64) << 1)
}

fn put_nullable(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put_i32(out, -1),
        Some(bytes) => {
            put_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn put_length(out: &mut BytesMut, length: usize) {
    varint::put_i32(
        out,
        i32::try_from(length).expect("bounded by the records' limit"),
    );
}
