//! The head of a batch: 61 bytes of fixed fields, all big endian.
//!
//! ```text
//!   0         8        12        16 17       21       23        27        35        43
//!   +---------+--------+---------+--+--------+--------+---------+---------+---------+
//!   | base    | batch  | leader  |mg| crc    | attri- | last    | base    | max     |
//!   | offset  | length | epoch   |2 |        | butes  | offset  | time-   | time-   |
//!   |         |        |         |  |        |        | delta   | stamp   | stamp   |
//!   +---------+--------+---------+--+--------+--------+---------+---------+---------+
//!                                            ^ the CRC covers from here to the end of the batch
//!   43        51        53        57       61
//!   +---------+---------+---------+--------+----------------------------------------+
//!   | producer| producer| base    | record | records, compressed as one piece       |
//!   | id      | epoch   | sequence| count  |                                        |
//!   +---------+---------+---------+--------+----------------------------------------+
//! ```
//!
//! `batch length` counts from the leader epoch (byte 12) to the end, so a whole batch has 12 bytes more.
//!
//! Outside the CRC lie base offset, batch length, leader epoch and magic. A producer knows neither the
//! offset nor the epoch that its batch will get; since both are outside, a leader sets them without
//! touching the sum or anything behind byte 16, and the producer's own CRC guards the records from the
//! producer to the consumer. A changed length shows itself: the CRC is then taken over other bytes.
//!
//! The leader's clock, where a topic asks for it, lies inside (attributes, max timestamp). CRC-32C is
//! linear, so the new sum follows from the old one and the 40 covered head bytes alone, whatever the
//! length of the body: see [`BatchHeader::stamp_append_time`].

use std::ops::Range;

use super::compression::Compression;
use super::error::BatchError;

const fn field(after: &Range<usize>, bytes: usize) -> Range<usize> {
    after.end..after.end + bytes
}

const BASE_OFFSET: Range<usize> = 0..8;
const BATCH_LENGTH: Range<usize> = field(&BASE_OFFSET, 4);
const LEADER_EPOCH: Range<usize> = field(&BATCH_LENGTH, 4);
const MAGIC: Range<usize> = field(&LEADER_EPOCH, 1);
const CRC: Range<usize> = field(&MAGIC, 4);
const ATTRIBUTES: Range<usize> = field(&CRC, 2);
const LAST_OFFSET_DELTA: Range<usize> = field(&ATTRIBUTES, 4);
const BASE_TIMESTAMP: Range<usize> = field(&LAST_OFFSET_DELTA, 8);
const MAX_TIMESTAMP: Range<usize> = field(&BASE_TIMESTAMP, 8);
const PRODUCER_ID: Range<usize> = field(&MAX_TIMESTAMP, 8);
const PRODUCER_EPOCH: Range<usize> = field(&PRODUCER_ID, 2);
const BASE_SEQUENCE: Range<usize> = field(&PRODUCER_EPOCH, 4);
const RECORD_COUNT: Range<usize> = field(&BASE_SEQUENCE, 4);

/// Bytes of the head: everything in front of the records.
pub const HEAD_BYTES: usize = RECORD_COUNT.end;
const _: () = assert!(HEAD_BYTES == 61);

/// First byte that the CRC covers; it covers all from there to the end of the batch.
const CRC_COVERS_FROM: usize = ATTRIBUTES.start;
const _: () = assert!(CRC_COVERS_FROM == 21);

/// Bytes up to and with the batch length, which that length does not count.
pub(super) const LENGTH_PREFIX_BYTES: usize = BATCH_LENGTH.end;
/// The least value of the batch length: a head without records.
const BATCH_LENGTH_MIN: usize = HEAD_BYTES - LENGTH_PREFIX_BYTES;

/// The only format that is read and written.
const MAGIC_V2: u8 = 2;

/// A head as bytes.
pub type Head = [u8; HEAD_BYTES];

/// A timestamp field without a time.
pub const NO_TIMESTAMP: i64 = -1;
/// The producer id of a batch whose producer has none (not idempotent).
pub const NO_PRODUCER_ID: i64 = -1;
/// The base sequence of a batch whose producer has no id.
pub const NO_SEQUENCE: i32 = -1;

/// The attribute bits of a batch.
///
/// ```text
/// 15 ............ 7 | 6              | 5       | 4             | 3               | 2 .. 0
/// reserved          | delete horizon | control | transactional | log append time | codec
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Attributes(pub u16);

