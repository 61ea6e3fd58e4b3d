//! Which nodes hold a partition: rendezvous hashing, so that a change of the nodes moves the least.
//!
//! Each node has a weight for each partition, which follows from the two alone; the heaviest hold it, and
//! the heaviest of all is the one that should lead.

use super::NodeId;
use laminarmq_kafka::Uuid;

/// The `count` nodes for this partition, best first. Fewer where there are fewer.
pub(crate) fn place(topic: Uuid, partition: u32, nodes: &[NodeId], count: usize) -> Vec<NodeId> {
    let mut weighed: Vec<_> = nodes
        .iter()
        .map(|node| (weight(topic, partition, *node), *node))
        .collect();
    weighed.sort_unstable_by(|a, b| b.cmp(a));
    weighed
        .into_iter()
        .map(|(_, node)| node)
        .take(count)
        .collect()
}

fn weight(topic: Uuid, partition: u32, node: NodeId) -> u64 {
    let (high, low) = topic.0.split_at(8);
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("half of 16 bytes"));
    let mut hash = mix(word(high));
    hash = mix(hash ^ word(low));
    hash = mix(hash ^ u64::from(partition));
    mix(hash ^ u64::from(node.get().unsigned_abs()))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014):
/// every bit of the result hangs on every bit of `x`.
fn mix(x: u64) -> u64 {
    let mut x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn nodes(numbers: impl IntoIterator<Item = i32>) -> Vec<NodeId> {
        let node = |number| NodeId::new(number).expect("positive");
        numbers.into_iter().map(node).collect()
    }

    #[test]
    fn every_node_gets_its_share_and_the_order_of_the_nodes_means_nothing() {
        let (there, back) = (nodes(1..=5), nodes((1..=5).rev()));
        let mut held = BTreeMap::<NodeId, [u32; 2]>::new();
        for partition in 0..1000 {
            let placed = place(Uuid([3; 16]), partition, &there, 3);
            assert_eq!(placed, place(Uuid([3; 16]), partition, &back, 3));
            held.entry(placed[0]).or_default()[0] += 1;
            placed
                .iter()
                .for_each(|node| held.entry(*node).or_default()[1] += 1);
        }
        for (node, [leads, holds]) in held {
            assert!((150..250).contains(&leads), "{node} leads {leads} of 1000");
            assert!((540..660).contains(&holds), "{node} holds {holds} of 1000");
        }
    }

    #[test]
    fn a_node_that_comes_moves_only_what_it_gets() {
        let (before, after) = (nodes(1..=4), nodes(1..=5));
        for partition in 0..500 {
            let old = place(Uuid([9; 16]), partition, &before, 2);
            let new = place(Uuid([9; 16]), partition, &after, 2);
            let came = new.iter().filter(|node| !old.contains(node));
            assert!(came.into_iter().all(|node| node.get() == 5));
        }
        assert_eq!(place(Uuid([9; 16]), 0, &before, 9).len(), 4);
    }
}
