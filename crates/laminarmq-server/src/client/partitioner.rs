//! Which partition a record without one goes to.
//!
//! Records with a key: murmur2 of the key, as the Java client computes it, so that both put a key into
//! the same partition. Records without: one partition until its batch leaves, then the next, so that
//! batches fill.

/// The partition of `key` among `count`.
pub(super) fn by_key(key: &[u8], count: usize) -> usize {
    let positive = murmur2(key) & 0x7fff_ffff;
    let positive = usize::try_from(positive).expect("31 bits fit");
    positive % count
}

const SEED: u32 = 0x9747_b28c;
const MIX: u32 = 0x5bd1_e995;

/// MurmurHash2, 32 bits, with the seed that Kafka's clients use.
fn murmur2(bytes: &[u8]) -> u32 {
    // The format of the hash takes the length modulo 2^32.
    #[expect(clippy::cast_possible_truncation, reason = "the hash is defined so")]
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MIX);
        mixed = (mixed ^ (mixed >> 24)).wrapping_mul(MIX);
        hash = hash.wrapping_mul(MIX) ^ mixed;
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(MIX);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs from the tests of Kafka's own clients, where the hash is a signed number.
    #[test]
    fn murmur2_agrees_with_the_java_client() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn a_key_stays_in_its_partition_and_in_range() {
        for count in [1, 2, 3, 7, 100] {
            for key in 0..1000u32 {
                let key = key.to_string();
                let partition = by_key(key.as_bytes(), count);
                assert!(partition < count);
                assert_eq!(by_key(key.as_bytes(), count), partition);
            }
        }
        // "foobar": -790332482 & 0x7fffffff = 1357151166.
        assert_eq!(by_key(b"foobar", 1000), 166);
    }
}
