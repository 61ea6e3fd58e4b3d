//! Old records go: from time to time every partition is asked to look at what it keeps.
//!
//! The time comes from outside, and it is the leader who decides: what goes is an entry in the log, so that
//! all replicas drop the same. One partition is asked after the other, so this costs others little.

use crate::context::Context;
use crate::shard::Input;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

/// Looks again and again, until the broker stops.
pub(crate) async fn run(context: Arc<Context>) {
    let mut stopping = context.stopping.clone();
    let looking = async {
        let mut ticks = interval(context.config.retention_check);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            look(&context).await;
        }
    };
    tokio::select! {
        () = looking => {}
        // An error means that the broker is gone.
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

async fn look(context: &Context) {
    let now_ms = context.env.now_ms();
    for topic in context.image().topics() {
        let retention = topic.settings.retention;
        for (number, partition) in topic.topic.partitions.iter().enumerate() {
            let group = partition.group;
            let Some(route) = context.router.route(group) else {
                continue;
            };
            let before = route.watch.progress().start_offset;
            let (reply, answer) = oneshot::channel();
            let input = Input::Retain {
                group,
                retention,
                now_ms,
                reply,
            };
            if context.router.send(route.shard, input).await.is_err() {
                return;
            }
            let name = &topic.topic.name;
            match answer.await {
                Ok(Ok(start)) if start > before => {
                    tracing::info!(topic = name, partition = number, %start, "old records went");
                }
                Ok(Ok(_)) => {}
                // Deleted, or without a leader: the next look finds it as it is then.
                Ok(Err(refusal)) => {
                    tracing::debug!(topic = name, partition = number, %refusal, "nothing went");
                }
                Err(_) => return,
            }
        }
    }
}
