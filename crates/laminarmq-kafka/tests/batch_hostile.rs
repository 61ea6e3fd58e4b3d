//! Bytes that nobody meant to send: no panic, and what passes the check can be read to its end.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod batch_support;

use std::collections::BTreeMap;

use batch_support::{Lcg, Plain, build, codec, fix_crc, plain, read};
use bytes::Bytes;
use laminarmq_kafka::batch::{
    BatchError, BatchHeader, BatchLimits, Compression, HEAD_BYTES, batches, records, validate,
    verify,
};
use proptest::prelude::*;

const LIMITS: BatchLimits = BatchLimits {
    batch_bytes_max: 10_000,
    decompressed_bytes_max: 10_000,
};

/// Batches to change: small, of every codec, with and without headers.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for codec in Compression::ALL {
        // The last one is so late that a changed delta may be later than late.
        for (count, first) in [(1i64, 0), (3, 1_700_000_000_000), (12, i64::MAX - 100)] {
            let plain: Vec<_> = (0..count)
                .map(|i| Plain {
                    timestamp: first + i * 7,
                    key: (i % 2 == 0).then(|| format!("key-{i}").into_bytes()),
                    value: (i % 3 != 1).then(|| b"a value, a value, ".repeat(3)),
                    headers: (0..i % 3).map(|h| (format!("h{h}"), None)).collect(),
                })
                .collect();
            seeds.push(build(codec, &plain).to_vec());
        }
    }
    seeds
}

/// Runs everything that takes foreign bytes over them; true where the check accepts them.
fn exercise(bytes: Vec<u8>, seen: &mut BTreeMap<String, u32>) -> bool {
    let bytes = Bytes::from(bytes);
    let _ = BatchHeader::parse(&bytes);
    let _ = verify(&bytes);
    for batch in batches(bytes.clone()) {
        if let Ok(records) = batch.and_then(|batch| batch.records(&LIMITS)) {
            let _ = records.count();
        }
    }
    let result = validate(bytes, &LIMITS);
    let name = match &result {
        Ok(_) => "accepted".to_owned(),
        Err(BatchError::Record { fault, .. }) => format!("Record({fault:?})"),
        Err(BatchError::Compressed { codec, fault }) => format!("{codec} {fault:?}"),
        Err(error) => {
            let debug = format!("{error:?}");
            debug.split([' ', '(']).next().unwrap().to_owned()
        }
    };
    *seen.entry(name).or_default() += 1;

    let Ok(checked) = result else { return false };
    let placed = checked.to_bytes(1_000, 5);
    let header = verify(&placed).expect("an accepted batch is whole");
    let read = read(&placed).expect("an accepted batch can be read");
    assert_eq!(read.len(), checked.record_count() as usize);
    assert_eq!(header.next_offset(), 1_000 + read.len() as i64);
    for (offset, record) in (1_000..).zip(&read) {
        assert_eq!(record.offset, offset);
    }
    let max = read.iter().map(|record| record.timestamp).max().unwrap();
    assert_eq!(checked.max_timestamp(), max);
    let at = usize::try_from(checked.offset_delta_of_max_timestamp()).unwrap();
    assert_eq!(read[at].timestamp, max);
    true
}

