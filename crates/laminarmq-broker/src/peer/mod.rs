//! What nodes say to each other: messages of replicas, and calls.
//!
//! ```text
//! shard ─▶ Peers::send ─▶ LaneQueue ─▶ lane task: drain, encode, write ══▶ link task: decode ─▶ Inbox
//!                         (per node                dial, hello, redial          (other node)
//!                          and lane)               ◀══ pongs, answers of calls
//! ```
//!
//! # Invariants
//!
//! - To each other node there are two links, one for each [`Lane`]: what catches up delays neither heartbeats
//!   nor new records, and is slow while clients write. Whoever has something to say dials; messages go one way on a link.
//! - [`Peers::send`] never waits. What finds no link or no room is dropped and counted, and the [`Inbox`] is
//!   told once that the node is unreachable: consensus sends it again.
//! - Messages on one lane arrive in order or not at all; only heartbeats overtake what was queued with them.
//! - A batch is not copied: it is written from where it lies, and what arrives lies in a buffer of its own.
//! - A link carries nothing before both ends know that they belong to one cluster, and are who the other
//!   believes them to be. That is a check against mistakes, not against attackers.
//! - Foreign bytes end their own link, and nothing else.
//!
//! The bytes are described in `docs/formats/peer-frames.md`.

mod accept;
#[cfg(any(test, feature = "test-util"))]
pub(crate) mod again;
mod backoff;
mod calls;
mod counters;
mod dial;
pub(crate) mod frame;
mod hello;
mod incoming;
mod messages;
mod outgoing;
mod pacer;
mod peers;
mod queue;

#[cfg(test)]
mod tests;

pub(crate) use calls::CallError;
pub(crate) use counters::PeerCounts;
pub(crate) use peers::{PeerConfig, PeerLimits, Peers};

use crate::cluster::NodeId;
use bytes::Bytes;
use laminarmq_replica::{GroupId, PeerMessage, ReplicaId};
use std::collections::VecDeque;
use std::pin::Pin;

/// One of the two links to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Heartbeats, votes, new records, calls.
    Live,
    /// Old records for those who are behind, and snapshots.
    Bulk,
}

impl Lane {
    const BOTH: [Self; 2] = [Self::Live, Self::Bulk];
}

/// A message between two replicas of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The group.
    pub group: GroupId,
    /// Who sends it.
    pub from: ReplicaId,
    /// Whom it is for.
    pub to: ReplicaId,
    /// Which link it takes.
    pub lane: Lane,
    /// What it says.
    pub message: PeerMessage,
}

/// What a call is about; its meaning is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestKind(pub(crate) u8);

/// What became of a message that was handed to an [`Inbox`].
#[derive(Debug)]
pub(crate) enum Delivered {
    /// It is in.
    Taken,
    /// There is no room for it now. Its link is not read on for a while; then it is dropped.
    Full(Envelope),
}

/// The answer of a call, once it is there.
pub(crate) type AnswerFuture = Pin<Box<dyn Future<Output = Bytes> + Send>>;

/// Who receives what other nodes say. Called by the links' tasks, never from within [`Peers::send`]: nothing
/// in here may wait.
pub(crate) trait Inbox: Send + Sync + 'static {
    /// Takes a message, or not. Whether its sender may speak for `envelope.from` is checked here.
    fn deliver(&self, from: NodeId, envelope: Envelope) -> Delivered;

    /// Takes as many of these as there is room for; what is left stays in order.
    fn deliver_all(&self, from: NodeId, envelopes: &mut VecDeque<Envelope>) {
        while let Some(envelope) = envelopes.pop_front() {
            if let Delivered::Full(envelope) = self.deliver(from, envelope) {
                envelopes.push_front(envelope);
                return;
            }
        }
    }

    /// A node says that it is alive: it, and each part of it that has replicas.
    fn alive(&self, node: NodeId);

    /// Messages to this node were dropped, or its link was lost: told once until the link is there again, or
    /// its queue was empty again.
    fn unreachable(&self, node: NodeId);

    /// Another node calls. Dropping the future means that nobody waits for the answer any more.
    fn request(&self, from: NodeId, kind: RequestKind, bytes: Bytes) -> AnswerFuture;
}
