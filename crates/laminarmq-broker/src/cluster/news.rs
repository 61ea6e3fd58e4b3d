//! Tells the other nodes what this one leads: those that hold no replica of a partition hear it from
//! nobody else.
//!
//! A node is told again whatever it may have missed: everything after a call that failed, and everything
//! every now and then, since a node that was started anew knows nothing.

use super::{Ask, Cluster, NodeId, leading};
use crate::limits::{NEWS_ALL_EVERY, NEWS_INTERVAL};
use crate::routing::Router;
use laminarmq_replica::{GroupId, Term};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Runs until the broker stops.
pub(super) async fn run(
    cluster: Cluster,
    router: Arc<Router>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut told = BTreeMap::<NodeId, BTreeMap<GroupId, Term>>::new();
    let mut ticks = interval(NEWS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rounds = 0u32;
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(NEWS_ALL_EVERY) {
            told.clear();
        }
        let led: BTreeMap<_, _> = router
            .progress()
            .into_iter()
            .filter(|(_, progress)| progress.leads)
            .map(|(group, progress)| (group, progress.epoch))
            .collect();
        for node in cluster.others() {
            let knows = told.entry(node).or_default();
            let is_news = |(group, term): &(&GroupId, &Term)| knows.get(group) != Some(*term);
            let news: Vec<_> = led.iter().filter(is_news).map(|(g, t)| (*g, *t)).collect();
            if news.is_empty() {
                continue;
            }
            match cluster.mesh.ask(node, Ask::Leading, leading(&news)).await {
                Ok(_) => knows.extend(news),
                Err(_) => knows.clear(),
            }
        }
    }
}