#[test]
fn a_hundred_thousand_changed_batches() {
    let seeds = seeds();
    let mut random = Lcg(0x5eed);
    let mut seen = BTreeMap::new();
    for case in 0..100_000 {
        let mut bytes = seeds[case % seeds.len()].clone();
        for _ in 0..=random.below(3) {
            // Half of the changes hit the head, the records' first bytes and the stream's header.
            let span = match random.below(2) {
                0 => bytes.len().min(HEAD_BYTES + 20),
                _ => bytes.len(),
            };
            let at = random.below(span);
            match random.below(8) {
                0 => bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xff][random.below(6)],
                1 => bytes.truncate(at.max(HEAD_BYTES)),
                2 => bytes.insert([at, bytes.len()][random.below(2)], random.byte()),
                3 => bytes[at] = bytes[at].wrapping_add(1),
                4 => bytes[at] = random.byte(),
                _ => bytes[at] ^= 1 << random.below(8),
            }
        }
        // Most get a right length, magic and CRC, so that the change reaches what lies behind.
        if random.below(8) != 0 && bytes.len() >= HEAD_BYTES {
            let length = u32::try_from(bytes.len() - 12).unwrap();
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            fix_crc(&mut bytes);
        }
        exercise(bytes, &mut seen);
    }
    println!("{seen:#?}");
    for name in [
        "accepted",
        "AppendTimeFromProducer",
        "Attributes",
        "BytesAfterRecords",
        "ControlBatch",
        "Crc",
        "Length",
        "MoreThanOneBatch",
        "OffsetDelta",
        "Producer",
        "RecordCount",
        "Record(HeaderCount)",
        "Record(HeaderKey)",
        "Record(HeaderValue)",
        "Record(Key)",
        "Record(Length)",
        "Record(Number)",
        "Record(Truncated)",
        "Record(Value)",
        "Timestamp",
        "Transactional",
        "Truncated",
        "UnknownCodec",
        "gzip BytesAfterEnd",
        "gzip Damaged",
        "lz4 BytesAfterEnd",
        "lz4 Damaged",
        "lz4 Unsupported",
        "snappy Damaged",
        "zstd BytesAfterEnd",
        "zstd Damaged",
    ] {
        assert!(seen.contains_key(name), "no case ended in {name}");
    }
}

#[test]
fn noise() {
    let mut random = Lcg(7);
    let mut seen = BTreeMap::new();
    for _ in 0..30_000 {
        let len = random.below(200);
        let mut bytes: Vec<u8> = (0..len).map(|_| random.byte()).collect();
        if len >= HEAD_BYTES {
            let length = u32::try_from(len - 12).unwrap();
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            // Without the bits that end the check early, and with a count that may be right.
            bytes[21..23].copy_from_slice(&[0, random.byte() % 5]);
            let count = random.below(3);
            bytes[23..27].copy_from_slice(&u32::try_from(count).unwrap().to_be_bytes());
            bytes[43..57].fill(0xff);
            bytes[57..61].copy_from_slice(&u32::try_from(count + 1).unwrap().to_be_bytes());
            fix_crc(&mut bytes);
        }
        exercise(bytes, &mut seen);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_flipped_byte_is_caught(
        plain in prop::collection::vec(plain(), 1..4),
        codec in codec(),
        flip in 1u8..,
    ) {
        let good = build(codec, &plain);
        for at in 0..good.len() {
            let mut bytes = good.to_vec();
            bytes[at] ^= flip;
            // Only what the leader overwrites anyway may pass.
            let free = at < 8 || (12..16).contains(&at);
            prop_assert_eq!(verify(&bytes).is_ok(), free, "byte {}", at);
            prop_assert_eq!(validate(bytes.into(), &BatchLimits::default()).is_ok(), free, "byte {}", at);
        }
    }

    #[test]
    fn every_truncation_is_refused(
        plain in prop::collection::vec(plain(), 1..4),
        codec in codec(),
    ) {
        let good = build(codec, &plain);
        for len in 0..good.len() {
            prop_assert!(validate(good.slice(..len), &BatchLimits::default()).is_err());
            // A cut that comes with a length and a CRC of its own.
            if len >= HEAD_BYTES {
                let mut bytes = good[..len].to_vec();
                let length = u32::try_from(len - 12).unwrap();
                bytes[8..12].copy_from_slice(&length.to_be_bytes());
                fix_crc(&mut bytes);
                let bytes = Bytes::from(bytes);
                prop_assert!(validate(bytes.clone(), &BatchLimits::default()).is_err());
                let read = records(&bytes, &BatchLimits::default())
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>);
                prop_assert!(read.is_err());
            }
        }
    }
}
