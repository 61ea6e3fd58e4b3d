//! The clock of elections, and who was heard of by it.
//!
//! - All shards get the same ticks. One that has no room for a tick is behind, and so is its clock.
//! - As often as heartbeats are sent, a node says to each other one that it is alive, as long as each of its
//!   shards takes its ticks. That one word stands for all groups that rest.
//! - A node that did not say so for [`SILENT_TICKS`] is silent. Each tick tells the shards who is, and they wake
//!   the groups with a replica there.

use super::{Member, NodeId};
use crate::limits::{HEARTBEAT_TICKS, SHARDS_MAX, SILENT_TICKS, TICK};
use crate::peer::Peers;
use crate::routing::Router;
use crate::shard::Input;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Ticks since the start.
    now: AtomicU64,
    /// When each other node said last that it is alive.
    heard: BTreeMap<NodeId, AtomicU64>,
    /// Ticks that each shard took.
    taken: [AtomicU64; SHARDS_MAX],
}

impl Clock {
    pub(super) fn new(me: NodeId, members: &[Member]) -> Self {
        let others = members.iter().map(|member| member.node);
        Self {
            now: AtomicU64::new(0),
            heard: others
                .filter(|node| *node != me)
                .map(|node| (node, AtomicU64::new(0)))
                .collect(),
            taken: [const { AtomicU64::new(0) }; SHARDS_MAX],
        }
    }

    /// A node says that it is alive.
    pub(super) fn heard(&self, node: NodeId) {
        if let Some(heard) = self.heard.get(&node) {
            heard.store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// A shard took a tick.
    pub(crate) fn took(&self, shard: usize) {
        self.taken[shard].fetch_add(1, Ordering::Relaxed);
    }

    /// The next tick: its number.
    fn advance(&self) -> u64 {
        self.now.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Who said nothing for too long.
    pub(crate) fn silent(&self) -> Arc<[NodeId]> {
        let now = self.now.load(Ordering::Relaxed);
        let is_silent = |heard: &AtomicU64| {
            now.saturating_sub(heard.load(Ordering::Relaxed)) >= u64::from(SILENT_TICKS)
        };
        let silent = self.heard.iter().filter(|(_, heard)| is_silent(heard));
        silent.map(|(node, _)| *node).collect()
    }

    /// Whether each shard took all ticks that it was sent.
    fn all_keep_up(&self, sent: &[u64]) -> bool {
        let taken = self.taken.iter().map(|taken| taken.load(Ordering::Relaxed));
        sent.iter().zip(taken).all(|(sent, taken)| *sent == taken)
    }
}

/// Ticks until `stopping`.
pub(super) async fn run(
    clock: Arc<Clock>,
    peers: Peers,
    router: Arc<Router>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = vec![0; router.shard_count()];
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let all_keep_up = clock.all_keep_up(&sent);
        let now = clock.advance();
        let silent = clock.silent();
        for (shard, sent) in sent.iter_mut().enumerate() {
            if let Ok(place) = router.try_reserve(shard) {
                place.send(Input::Tick {
                    silent: Arc::clone(&silent),
                });
                *sent += 1;
            }
        }
        if all_keep_up && now.is_multiple_of(HEARTBEAT_TICKS.into()) {
            peers.say_alive();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_silent_until_it_is_heard_and_after_it_was_not_for_a_while() {
        let [one, two, three] = [1, 2, 3].map(|number| NodeId::new(number).expect("positive"));
        let member = |node| Member {
            node,
            peer: "a:1".parse().expect("an address"),
        };
        let clock = Clock::new(one, &[one, two, three].map(member));
        let ticks = |count| {
            for _ in 0..count {
                clock.advance();
            }
        };
        ticks(SILENT_TICKS - 1);
        assert_eq!(*clock.silent(), []);
        clock.heard(three);
        // Of itself, and of who is none of the cluster, nothing is kept.
        clock.heard(one);
        clock.heard(NodeId::new(4).expect("positive"));
        ticks(1);
        assert_eq!(*clock.silent(), [two]);
        ticks(SILENT_TICKS - 1);
        assert_eq!(*clock.silent(), [two, three]);
        clock.heard(two);
        assert_eq!(*clock.silent(), [three]);
    }

    #[test]
    fn one_shard_that_stands_still_keeps_the_node_from_saying_that_it_is_alive() {
        let clock = Clock::new(NodeId::new(1).expect("positive"), &[]);
        assert!(clock.all_keep_up(&[0, 0]));
        assert!(!clock.all_keep_up(&[1, 1]));
        clock.took(0);
        assert!(!clock.all_keep_up(&[1, 1]));
        clock.took(1);
        assert!(clock.all_keep_up(&[1, 1]));
        // One that had no room for a tick was not sent it.
        clock.took(0);
        assert!(clock.all_keep_up(&[2, 1]));
    }
}