impl Attributes {
    const CODEC: u16 = 0b111;
    const LOG_APPEND_TIME: u16 = 1 << 3;
    const TRANSACTIONAL: u16 = 1 << 4;
    const CONTROL: u16 = 1 << 5;
    const DELETE_HORIZON: u16 = 1 << 6;
    const KNOWN: u16 = Self::CODEC
        | Self::LOG_APPEND_TIME
        | Self::TRANSACTIONAL
        | Self::CONTROL
        | Self::DELETE_HORIZON;

    /// Attributes of a plain batch with this codec.
    #[must_use]
    pub fn of(codec: Compression) -> Self {
        Self(u16::from(codec.id()))
    }

    /// The codec of the records; the number, where it names none, is the error.
    pub fn codec(self) -> Result<Compression, BatchError> {
        let id = (self.0 & Self::CODEC) as u8;
        Compression::from_id(id).ok_or(BatchError::UnknownCodec(id))
    }

    /// The records' time is the broker's, told by the max timestamp of the head.
    #[must_use]
    pub fn is_log_append_time(self) -> bool {
        self.0 & Self::LOG_APPEND_TIME != 0
    }

    /// The batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// The batch holds markers (of transactions), not a user's records.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Compaction put a deadline for tombstones where the base timestamp was.
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// Bits without a meaning.
    #[must_use]
    pub fn unknown(self) -> u16 {
        self.0 & !Self::KNOWN
    }
}

