//! The mesh over real links.

use super::NodeId;
use super::mesh::{Answer, Ask, AskError, Mesh};
use crate::limits::ASK_WAIT_MAX;
use crate::peer::{CallError, Envelope, Lane, PeerCounts, Peers, RequestKind};
use bytes::Bytes;
use laminarmq_replica::{GroupId, PeerMessage, ReplicaId};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Links(pub(super) Peers);

impl Mesh for Links {
    fn send(
        &self,
        to: NodeId,
        group: GroupId,
        from: ReplicaId,
        to_replica: ReplicaId,
        lane: Lane,
        message: PeerMessage,
    ) {
        let envelope = Envelope {
            group,
            from,
            to: to_replica,
            lane,
            message,
        };
        self.0.send(to, envelope);
    }

    fn counts(&self) -> Vec<(NodeId, PeerCounts)> {
        self.0.counts()
    }

    fn ask(&self, to: NodeId, ask: Ask, question: Bytes) -> Answer {
        let peers = self.0.clone();
        Box::pin(async move {
            let kind = RequestKind(ask as u8);
            let answer = peers.call(to, kind, question, ASK_WAIT_MAX).await;
            answer.map_err(|error| AskError {
                node: to,
                unsent: matches!(
                    error,
                    CallError::UnknownNode
                        | CallError::NotConnected
                        | CallError::Busy
                        | CallError::TooLarge
                ),
                reason: error.to_string(),
            })
        })
    }
}
