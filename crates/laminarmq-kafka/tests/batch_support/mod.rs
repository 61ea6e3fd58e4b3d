//! What the tests of record batches share: records as values, a small generator, batches made by hand.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary includes it and uses a part"
)]

use bytes::Bytes;
use laminarmq_kafka::batch::{
    Attributes, BatchBuilder, BatchHeader, Compression, HEAD_BYTES, NewRecord, Record, records,
};
use laminarmq_kafka::primitives::varint::{put_i32, put_i64};
use proptest::prelude::*;

/// A record as a plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Plain {
    pub fn of_value(timestamp: i64, value: &[u8]) -> Self {
        Self {
            timestamp,
            key: None,
            value: Some(value.to_vec()),
            headers: Vec::new(),
        }
    }
}

impl From<&Record> for Plain {
    fn from(record: &Record) -> Self {
        Self {
            timestamp: record.timestamp,
            key: record.key.as_deref().map(Vec::from),
            value: record.value.as_deref().map(Vec::from),
            headers: record
                .headers
                .iter()
                .map(|h| (h.key_text().into_owned(), h.value.as_deref().map(Vec::from)))
                .collect(),
        }
    }
}

pub fn push_all(builder: &mut BatchBuilder, records: &[Plain]) {
    for record in records {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()))
            .collect();
        builder
            .push(&NewRecord {
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            })
            .unwrap();
    }
}

pub fn build(codec: Compression, records: &[Plain]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    push_all(&mut builder, records);
    builder.build()
}

/// All records of a batch, or the first error.
pub fn read(batch: &Bytes) -> Result<Vec<Record>, laminarmq_kafka::batch::BatchError> {
    records(batch, &Default::default())?.collect()
}

fn field() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(Just(b'x'), 0..3_000),
    ])
}

/// Any record: null and empty fields, headers of every kind, times in any order.
pub fn plain() -> impl Strategy<Value = Plain> {
    let timestamp = prop_oneof![
        4 => 1_700_000_000_000i64..1_700_000_100_000,
        1 => Just(-1i64),
        1 => 0..i64::MAX,
    ];
    let headers = prop::collection::vec(("[a-zü]{0,6}", field()), 0..4);
    (timestamp, field(), field(), headers).prop_map(|(timestamp, key, value, headers)| Plain {
        timestamp,
        key,
        value,
        headers,
    })
}

pub fn codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(&Compression::ALL[..])
}

/// A batch around `body`, with the CRC that belongs to it.
pub fn seal(count: i32, body: &[u8], edit: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader {
        base_offset: 0,
        size: HEAD_BYTES + body.len(),
        partition_leader_epoch: -1,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: count - 1,
        base_timestamp: 1_000,
        max_timestamp: 1_000,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: count,
    };
    edit(&mut header);
    let mut batch = header.encode().to_vec();
    batch.extend_from_slice(body);
    fix_crc(&mut batch);
    batch.into()
}

/// Gives a batch the CRC that belongs to its bytes.
pub fn fix_crc(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// A record whose every number can be wrong.
#[derive(Debug, Clone)]
pub struct RawRecord {
    /// Added to the length that would be right.
    pub length_off_by: i32,
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key_length: i32,
    pub value_length: i32,
    pub header_count: i32,
    /// What follows the number of headers.
    pub tail: Vec<u8>,
}

impl Default for RawRecord {
    fn default() -> Self {
        Self {
            length_off_by: 0,
            timestamp_delta: 0,
            offset_delta: 0,
            key_length: -1,
            value_length: 3,
            header_count: 0,
            tail: Vec::new(),
        }
    }
}

impl RawRecord {
    /// The value is always "abc", whatever its length says.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = vec![0];
        put_i64(&mut body, self.timestamp_delta);
        put_i32(&mut body, self.offset_delta);
        put_i32(&mut body, self.key_length);
        put_i32(&mut body, self.value_length);
        body.extend_from_slice(b"abc");
        put_i32(&mut body, self.header_count);
        body.extend_from_slice(&self.tail);
        let mut out = Vec::new();
        put_i32(
            &mut out,
            i32::try_from(body.len()).unwrap() + self.length_off_by,
        );
        out.extend(body);
        out
    }
}

/// A generator with a seed, for loops of many cheap cases.
pub struct Lcg(pub u64);

impl Lcg {
    pub fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next()).unwrap() % bound
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