/// The fields of a batch's head.
///
/// Parsing looks at the framing alone (enough bytes, magic 2, a length that holds a head); all other fields
/// are as the sender wrote them. The magic is not among them: it is 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record; set by the leader.
    pub base_offset: i64,
    /// Bytes of the whole batch, with those that the length field itself does not count. At least
    /// [`HEAD_BYTES`].
    pub size: usize,
    /// Epoch (term) of the leader that took the batch; set by the leader.
    pub partition_leader_epoch: i32,
    /// CRC-32C of everything behind it.
    pub crc: u32,
    /// Codec, kind of timestamp, kind of batch.
    pub attributes: Attributes,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// Milliseconds since the epoch that the records' timestamp deltas add to.
    pub base_timestamp: i64,
    /// The largest timestamp of the records, or the time of the append.
    pub max_timestamp: i64,
    /// Id of an idempotent producer, or [`NO_PRODUCER_ID`].
    pub producer_id: i64,
    /// Epoch of that producer, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or [`NO_SEQUENCE`].
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the head at the front of `bytes`; what follows it is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else {
            return Err(BatchError::TooShort { bytes: bytes.len() });
        };
        let magic = head[MAGIC.start];
        if magic != MAGIC_V2 {
            return Err(BatchError::Magic(magic));
        }
        Ok(Self {
            base_offset: i64::from_be_bytes(get(head, BASE_OFFSET)),
            size: total_size(i32::from_be_bytes(get(head, BATCH_LENGTH)))?,
            partition_leader_epoch: i32::from_be_bytes(get(head, LEADER_EPOCH)),
            crc: u32::from_be_bytes(get(head, CRC)),
            attributes: Attributes(u16::from_be_bytes(get(head, ATTRIBUTES))),
            last_offset_delta: i32::from_be_bytes(get(head, LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(get(head, BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(get(head, MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(get(head, PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(get(head, PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(get(head, BASE_SEQUENCE)),
            record_count: i32::from_be_bytes(get(head, RECORD_COUNT)),
        })
    }

    /// The head as bytes.
    ///
    /// # Panics
    /// Where `size` is no size of a batch (below [`HEAD_BYTES`], or its length above `i32::MAX`); a parsed
    /// header's always is.
    #[must_use]
    pub fn encode(&self) -> Head {
        assert!(self.size >= HEAD_BYTES, "a batch holds its head");
        let length = i32::try_from(self.size - LENGTH_PREFIX_BYTES)
            .expect("the length of a batch fits its field");
        let mut head = [0; HEAD_BYTES];
        head[BASE_OFFSET].copy_from_slice(&self.base_offset.to_be_bytes());
        head[BATCH_LENGTH].copy_from_slice(&length.to_be_bytes());
        head[LEADER_EPOCH].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        head[MAGIC.start] = MAGIC_V2;
        head[CRC].copy_from_slice(&self.crc.to_be_bytes());
        head[ATTRIBUTES].copy_from_slice(&self.attributes.0.to_be_bytes());
        head[LAST_OFFSET_DELTA].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        head[BASE_TIMESTAMP].copy_from_slice(&self.base_timestamp.to_be_bytes());
        head[MAX_TIMESTAMP].copy_from_slice(&self.max_timestamp.to_be_bytes());
        head[PRODUCER_ID].copy_from_slice(&self.producer_id.to_be_bytes());
        head[PRODUCER_EPOCH].copy_from_slice(&self.producer_epoch.to_be_bytes());
        head[BASE_SEQUENCE].copy_from_slice(&self.base_sequence.to_be_bytes());
        head[RECORD_COUNT].copy_from_slice(&self.record_count.to_be_bytes());
        head
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset after the last record.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Bytes behind the head.
    #[must_use]
    pub fn body_size(&self) -> usize {
        self.size - HEAD_BYTES
    }

    /// Makes `now_ms` the time of all records, as topics with `message.timestamp.type=LogAppendTime` want
    /// it, and corrects the CRC. The body is not read.
    pub fn stamp_append_time(&mut self, now_ms: i64) {
        self.change_covered(|header| {
            header.attributes.0 |= Attributes::LOG_APPEND_TIME;
            header.max_timestamp = now_ms;
        });
    }

    /// Sets the max timestamp and corrects the CRC. The body is not read.
    pub(super) fn correct_max_timestamp(&mut self, max_timestamp: i64) {
        self.change_covered(|header| header.max_timestamp = max_timestamp);
    }

    /// Changes fields that the CRC covers, and the CRC with them.
    ///
    /// For a head part `a` and a body `b`, crc(a b) = shift(crc(a), |b|) xor crc(b), and shift is linear.
    /// So from head a to head c the sum changes by shift(crc(a) xor crc(c), |b|), whatever b holds.
    fn change_covered(&mut self, change: impl FnOnce(&mut Self)) {
        let before = crc32c::crc32c(&self.encode()[CRC_COVERS_FROM..]);
        change(self);
        let after = crc32c::crc32c(&self.encode()[CRC_COVERS_FROM..]);
        self.crc ^= crc32c::crc32c_combine(before ^ after, 0, self.body_size());
    }
}

/// Sets the two fields that a leader gives a batch. Both lie outside the CRC, so the batch stays whole.
pub fn set_base_offset_and_epoch(head: &mut Head, base_offset: i64, leader_epoch: i32) {
    head[BASE_OFFSET].copy_from_slice(&base_offset.to_be_bytes());
    head[LEADER_EPOCH].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Checks that `batch` is exactly one batch and that its CRC holds, without looking at the records.
///
/// For bytes that were validated when they came in: from the own disk, from the leader, from a broker.
pub fn verify(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = frame(batch)?;
    let computed = crc_of(batch);
    if computed != header.crc {
        return Err(BatchError::Crc {
            stored: header.crc,
            computed,
        });
    }
    Ok(header)
}

/// The head of exactly one batch, whose CRC is not looked at.
pub(super) fn frame(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(batch)?;
    if header.size > batch.len() {
        return Err(BatchError::Truncated {
            declared: header.size,
            actual: batch.len(),
        });
    }
    if header.size < batch.len() {
        return Err(BatchError::MoreThanOneBatch {
            declared: header.size,
            actual: batch.len(),
        });
    }
    Ok(header)
}

/// The CRC that a whole batch must carry.
pub(super) fn crc_of(batch: &[u8]) -> u32 {
    crc32c::crc32c(&batch[CRC_COVERS_FROM..])
}

/// The size of the batch at the front of `bytes`, told by its length field alone; `None` where not even
/// that is there.
pub(super) fn peek_size(bytes: &[u8]) -> Option<Result<usize, BatchError>> {
    let prefix = bytes.first_chunk::<LENGTH_PREFIX_BYTES>()?;
    let length = prefix.last_chunk().expect("the length ends the prefix");
    Some(total_size(i32::from_be_bytes(*length)))
}

fn total_size(batch_length: i32) -> Result<usize, BatchError> {
    match usize::try_from(batch_length) {
        Ok(length) if length >= BATCH_LENGTH_MIN => Ok(length + LENGTH_PREFIX_BYTES),
        _ => Err(BatchError::Length(batch_length)),
    }
}

fn get<const N: usize>(head: &Head, at: Range<usize>) -> [u8; N] {
    head[at].try_into().expect("a field has its width")
}

#[cfg(test)]
mod tests;
