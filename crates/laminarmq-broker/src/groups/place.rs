//! Which partition of `__consumer_offsets` keeps a group. Settled for good: the partition of a group must
//! be the same for every node and every version.

/// The topic that keeps groups and their offsets.
pub(crate) const GROUPS_TOPIC: &str = "__consumer_offsets";

/// Its partitions when it is made.
pub(crate) const GROUPS_PARTITIONS: u32 = 8;

/// The partition of `group` among `partitions`, which are at least one: the two halves of the group
/// name's 64-bit FNV-1a hash, one XOR the other, modulo the partitions.
pub(crate) fn partition_of(group: &str, partitions: usize) -> usize {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    let hash = group.bytes().fold(OFFSET_BASIS, step);
    let folded = (hash ^ hash >> 32) & u64::from(u32::MAX);
    usize::try_from(folded % partitions as u64).expect("less than the number of partitions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_never_moves() {
        // FNV-1a of "" and "a" are published: cbf29ce484222325 and af63dc4c8601ec8c.
        let folded = |high: u64, low: u64| high ^ low;
        assert_eq!(
            partition_of("", usize::from(u16::MAX)) as u64,
            folded(0xcbf2_9ce4, 0x8422_2325) % u64::from(u16::MAX)
        );
        assert_eq!(
            partition_of("a", 8) as u64,
            folded(0xaf63_dc4c, 0x8601_ec8c) % 8
        );
        let places: Vec<_> = ["orders", "g", "console-consumer-1", "ä"]
            .map(|group| partition_of(group, 8))
            .into();
        assert_eq!(places, [6, 2, 1, 5]);
    }

    #[test]
    fn groups_spread_over_all_partitions() {
        let mut counts = [0; 8];
        for n in 0..8000 {
            counts[partition_of(&format!("group-{n}"), 8)] += 1;
        }
        assert!(counts.iter().all(|n| (800..1200).contains(n)), "{counts:?}");
    }
}
