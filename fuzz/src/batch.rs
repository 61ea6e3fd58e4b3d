//! Record batches: what passes the check can be read to its end, and nothing grows past its bounds.
//!
//! An input is: a byte whose lowest bit has length, magic and CRC made right, and the batch.

use bytes::Bytes;
use laminarmq_kafka::batch::{
    BatchBuilder, BatchHeader, BatchLimits, Compression, HEAD_BYTES, NewRecord, batches, records,
    validate, verify,
};

use crate::memory;

const LIMITS: BatchLimits = BatchLimits {
    batch_bytes_max: 64 << 10,
    decompressed_bytes_max: 256 << 10,
};

/// What checking a batch may hold at once, whatever its size: buffers and tables of the decompressors.
const CHECK_BYTES_MAX: u64 = 1 << 20;
/// What reading one may hold at once: its records, in a buffer that grew by doubling, and the same tables.
const READ_BYTES_MAX: u64 = CHECK_BYTES_MAX + 3 * LIMITS.decompressed_bytes_max;

/// Runs everything that takes foreign batches over the bytes.
pub fn check(input: &[u8]) {
    let Some((mode, batch)) = input.split_first() else {
        return;
    };
    let mut batch = batch.to_vec();
    if mode & 1 != 0 {
        make_right(&mut batch);
    }
    let batch = Bytes::from(batch);
    let _ = BatchHeader::parse(&batch);
    let _ = verify(&batch);
    memory::peak_within(READ_BYTES_MAX, || read_all(&batch));
    let checked = memory::peak_within(CHECK_BYTES_MAX, || validate(batch.clone(), &LIMITS));
    let Ok(checked) = checked else { return };

    let placed = checked.to_bytes(1_000, 5);
    let header = verify(&placed).expect("an accepted batch is whole");
    let read: Vec<_> = records(&placed, &LIMITS)
        .and_then(Iterator::collect)
        .expect("an accepted batch can be read");
    assert_eq!(read.len(), checked.record_count() as usize);
    assert_eq!(header.base_offset, 1_000);
    for (offset, record) in (1_000..).zip(&read) {
        assert_eq!(record.offset, offset);
    }
    assert_eq!(
        header.next_offset(),
        1_000 + i64::from(checked.record_count())
    );
    let max = read.iter().map(|record| record.timestamp).max();
    assert_eq!(Some(checked.max_timestamp()), max);
}

/// As a consumer does: batch by batch, record by record, up to the first error of each.
fn read_all(bytes: &Bytes) {
    for batch in batches(bytes.clone()) {
        let Ok(records) = batch.and_then(|batch| batch.records(&LIMITS)) else {
            continue;
        };
        let mut content = 0;
        for record in records {
            let Ok(record) = record else { break };
            content += record.key.map_or(0, |key| key.len());
            content += record.value.map_or(0, |value| value.len());
        }
        let most = LIMITS.decompressed_bytes_max.max(bytes.len() as u64);
        assert!(content as u64 <= most, "{content} bytes of records");
    }
}

fn make_right(batch: &mut [u8]) {
    if batch.len() < HEAD_BYTES {
        return;
    }
    let length = u32::try_from(batch.len() - 12).expect("short");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Batches of every codec: one record, several with headers, and one that repeats itself.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for codec in Compression::ALL {
        for count in [1, 5, 40] {
            let mut builder = BatchBuilder::new(codec);
            for i in 0..count {
                let headers: &[(&str, Option<&[u8]>)] = match i % 3 {
                    0 => &[],
                    1 => &[("a", Some(b"1"))],
                    _ => &[("a", None), ("b", Some(b""))],
                };
                let record = NewRecord {
                    timestamp: 1_700_000_000_000 + i * 7,
                    key: (i % 2 == 0).then_some(b"key"),
                    value: (i % 4 != 1).then_some(b"a value, a value, a value"),
                    headers,
                };
                builder.push(&record).expect("a small record");
            }
            let batch = builder.build();
            for mode in [0, 1] {
                seeds.push([&[mode], &batch[..]].concat());
            }
        }
    }
    seeds
}
