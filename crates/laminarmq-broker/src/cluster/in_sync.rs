//! Tells the other nodes which replicas are in sync in the groups that this node leads, so that every node's
//! metadata says the same.
//!
//! - A node is told what changed since it was told last, not more often than every [`IN_SYNC_NEWS_EVERY`]: who
//!   comes and goes in between is no news.
//! - It is told everything every now and then, and after it was not reached: it may have been started anew.

use super::ask::GroupInSync;
use super::{Ask, Cluster, InSyncAt, Leaders, NodeId, in_sync};
use crate::limits::{IN_SYNC_NEWS_EVERY, IN_SYNC_NEWS_LEN, NEWS_ALL_EVERY};
use bytes::Bytes;
use laminarmq_replica::GroupId;
use std::collections::{BTreeMap, HashMap};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// What a node was told.
type Told = HashMap<GroupId, InSyncAt>;

/// The way to other nodes.
pub(super) trait Others {
    /// Asks one, and says whether it heard.
    fn ask(&self, node: NodeId, bytes: Bytes) -> impl Future<Output = bool> + Send;
}

impl Others for Cluster {
    async fn ask(&self, node: NodeId, bytes: Bytes) -> bool {
        Cluster::ask(self, node, Ask::InSync, bytes).await.is_ok()
    }
}

/// Runs until the broker stops.
pub(super) async fn run(
    leaders: &Leaders,
    me: NodeId,
    nodes: Vec<NodeId>,
    mut stopping: watch::Receiver<bool>,
    others: &impl Others,
) {
    let mut changes = leaders.in_sync_changes();
    let mut told = BTreeMap::<NodeId, Told>::new();
    let mut pace = interval(IN_SYNC_NEWS_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = pace.tick() => {}
        }
        changes.mark_unchanged();
        let led = leaders.in_sync_of(me);
        let mut all_heard = true;
        for node in &nodes {
            let told = told.entry(*node).or_default();
            all_heard &= tell(&led, told, *node, others).await;
        }
        if !all_heard {
            continue;
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            // It ends only with the leaders, which are here.
            news = timeout(NEWS_ALL_EVERY, changes.changed()) => if news.is_err() {
                told.clear();
            },
        }
    }
}

/// Tells a node what it does not know yet. Says whether it has heard.
async fn tell(led: &[GroupInSync], told: &mut Told, node: NodeId, others: &impl Others) -> bool {
    let is_news = |(group, now): &&GroupInSync| told.get(group) != Some(now);
    let news: Vec<_> = led.iter().filter(is_news).cloned().collect();
    for news in news.chunks(IN_SYNC_NEWS_LEN) {
        if !others.ask(node, in_sync(news)).await {
            told.clear();
            return false;
        }
        told.extend(news.iter().cloned());
    }
    // Of what is led elsewhere by now nothing is kept.
    if told.len() > led.len() {
        *told = led.iter().cloned().collect();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::read_in_sync;
    use laminarmq_replica::Term;
    use std::sync::Mutex;
    use std::time::Duration;
    use tokio::time::{Instant, sleep_until};

    fn node(number: i32) -> NodeId {
        NodeId::new(number).expect("positive")
    }

    fn at(nodes: &[i32]) -> InSyncAt {
        InSyncAt {
            term: Term(4),
            nodes: nodes.iter().map(|number| node(*number)).collect(),
        }
    }

    /// The first group of a message.
    #[derive(Debug, Clone)]
    struct Heard {
        to: NodeId,
        at: Instant,
        group: GroupId,
        in_sync: usize,
    }

    struct Listening {
        heard: Mutex<Vec<Heard>>,
        /// Which message is the first to be heard.
        hears: usize,
    }

    impl Listening {
        fn heard(&self) -> Vec<Heard> {
            self.heard.lock().unwrap().clone()
        }
    }

    impl Others for Listening {
        async fn ask(&self, to: NodeId, bytes: Bytes) -> bool {
            let groups = read_in_sync(&bytes).expect("its bytes");
            let [(group, at)] = &groups[..] else {
                panic!("one group is led: {groups:?}");
            };
            let mut heard = self.heard.lock().unwrap();
            heard.push(Heard {
                to,
                at: Instant::now(),
                group: *group,
                in_sync: at.nodes.len(),
            });
            heard.len() >= self.hears
        }
    }

    async fn until(start: Instant, millis: u64) {
        sleep_until(start + Duration::from_millis(millis)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_and_goes_is_told_of_once_a_second_and_the_last_word_stands() {
        let leaders = Leaders::new();
        let group = GroupId(5);
        leaders.learn_in_sync(group, at(&[1, 2, 3]), node(1));
        // What another node leads is its own story.
        leaders.learn_in_sync(GroupId(6), at(&[2, 3]), node(2));
        let start = Instant::now();
        let (heard, hears) = (Mutex::new(Vec::new()), 0);
        let others = Listening { heard, hears };
        let (stop, stopping) = watch::channel(false);
        let telling = run(&leaders, node(1), vec![node(2), node(3)], stopping, &others);
        let flapping = async {
            for step in 1..=40 {
                until(start, step * 100).await;
                let nodes: &[i32] = if step % 2 == 1 { &[1, 2] } else { &[1, 2, 3] };
                leaders.learn_in_sync(group, at(nodes), node(1));
            }
            leaders.learn_in_sync(group, at(&[1]), node(1));
            until(start, 5_900).await;
            let last = others.heard().pop().expect("they were told");
            assert_eq!(last.in_sync, 1, "the last word, a second later at most");
            let before = others.heard().len();
            until(start, 20_000).await;
            assert!(others.heard().len() > before, "everything, now and then");
            stop.send(true).expect("it runs");
        };
        tokio::join!(telling, flapping);
        for to in [2, 3] {
            let heard = others.heard();
            let heard = heard.into_iter().filter(|heard| heard.to == node(to));
            let of: Vec<_> = heard.collect();
            assert!(of.iter().all(|heard| heard.group == group));
            assert_eq!(of[0].in_sync, 3);
            assert_eq!(of.last().expect("some").in_sync, 1);
            let gaps = of.windows(2).map(|two| two[1].at - two[0].at);
            assert!(gaps.min() >= Some(IN_SYNC_NEWS_EVERY), "{of:?}");
            assert!((3..12).contains(&of.len()), "{of:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_did_not_hear_is_told_again() {
        let leaders = Leaders::new();
        leaders.learn_in_sync(GroupId(5), at(&[1, 2]), node(1));
        let (heard, hears) = (Mutex::new(Vec::new()), 3);
        let others = Listening { heard, hears };
        let (stop, stopping) = watch::channel(false);
        let start = Instant::now();
        let stopping_later = async {
            until(start, 4_500).await;
            stop.send(true).expect("it runs");
        };
        let telling = run(&leaders, node(1), vec![node(2)], stopping, &others);
        tokio::join!(telling, stopping_later);
        assert_eq!(others.heard().len(), 3);
    }
}
