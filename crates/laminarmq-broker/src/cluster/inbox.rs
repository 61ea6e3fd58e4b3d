//! What other nodes say to this one, handed to whom it concerns.
//!
//! - A node speaks for its own replicas only.
//! - Before the shards are there, messages count as lost, which is always allowed.

use super::bootstrap::Directories;
use super::{
    Ask, Clock, Leaders, Leading, NodeId, ProposeAnswer, proposal_answer, read_in_sync,
    read_leading, unheard,
};
use crate::controller::{confirmed, is_command_of, propose_here};
use crate::peer::{AnswerFuture, Delivered, Envelope, Inbox, RequestKind};
use crate::routing::{NoPlace, Router};
use crate::shard::{Input, Refusal};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// See the module's documentation.
pub(super) struct PeerInbox {
    pub(super) me: NodeId,
    pub(super) leaders: Arc<Leaders>,
    pub(super) directories: Arc<Directories>,
    pub(super) clock: Arc<Clock>,
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
        place.send(Input::Peer(Box::new(envelope)));
        Delivered::Taken
    }

    fn alive(&self, node: NodeId) {
        self.clock.heard(node);
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
                Box::pin(async move { proposal_answer(&propose(router, from, bytes).await) })
            }
            Some(Ask::Leading) => {
                for (group, term) in read_leading(&bytes).unwrap_or_default() {
                    let node = Some(from);
                    self.leaders.learn(group, Leading { term, node });
                }
                Box::pin(async { Bytes::new() })
            }
            Some(Ask::InSync) => {
                for (group, in_sync) in read_in_sync(&bytes).unwrap_or_default() {
                    self.leaders.learn_in_sync(group, in_sync, from);
                }
                Box::pin(async { Bytes::new() })
            }
            Some(Ask::WhoLeads) => {
                let answer = unheard::answer(self.me, self.router.get(), &bytes);
                Box::pin(async { answer })
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
async fn propose(router: Option<Arc<Router>>, from: NodeId, command: Bytes) -> ProposeAnswer {
    if !is_command_of(from, &command) {
        tracing::warn!(node = %from, "a node proposes what is no command of its own");
        return Err(Refusal::NotAvailable);
    }
    let router = router.ok_or(Refusal::NotLeader)?;
    confirmed(propose_here(&router, command).await?).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::replace_node;
    use crate::peer::Lane;
    use laminarmq_replica::{GroupId, LogIndex, PeerBody, PeerMessage, ReplicaId, Term};
    use std::collections::BTreeMap;
    use tokio::sync::mpsc;

    fn heartbeat(group: u64, from: u64) -> Envelope {
        let commit = LogIndex(0);
        Envelope {
            group: GroupId(group),
            from: ReplicaId(from),
            to: ReplicaId(1),
            lane: Lane::Live,
            message: PeerMessage {
                term: Term(1),
                body: PeerBody::Heartbeat { commit },
            },
        }
    }

    #[test]
    fn a_node_gives_another_directory_to_itself_only() {
        let [two, three] = [2, 3].map(|number| NodeId::new(number).expect("positive"));
        let command = replace_node(three, 1, "name");
        assert!(is_command_of(three, &command));
        assert!(!is_command_of(two, &command));
        assert!(!is_command_of(two, b"no command"));
    }

    #[test]
    fn a_node_speaks_for_its_own_replicas_and_a_full_mailbox_gives_back() {
        let two = NodeId::new(2).expect("positive");
        let (mailbox, mut inputs) = mpsc::channel(1);
        let router = Arc::new(Router::new(vec![mailbox]));
        router.add(GroupId(5));
        let cell = OnceLock::new();
        assert!(cell.set(router).is_ok());
        let inbox = PeerInbox {
            me: NodeId::new(1).expect("positive"),
            leaders: Arc::new(Leaders::new()),
            directories: Arc::new(Directories::of("d", BTreeMap::new())),
            clock: Arc::new(Clock::new(two, &[])),
            router: Arc::new(cell),
        };
        for (group, from) in [(5, 3), (5, 0), (6, 2)] {
            let delivered = inbox.deliver(two, heartbeat(group, from));
            assert!(matches!(delivered, Delivered::Taken));
            assert!(inputs.try_recv().is_err(), "group {group}, replica {from}");
        }
        assert!(matches!(
            inbox.deliver(two, heartbeat(5, 2)),
            Delivered::Taken
        ));
        let full = inbox.deliver(two, heartbeat(5, 2));
        assert!(matches!(full, Delivered::Full(envelope) if envelope == heartbeat(5, 2)));
        assert!(matches!(inputs.try_recv(), Ok(Input::Peer(_))));
        // Its second replica of the group speaks for it too.
        let later = heartbeat(5, 1 << 32 | 2);
        assert!(matches!(inbox.deliver(two, later), Delivered::Taken));
        assert!(inputs.try_recv().is_ok());
    }
}
