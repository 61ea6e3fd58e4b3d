//! Who leads which partition, as far as this node has heard: from its own replicas, and from the nodes
//! that lead those which have none here. And which nodes are in sync there: from those that lead.
//!
//! - What is known of a group only ever moves to a later term, or from "nobody" to somebody in the same.
//! - Who is in sync is known of the present term only, by its leader's word, the latest one.
//! - A leader is in sync. One that says otherwise is not believed.

use super::NodeId;
use crate::limits::LED_GROUPS_MAX;
use laminarmq_replica::{GroupId, Term};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
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

/// Which nodes are in sync, as the leader of a term told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InSyncAt {
    pub(crate) term: Term,
    pub(crate) nodes: Arc<[NodeId]>,
}

#[derive(Debug)]
struct Known {
    leading: Leading,
    /// `None`: its leader did not say yet.
    in_sync: Option<Arc<[NodeId]>>,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Leaders {
    known: RwLock<HashMap<GroupId, Known>>,
    /// Counts changes of who leads, for whoever waits for one.
    changes: watch::Sender<u64>,
    /// The same of who is in sync.
    in_sync_changes: watch::Sender<u64>,
}

impl Leaders {
    pub(crate) fn new() -> Self {
        Self {
            known: RwLock::new(HashMap::new()),
            changes: watch::Sender::new(0),
            in_sync_changes: watch::Sender::new(0),
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
        if take(&mut known, group, heard) {
            drop(known);
            count(&self.changes);
        }
    }

    /// Takes what `leader` says of who is in sync in a group that it leads.
    pub(crate) fn learn_in_sync(&self, group: GroupId, heard: InSyncAt, leader: NodeId) {
        let InSyncAt { term, nodes } = heard;
        if !nodes.contains(&leader) {
            return;
        }
        let node = Some(leader);
        let leading = Leading { term, node };
        let mut known = self.known.write().expect("no holder panics");
        let leads_anew = take(&mut known, group, leading);
        let known_now = known.get_mut(&group).filter(|it| it.leading == leading);
        let is_news = known_now.is_some_and(|it| {
            let is_news = it.in_sync.as_ref() != Some(&nodes);
            it.in_sync = Some(nodes);
            is_news
        });
        drop(known);
        if leads_anew {
            count(&self.changes);
        }
        if is_news {
            count(&self.in_sync_changes);
        }
    }

    /// Forgets a group that is gone.
    pub(crate) fn forget(&self, group: GroupId) {
        self.known.write().expect("no holder panics").remove(&group);
    }

    pub(crate) fn of(&self, group: GroupId) -> Option<Leading> {
        let known = self.known.read().expect("no holder panics");
        known.get(&group).map(|it| it.leading)
    }

    /// The node that leads a group, if one is known to.
    pub(crate) fn node(&self, group: GroupId) -> Option<NodeId> {
        self.of(group)?.node
    }

    /// Which nodes are in sync in a group, if `leader` leads it and said so.
    pub(crate) fn in_sync(&self, group: GroupId, leader: Leading) -> Option<Arc<[NodeId]>> {
        let known = self.known.read().expect("no holder panics");
        let it = known.get(&group).filter(|it| it.leading == leader)?;
        it.in_sync.clone()
    }

    /// Which nodes are in sync in all groups that a node leads.
    pub(super) fn in_sync_of(&self, leader: NodeId) -> Vec<(GroupId, InSyncAt)> {
        let known = self.known.read().expect("no holder panics");
        let led = known
            .iter()
            .filter(|(_, it)| it.leading.node == Some(leader));
        led.filter_map(|(group, it)| {
            let nodes = it.in_sync.clone()?;
            let term = it.leading.term;
            Some((*group, InSyncAt { term, nodes }))
        })
        .collect()
    }

    /// Changes whenever it was learnt who leads something.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Changes whenever it was learnt who is in sync somewhere.
    pub(super) fn in_sync_changes(&self) -> watch::Receiver<u64> {
        self.in_sync_changes.subscribe()
    }
}

/// Says whether it was news.
fn take(known: &mut HashMap<GroupId, Known>, group: GroupId, heard: Leading) -> bool {
    let is_news = match known.get(&group) {
        // Other nodes name groups; their number is bounded here.
        None => known.len() < LED_GROUPS_MAX,
        Some(before) => heard.is_news_after(before.leading),
    };
    if is_news {
        let (leading, in_sync) = (heard, None);
        known.insert(group, Known { leading, in_sync });
    }
    is_news
}

fn count(changes: &watch::Sender<u64>) {
    changes.send_modify(|count| *count += 1);
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

    #[test]
    fn who_is_in_sync_is_told_by_the_leader_of_the_present_term() {
        let leaders = Leaders::new();
        let group = GroupId(5);
        let node = |number| NodeId::new(number).expect("positive");
        // Who leads in which term by now, and who is in sync there.
        let now = || {
            let leading = leaders.of(group)?;
            let nodes = leaders.in_sync(group, leading);
            let numbers = |nodes: Arc<[NodeId]>| nodes.iter().map(|it| it.get()).collect();
            Some((leading.term.get(), nodes.map(numbers)))
        };
        let tell = |from, term, nodes: &[i32]| -> Option<(u32, Option<Vec<i32>>)> {
            let nodes = nodes.iter().map(|it| node(*it)).collect();
            let term = Term(term);
            leaders.learn_in_sync(group, InSyncAt { term, nodes }, node(from));
            now()
        };
        let news = || *leaders.in_sync_changes().borrow();
        assert_eq!(tell(1, 2, &[2, 3]), None, "it does not count itself");
        assert_eq!(tell(1, 2, &[1, 2]), Some((2, Some(vec![1, 2]))));
        assert_eq!(leaders.node(group), Some(node(1)), "that is news too");
        assert_eq!(news(), 1);
        assert_eq!(tell(1, 2, &[1, 2]), Some((2, Some(vec![1, 2]))));
        assert_eq!(news(), 1);
        assert_eq!(tell(1, 2, &[1]), Some((2, Some(vec![1]))));
        assert_eq!(
            tell(2, 2, &[2, 3]),
            Some((2, Some(vec![1]))),
            "another node"
        );
        assert_eq!(
            tell(1, 1, &[1, 3]),
            Some((2, Some(vec![1]))),
            "an old story"
        );
        assert_eq!(news(), 2);
        assert_eq!(leaders.in_sync_of(node(1)).len(), 1);

        let leading = |term, node| Leading {
            term: Term(term),
            node,
        };
        leaders.learn(group, leading(3, None));
        assert_eq!(now(), Some((3, None)), "of a term that is over");
        leaders.learn(group, leading(3, Some(node(2))));
        assert_eq!(now(), Some((3, None)));
        assert!(leaders.in_sync_of(node(2)).is_empty());
        assert_eq!(tell(2, 3, &[2, 3]), Some((3, Some(vec![2, 3]))));
        let [of_one, of_two] = [1, 2].map(|number| leading(3, Some(node(number))));
        assert_eq!(leaders.in_sync(group, of_one), None);
        assert!(leaders.in_sync(group, of_two).is_some());
    }
}
