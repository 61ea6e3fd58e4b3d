//! The way of a command to the leader of the metadata group, here or on another node.

use super::state::METADATA_GROUP;
use crate::cluster::{Ask, Cluster, NodeId, ProposeAnswer, read_proposal_answer};
use crate::limits::{PROPOSE_RETRY_WAIT, PROPOSE_WAIT_MAX};
use crate::routing::Router;
use crate::runtime::CommandReply;
use crate::shard::{Input, Refusal};
use bytes::Bytes;
use laminarmq_replica::LogIndex;
use std::future::Future;
use std::pin::Pin;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Says where a command is in the log, once it is committed.
type Committed = Pin<Box<dyn Future<Output = ProposeAnswer> + Send>>;

/// See the module's documentation.
pub(super) struct Proposer<'a> {
    pub(super) router: &'a Router,
    /// `None`: the leader is here.
    pub(super) cluster: Option<&'a Cluster>,
}

impl Proposer<'_> {
    /// Hands a command to the leader. Commands that are handed over one after the other to a leader here
    /// are in the log in that order.
    pub(super) async fn propose(&self, command: Bytes) -> Result<Committed, Refusal> {
        let Some(cluster) = self.cluster else {
            let answer = propose_here(self.router, command).await?;
            return Ok(Box::pin(confirmed(answer)));
        };
        // Asked until somebody leads, since whoever does not has not taken it.
        let mut leaders = cluster.leaders.changes();
        let persist = async {
            loop {
                leaders.mark_unchanged();
                match self.propose_once(cluster, command.clone()).await {
                    Err(Refusal::NotLeader | Refusal::NotAvailable) => {
                        // A leader that is known and says no finds out by itself, soon.
                        let _ = timeout(PROPOSE_RETRY_WAIT, leaders.changed()).await;
                    }
                    result => return result,
                }
            }
        };
        let result = timeout(PROPOSE_WAIT_MAX, persist).await;
        let result = result.unwrap_or(Err(Refusal::NotLeader));
        Ok(Box::pin(async { result }))
    }

    async fn propose_once(&self, cluster: &Cluster, command: Bytes) -> ProposeAnswer {
        let leader = cluster.leaders.node(METADATA_GROUP);
        match leader.ok_or(Refusal::NotLeader)? {
            here if here == cluster.me => {
                confirmed(propose_here(self.router, command).await?).await
            }
            there => propose_there(cluster, there, command).await,
        }
    }
}

/// Proposes a command where this node leads.
pub(crate) async fn propose_here(
    router: &Router,
    command: Bytes,
) -> Result<oneshot::Receiver<ProposeAnswer>, Refusal> {
    let route = router.route(METADATA_GROUP).ok_or(Refusal::NotLeader)?;
    let (reply, answer) = oneshot::channel();
    let input = Input::Command {
        group: METADATA_GROUP,
        command,
        reply: CommandReply::Once(reply),
    };
    router.send(route.shard, input).await?;
    Ok(answer)
}

/// The answer; where the shard is gone, nobody knows how far it got.
pub(crate) async fn confirmed(
    answer: oneshot::Receiver<ProposeAnswer>,
) -> Result<LogIndex, Refusal> {
    answer.await.unwrap_or(Err(Refusal::Closing))
}

async fn propose_there(cluster: &Cluster, leader: NodeId, command: Bytes) -> ProposeAnswer {
    match cluster.ask(leader, Ask::Propose, command).await {
        Ok(answer) => read_proposal_answer(&answer).unwrap_or(Err(Refusal::Unconfirmed)),
        Err(error) if error.had_no_effect() => Err(Refusal::NotLeader),
        Err(error) => {
            tracing::warn!(%error, "whether a change was made is not known");
            Err(Refusal::Unconfirmed)
        }
    }
}
