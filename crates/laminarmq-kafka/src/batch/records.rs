//! Reading: the batches in a fetch response, and the records in a batch.
//!
//! Keys, values and headers are slices of the batch's own buffer, or of the one buffer that its records
//! were decompressed into. Null and empty are told apart throughout.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::compression::{Compression, decompress};
use super::error::BatchError;
use super::header::{BatchHeader, HEAD_BYTES, frame, peek_size, verify};
use super::input::{Input, SliceInput};
use super::record::{self, Fields};
use super::validate::BatchLimits;

/// One record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since the epoch: the producer's time, or the time of the append where the batch says
    /// so; -1 for none.
    pub timestamp: i64,
    /// The key, where it has one.
    pub key: Option<Bytes>,
    /// The value; none is what compaction calls a tombstone.
    pub value: Option<Bytes>,
    /// Headers, in the producer's order; keys may repeat.
    pub headers: Vec<Header>,
}

/// A header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The key: UTF-8 by convention, which nobody enforces.
    pub key: Bytes,
    /// The value, where it has one.
    pub value: Option<Bytes>,
}

impl Header {
    /// The key as text, with replacement characters for what is not UTF-8.
    #[must_use]
    pub fn key_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.key)
    }
}

/// The records of one batch, by any codec.
///
/// `batch` is exactly one batch; its CRC is not looked at (see [`verify`]). Compressed records are
/// decompressed here, up to the limit.
pub fn records(batch: &Bytes, limits: &BatchLimits) -> Result<Records, BatchError> {
    let header = frame(batch)?;
    let (data, at) = match header.attributes.codec()? {
        Compression::None => (batch.clone(), HEAD_BYTES),
        codec => {
            let limit = limits.decompressed_bytes_max;
            let data = decompress(codec, &batch[HEAD_BYTES..], limit)?;
            (Bytes::from(data), 0)
        }
    };
    Ok(Records {
        header,
        data,
        at,
        index: 0,
        ended: false,
    })
}

/// Iterates over the records of a batch; see [`records`]. After an error it ends.
#[derive(Debug)]
pub struct Records {
    header: BatchHeader,
    /// Holds the records, decompressed, from byte `at` on.
    data: Bytes,
    at: usize,
    index: u32,
    ended: bool,
}

impl Records {
    /// The head of the batch.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    fn read(&mut self) -> Result<Record, BatchError> {
        let mut input = SliceInput::new(&self.data, self.at);
        let mut record = Slices {
            data: &self.data,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let deltas = record::scan(&mut input, self.index, &mut record)?;
        let Slices {
            key,
            value,
            headers,
            ..
        } = record;
        self.at = usize::try_from(input.position()).expect("a position in a buffer");

        let header = &self.header;
        let out_of_range = BatchError::OffsetDelta {
            index: self.index,
            found: deltas.offset,
        };
        let offset = header
            .base_offset
            .checked_add(i64::from(deltas.offset))
            .ok_or(out_of_range)?;
        let timestamp = if header.attributes.is_log_append_time() {
            header.max_timestamp
        } else {
            header
                .base_timestamp
                .checked_add(deltas.timestamp)
                .ok_or(BatchError::Timestamp { index: self.index })?
        };
        self.index += 1;
        Ok(Record {
            offset,
            timestamp,
            key,
            value,
            headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if i64::from(self.index) >= i64::from(self.header.record_count) {
            self.ended = true;
            return (self.at < self.data.len()).then_some(Err(BatchError::BytesAfterRecords));
        }
        let record = self.read();
        self.ended = record.is_err();
        Some(record)
    }
}

impl std::iter::FusedIterator for Records {}

/// Cuts the fields of a record out of the shared buffer.
struct Slices<'a> {
    data: &'a Bytes,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<Header>,
}

impl Slices<'_> {
    fn cut(&self, at: Range<u64>) -> Bytes {
        let index = |at: u64| usize::try_from(at).expect("a position in a buffer");
        self.data.slice(index(at.start)..index(at.end))
    }
}

impl Fields for Slices<'_> {
    fn key(&mut self, at: Option<Range<u64>>) {
        self.key = at.map(|at| self.cut(at));
    }

    fn value(&mut self, at: Option<Range<u64>>) {
        self.value = at.map(|at| self.cut(at));
    }

    fn header(&mut self, key: Range<u64>, value: Option<Range<u64>>) {
        let header = Header {
            key: self.cut(key),
            value: value.map(|at| self.cut(at)),
        };
        self.headers.push(header);
    }
}

/// The batches that stand one after the other in `data`, as in a fetch response or a log.
///
/// A last batch that is not there as a whole ends the iteration quietly: brokers cut responses at a limit,
/// and the rest comes with the next fetch.
#[must_use]
pub fn batches(data: Bytes) -> Batches {
    Batches { data }
}

/// Iterates over batches; see [`batches`]. After an error it ends.
#[derive(Debug, Clone)]
pub struct Batches {
    data: Bytes,
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let size = match peek_size(&self.data)? {
            Ok(size) => size,
            Err(error) => return self.fail(error),
        };
        if size > self.data.len() {
            self.data.clear();
            return None;
        }
        match BatchHeader::parse(&self.data) {
            Ok(header) => Some(Ok(Batch {
                header,
                bytes: self.data.split_to(size),
            })),
            Err(error) => self.fail(error),
        }
    }
}

impl Batches {
    fn fail(&mut self, error: BatchError) -> Option<Result<Batch, BatchError>> {
        self.data.clear();
        Some(Err(error))
    }
}

impl std::iter::FusedIterator for Batches {}

/// One whole batch whose CRC and records nobody has looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// The head.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The batch, head included.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Checks the CRC: one pass over the bytes.
    pub fn verify(&self) -> Result<(), BatchError> {
        verify(&self.bytes).map(|_| ())
    }

    /// The records; see [`records`].
    pub fn records(&self, limits: &BatchLimits) -> Result<Records, BatchError> {
        records(&self.bytes, limits)
    }
}
