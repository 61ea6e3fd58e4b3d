//! Records whose content follows from their number, so that a reader can tell a true one from a damaged
//! or invented one without knowing what was sent.

use bytes::Bytes;
use laminarmq_kafka::batch::{BatchBuilder, Compression, NewRecord};

/// A number that looks random, from a number (the finalizer of splitmix64).
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key of record `number`: the number itself.
#[must_use]
pub fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The number in a key.
#[must_use]
pub fn number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// The value of record `number` of a partition: 32 to 280 bytes.
#[must_use]
pub fn value(partition: i32, number: u64) -> Vec<u8> {
    let seed = scramble(number ^ u64::from(partition.unsigned_abs()) << 56);
    let words = 4 + seed % 32;
    (0..words)
        .flat_map(|word| scramble(seed ^ word).to_le_bytes())
        .collect()
}

/// How many records the batch has that begins with record `first`: 1 to 16.
#[must_use]
pub fn batch_count(first: u64) -> u32 {
    u32::try_from(1 + scramble(first) % 16).expect("at most 16")
}

/// The batch of the records `first .. first + batch_count(first)`, without compression.
#[must_use]
pub fn batch(partition: i32, first: u64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for number in first..first + u64::from(batch_count(first)) {
        let (key, value) = (key(number), value(partition, number));
        let record = NewRecord {
            timestamp: 0,
            key: Some(&key),
            value: Some(&value),
            ..NewRecord::default()
        };
        builder
            .push(&record)
            .expect("16 small records fit into a batch");
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_follows_from_partition_and_number() {
        assert_eq!(value(1, 7), value(1, 7));
        assert_ne!(value(1, 7), value(2, 7));
        assert_ne!(value(1, 7), value(1, 8));
        assert_eq!(number(&key(77)), Some(77));
        assert_eq!(number(b"short"), None);
        assert!((0..1000).all(|first| (1..=16).contains(&batch_count(first))));
        assert!((0..1000).all(|number| (32..=280).contains(&value(0, number).len())));
    }
}
