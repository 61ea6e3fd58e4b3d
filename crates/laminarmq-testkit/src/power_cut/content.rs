//! What is sent: batches whose content follows from a stream and a number, so that a reader can tell a true
//! one from every other without having kept it.

use bytes::Bytes;
use laminarmq_kafka::batch::{BatchBuilder, Compression, NewRecord};
use serde::{Deserialize, Serialize};

/// Batches that were sent to one partition in a fixed order, without one being sent twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Stream {
    /// The run of the broker in which it was sent.
    pub(crate) run: usize,
    pub(crate) topic: String,
    /// The how manieth topic of this name, from 0.
    pub(crate) incarnation: u32,
    pub(crate) partition: i32,
}

/// A number that looks random, from a number (the finalizer of splitmix64).
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn seed(stream: &Stream, number: u32) -> u64 {
    let name = format!("{stream:?} {number}");
    name.bytes()
        .fold(0, |seed, byte| scramble(seed ^ u64::from(byte)))
}

/// How many records batch `number` of a stream has.
pub(crate) fn record_count(stream: &Stream, number: u32) -> u64 {
    1 + seed(stream, number) % 6
}

/// Bytes of a value: most far below a sector, some of several, a few of more than 64 KiB.
fn value_bytes(chance: u64) -> u64 {
    let more = chance >> 16;
    match chance % 100 {
        0..70 => 8 + more % 300,
        70..92 => 500 + more % 3000,
        92..99 => 5000 + more % 20_000,
        _ => 66_000 + more % 80_000,
    }
}

/// Batch `number` of a stream, without compression.
pub(crate) fn batch(stream: &Stream, number: u32) -> Bytes {
    let seed = seed(stream, number);
    let mut builder = BatchBuilder::new(Compression::None);
    for record in 0..record_count(stream, number) {
        let key = format!(
            "{}/{} of incarnation {}, run {}: batch {number}, record {record}",
            stream.topic, stream.partition, stream.incarnation, stream.run
        );
        let seed = scramble(seed ^ record);
        let words = value_bytes(seed).div_ceil(8);
        let value: Vec<_> = (0..words)
            .flat_map(|word| scramble(seed ^ word).to_le_bytes())
            .collect();
        let record = NewRecord {
            timestamp: 0,
            key: Some(key.as_bytes()),
            value: Some(&value),
            ..NewRecord::default()
        };
        builder
            .push(&record)
            .expect("a few records fit into a batch");
    }
    builder.build()
}

/// Whether a stored batch is the one that was sent. Its offset and the leader's epoch are the broker's.
pub(crate) fn is_same(stored: &[u8], sent: &[u8]) -> bool {
    const LENGTH: std::ops::Range<usize> = 8..12;
    const FROM_MAGIC: std::ops::RangeFrom<usize> = 16..;
    stored.get(LENGTH) == sent.get(LENGTH) && stored.get(FROM_MAGIC) == sent.get(FROM_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_follows_from_stream_and_number() {
        let stream = Stream {
            run: 0,
            topic: "t".to_owned(),
            incarnation: 0,
            partition: 1,
        };
        let other = Stream {
            incarnation: 1,
            ..stream.clone()
        };
        assert_eq!(batch(&stream, 3), batch(&stream, 3));
        assert!(!is_same(&batch(&stream, 3), &batch(&stream, 4)));
        assert!(!is_same(&batch(&stream, 3), &batch(&other, 3)));
        let mut stored = batch(&stream, 3).to_vec();
        stored[7] = 9;
        stored[15] = 9;
        assert!(is_same(&stored, &batch(&stream, 3)));
        stored[16] ^= 1;
        assert!(!is_same(&stored, &batch(&stream, 3)));
    }

    #[test]
    fn batches_are_of_all_sizes() {
        let stream = Stream {
            run: 0,
            topic: "t".to_owned(),
            incarnation: 0,
            partition: 0,
        };
        let sizes: Vec<_> = (0..100).map(|n| batch(&stream, n).len()).collect();
        for range in [0..512, 512..4096, 65_536..usize::MAX] {
            assert!(sizes.iter().any(|size| range.contains(size)), "{range:?}");
        }
    }
}
