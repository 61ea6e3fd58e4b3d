//! Who leads which partition, as far as this node has heard: from its own replicas, and from the nodes
//! that lead those which have none here.
//!
//! What is known of a group only ever moves to a later term, or from "nobody" to somebody in the same.

use super::NodeId;
use crate::limits::LED_GROUPS_MAX;
use laminarmq_replica::{GroupId, Term};
use std::collections::HashMap;
use std::sync::RwLock;
use tokio::sync::watch;

/// Who leads a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leading {
    pub(crate) term: Term,
    /// `None`: nobody is known to.
    pub(crate) node: Option<NodeId>,
}

impl Leading {
    fn is_news_after(self, before: Self) -> bool {
        let names_somebody = before.node.is_none() && self.node.is_some();
        self.term > before.term || (self.term == before.term && names_somebody)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Leaders {
    known: RwLock<HashMap<GroupId, Leading>>,
    /// Counts changes, for whoever waits for one.
    changes: watch::Sender<u64>,
}

impl Leaders {
    pub(crate) fn new() -> Self {
        Self {
            known: RwLock::new(HashMap::new()),
            changes: watch::Sender::new(0),
        }
    }

    /// Takes what somebody knows of a group. What is known already and as new stays. Shards tell the same
    /// with each batch, so what is no news costs a look.
    pub(crate) fn learn(&self, group: GroupId, heard: Leading) {
        if !self
            .of(group)
            .is_none_or(|before| heard.is_news_after(before))
        {
            return;
        }
        let mut known = self.known.write().expect("no holder panics");
        let is_news = match known.get(&group) {
            // Other nodes name groups; their number is bounded here.
            None => known.len() < LED_GROUPS_MAX,
            Some(before) => heard.is_news_after(*before),
        };
        if is_news {
            known.insert(group, heard);
            drop(known);
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Forgets a group that is gone.
    pub(crate) fn forget(&self, group: GroupId) {
        self.known.write().expect("no holder panics").remove(&group);
    }

    pub(crate) fn of(&self, group: GroupId) -> Option<Leading> {
        let known = self.known.read().expect("no holder panics");
        known.get(&group).copied()
    }

    /// The node that leads a group, if one is known to.
    pub(crate) fn node(&self, group: GroupId) -> Option<NodeId> {
        self.of(group)?.node
    }

    /// Changes whenever something was learnt.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_are_taken() {
        let leaders = Leaders::new();
        let group = GroupId(5);
        let node = NodeId::new;
        let learn = |term, node| {
            let term = Term(term);
            leaders.learn(group, Leading { term, node });
            leaders.of(group).map(|now| (now.term.get(), now.node))
        };
        assert_eq!(learn(2, None), Some((2, None)));
        assert_eq!(learn(2, node(1)), Some((2, node(1))));
        assert_eq!(learn(2, None), Some((2, node(1))), "nothing is unlearnt");
        assert_eq!(learn(2, node(3)), Some((2, node(1))), "one leader per term");
        assert_eq!(learn(1, node(2)), Some((2, node(1))), "an old story");
        assert_eq!(learn(3, None), Some((3, None)));
        assert_eq!(*leaders.changes().borrow(), 3);
        leaders.forget(group);
        assert_eq!(leaders.of(group), None);
    }
}
