//! Keeps one lane to one node: dials, carries, and dials again.

use super::outgoing::{self, LinkError};
use super::peers::{Node, Plan, Shared};
use super::{Lane, backoff::Backoff};
use std::future::pending;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::timeout;

/// Has a link on this lane, as the plan says, until that is to end.
pub(super) async fn keep(
    shared: Arc<Shared>,
    node: Arc<Node>,
    lane: Lane,
    mut plan: watch::Receiver<Plan>,
) {
    let limits = &shared.limits;
    let mut backoff = Backoff::new(limits.backoff_min, limits.backoff_max);
    let mut complaint = String::new();
    loop {
        let address = match &*plan.borrow_and_update() {
            Plan::Dial(address) => address.clone(),
            Plan::Finish => return,
        };
        let opened = tokio::select! {
            biased;
            _ = plan.changed() => continue,
            opened = outgoing::open(&address, &shared.us, node.id, lane) => opened,
        };
        match opened {
            Ok(link) => {
                backoff.reset();
                complaint.clear();
                tracing::info!(node = %node.id, ?lane, %address, "linked to the node");
                node.set_feature_level(link.feature_level);
                node.counters.links_opened.add(1);
                let state = node.lane(lane);
                state.reach.well();
                state.queue.open();
                let end = link.run(&shared, &node, lane, &mut plan).await;
                let dropped = state.queue.clear();
                if lane == Lane::Live {
                    // After the queue is closed: no call is added to those that end here.
                    node.calls.lost();
                }
                match &end {
                    Ok(()) => tracing::info!(node = %node.id, ?lane, "ended the link to the node"),
                    Err(error) => {
                        tracing::warn!(node = %node.id, ?lane, %error, dropped, "lost the link to the node");
                    }
                }
                node.lost(lane, dropped);
                if end.is_ok() {
                    // The plan has changed.
                    continue;
                }
            }
            Err(error) => {
                node.counters.dials_failed.add(1);
                node.lost(lane, 0);
                complain(&error, &mut complaint, |error| {
                    tracing::warn!(node = %node.id, ?lane, %address, %error, "no link to the node; it is tried again");
                });
            }
        }
        let pause = backoff.pause(&shared.env);
        tokio::select! {
            biased;
            // It is looked at in either case.
            _ = plan.changed() => {}
            _ = timeout(pause, pending::<()>()) => {}
        }
    }
}

/// Says what is wrong once, not at each attempt.
fn complain(error: &LinkError, before: &mut String, say: impl FnOnce(&LinkError)) {
    let text = error.to_string();
    if *before != text {
        say(error);
        *before = text;
    }
}

/// Tells the inbox that a node is unreachable, on behalf of threads that must not call it themselves.
pub(super) async fn tell(shared: Arc<Shared>, node: Arc<Node>) {
    let mut plan = node.plan.subscribe();
    loop {
        tokio::select! {
            biased;
            () = node.tell.notified() => shared.inbox.unreachable(node.id),
            _ = plan.wait_for(|plan| *plan == Plan::Finish) => return,
        }
    }
}
