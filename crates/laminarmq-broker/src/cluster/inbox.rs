//! What other nodes say to this one, handed to whom it concerns.
//!
//! - A node speaks for its own replicas only.
//! - Before the shards are there, messages count as lost, which is always allowed.

use super::bootstrap::Directories;
use super::{Ask, Leaders, Leading, NodeId, proposal_answer, read_leading};
use crate::controller::{confirmed, is_command, propose_here};
use crate::peer::{AnswerFuture, Delivered, Envelope, Inbox, RequestKind};
use crate::routing::{NoPlace, Router};
use crate::shard::{FromPeer, Input, Refusal};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// See the module's documentation.
pub(super) struct PeerInbox {
    pub(super) leaders: Arc<Leaders>,
    pub(super) directories: Arc<Directories>,
    /// Empty until the shards are there.
    pub(super) router: Arc<OnceLock<Arc<Router>>>,
}

impl Inbox for PeerInbox {
    fn deliver(&self, from: NodeId, envelope: Envelope) -> Delivered {
        if NodeId::of(envelope.from) != Some(from) {
            tracing::warn!(node = %from, replica = envelope.from.get(), "a node speaks for a replica of another");
            return Delivered::Taken;
        }
        let Some(router) = self.router.get() else {
            return Delivered::Taken;
        };
        let Some(route) = router.route(envelope.group) else {
            return Delivered::Taken;
        };
        let place = match router.try_reserve(route.shard) {
            Ok(place) => place,
            Err(NoPlace::Full) => return Delivered::Full(envelope),
            Err(NoPlace::Gone) => return Delivered::Taken,
        };
        let Envelope {
            group,
            from,
            to,
            lane: _,
            message,
        } = envelope;
        place.send(Input::Peer(Box::new(FromPeer {
            group,
            from,
            to,
            message,
        })));
        Delivered::Taken
    }

    fn unreachable(&self, node: NodeId) {
        let Some(router) = self.router.get() else {
            return;
        };
        for shard in 0..router.shard_count() {
            // A shard without room for it finds out when a message is not answered.
            if let Ok(place) = router.try_reserve(shard) {
                place.send(Input::Unreachable { node });
            }
        }
    }

    fn request(&self, from: NodeId, kind: RequestKind, bytes: Bytes) -> AnswerFuture {
        match Ask::from_number(kind.0) {
            Some(Ask::Propose) => {
                let router = self.router.get().cloned();
                Box::pin(async move { proposal_answer(&propose(router, bytes).await) })
            }
            Some(Ask::Leading) => {
                for (group, term) in read_leading(&bytes).unwrap_or_default() {
                    let node = Some(from);
                    self.leaders.learn(group, Leading { term, node });
                }
                Box::pin(async { Bytes::new() })
            }
            Some(Ask::Directories) => {
                let answer = self.directories.answer(from, &bytes);
                Box::pin(async { answer })
            }
            None => {
                tracing::warn!(node = %from, kind = kind.0, "a node asks what this program does not know");
                Box::pin(async { Bytes::new() })
            }
        }
    }
}

/// Proposes what another node checked. That it is a command at all is checked here, since all nodes
/// would stop at one that is not.
async fn propose(
    router: Option<Arc<Router>>,
    command: Bytes,
) -> Result<laminarmq_replica::LogIndex, Refusal> {
    if !is_command(&command) {
        return Err(Refusal::NotAvailable);
    }
    let router = router.ok_or(Refusal::NotLeader)?;
    confirmed(propose_here(&router, command).await?).await
}
