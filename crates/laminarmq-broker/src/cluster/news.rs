//! Tells the other nodes what this one leads: those that hold no replica of a partition hear it from
//! nobody else.
//!
//! Who is in sync they hear in the same way, at a bounded rate; see [`in_sync`].
//!
//! They are told when something changed, again what they may have missed, and everything every now and
//! then, since a node that was started anew knows nothing. While nothing changes nothing is looked at.

use super::{Ask, Cluster, NodeId, in_sync, leading, unheard};
use crate::limits::{NEWS_ALL_EVERY, NEWS_RETRY_WAIT};
use crate::routing::Router;
use laminarmq_replica::{GroupId, Term};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::timeout;

/// What a node was told, by group.
type Told = BTreeMap<GroupId, Term>;

/// Runs until the broker stops.
pub(super) async fn run(cluster: Cluster, router: Arc<Router>, stopping: watch::Receiver<bool>) {
    let (leaders, me, others) = (&cluster.leaders, cluster.me, cluster.others().collect());
    let in_sync = in_sync::run(leaders, me, others, stopping.clone(), &cluster);
    let unheard = unheard::run(&cluster, &router, stopping.clone());
    tokio::join!(
        tell_who_leads(&cluster, &router, stopping),
        in_sync,
        unheard
    );
}

async fn tell_who_leads(cluster: &Cluster, router: &Router, mut stopping: watch::Receiver<bool>) {
    let mut changes = cluster.leaders.changes();
    let mut told = BTreeMap::<NodeId, Told>::new();
    loop {
        changes.mark_unchanged();
        let wait = if tell(cluster, router, &mut told).await {
            NEWS_ALL_EVERY
        } else {
            NEWS_RETRY_WAIT
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            // It ends only with the cluster's own handle, which is here.
            news = timeout(wait, changes.changed()) => if news.is_err() {
                told.clear();
            },
        }
    }
}

/// Tells each node what it does not know yet. Says whether all have heard.
async fn tell(cluster: &Cluster, router: &Router, told: &mut BTreeMap<NodeId, Told>) -> bool {
    let led: Told = router
        .progress()
        .into_iter()
        .filter(|(_, progress)| progress.leads)
        .map(|(group, progress)| (group, progress.epoch))
        .collect();
    let mut all_heard = true;
    for node in cluster.others() {
        let knows = told.entry(node).or_default();
        let is_news = |(group, term): &(&GroupId, &Term)| knows.get(group) != Some(*term);
        let news: Vec<_> = led.iter().filter(is_news).map(|(g, t)| (*g, *t)).collect();
        if news.is_empty() {
            continue;
        }
        match cluster.ask(node, Ask::Leading, leading(&news)).await {
            Ok(_) => knows.extend(news),
            Err(_) => {
                knows.clear();
                all_heard = false;
            }
        }
    }
    all_heard
}
