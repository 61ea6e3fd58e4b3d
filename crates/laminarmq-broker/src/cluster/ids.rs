//! Nodes, and which replica is on which.
//!
//! A replica's id is its node's in the low 32 bits and, above them, which of the node's replicas of that
//! group it is: the first is 0. A replica that may have lost what it acknowledged never comes back as
//! itself, only as the next one. Node 1 alone has replica 1, which is what a single node always wrote.

use laminarmq_replica::ReplicaId;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A node of a cluster: 1 to 2^31 - 1, the same number that Kafka clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(i32);

/// Not the id of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a node id, which is a number from 1 to {max}", max = i32::MAX)]
pub struct NodeIdError(String);

impl NodeId {
    /// A node that was never told an id.
    pub const ALONE: Self = Self(1);

    /// The id with this number, if it is one.
    #[must_use]
    pub fn new(number: i32) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// Its number, as clients see it.
    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }

    /// The node that a replica is on; `None` for an id that no replica has.
    #[must_use]
    pub fn of(replica: ReplicaId) -> Option<Self> {
        let low = u32::try_from(replica.get() & u64::from(u32::MAX)).expect("32 bits");
        Self::new(i32::try_from(low).ok()?)
    }

    /// This node's first replica of any group.
    #[must_use]
    pub fn first_replica(self) -> ReplicaId {
        self.replica(0)
    }

    /// This node's replica of any group, made after it lost its directory so many times.
    pub(crate) fn replica(self, incarnation: u32) -> ReplicaId {
        ReplicaId(u64::from(incarnation) << 32 | u64::from(self.0.unsigned_abs()))
    }
}

/// How many times each node lost its directory, where it ever did: what the metadata group has on record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incarnations(BTreeMap<i32, u32>);

impl Incarnations {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of(&self, node: NodeId) -> u32 {
        self.0.get(&node.get()).copied().unwrap_or(0)
    }

    /// Its present replica of any group.
    pub(crate) fn replica_of(&self, node: NodeId) -> ReplicaId {
        node.replica(self.of(node))
    }

    /// The replica that stands for this one, which was lost with its directory.
    pub(crate) fn successor(&self, replica: ReplicaId) -> Option<ReplicaId> {
        let present = self.replica_of(NodeId::of(replica)?);
        (present > replica).then_some(present)
    }
}

impl FromIterator<(NodeId, u32)> for Incarnations {
    fn from_iter<I: IntoIterator<Item = (NodeId, u32)>>(all: I) -> Self {
        let known = all.into_iter().filter(|(_, incarnation)| *incarnation > 0);
        Self(known.map(|(node, number)| (node.get(), number)).collect())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let number = text.parse().ok().and_then(Self::new);
        number.ok_or_else(|| NodeIdError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_names_its_node_whichever_of_its_replicas_it_is() {
        let node = NodeId::new(7).expect("a node");
        assert_eq!(node.first_replica(), ReplicaId(7));
        assert_eq!(NodeId::of(ReplicaId(7)), Some(node));
        assert_eq!(NodeId::of(ReplicaId(3 << 32 | 7)), Some(node));
        for nobody in [0, 1 << 32, 1 << 31, u64::MAX] {
            assert_eq!(NodeId::of(ReplicaId(nobody)), None, "{nobody}");
        }
    }

    #[test]
    fn a_lost_replica_has_a_successor_and_no_other_has() {
        let node = |number| NodeId::new(number).expect("a node");
        let lost: Incarnations = [(node(1), 0), (node(2), 3)].into_iter().collect();
        assert_eq!(lost.successor(node(1).replica(0)), None);
        for number in 0..3 {
            let successor = lost.successor(node(2).replica(number));
            assert_eq!(successor, Some(node(2).replica(3)));
        }
        // What is not heard of here yet may be newer.
        for number in 3..5 {
            assert_eq!(lost.successor(node(2).replica(number)), None);
        }
        assert_eq!(lost.successor(ReplicaId(0)), None);
    }

    #[test]
    fn ids_are_positive_numbers() {
        assert_eq!("3".parse().ok(), NodeId::new(3));
        for wrong in ["0", "-1", "a", "", "2147483648"] {
            assert!(wrong.parse::<NodeId>().is_err(), "{wrong}");
        }
    }
}
