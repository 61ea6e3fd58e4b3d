//! What this node's parts need of the links to other nodes, so that a test can put something else there.

use super::NodeId;
use crate::peer::{Lane, PeerCounts};
use bytes::Bytes;
use laminarmq_replica::{GroupId, PeerMessage, ReplicaId};
use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// What one node asks another, as the number on the wire: given once, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ask {
    /// Propose a command to the metadata group. Only its leader does.
    Propose = 1,
    /// Hear which groups the asking node leads.
    Leading = 2,
    /// Which directories do you know of?
    Directories = 3,
}

impl Ask {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let all = [Self::Propose, Self::Leading, Self::Directories];
        all.into_iter().find(|ask| *ask as u8 == number)
    }
}

/// Why there is no answer. Whether the other node acted on the question is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {node} did not answer: {reason}")]
pub(crate) struct AskError {
    pub(crate) node: NodeId,
    /// The question never left: it certainly had no effect.
    pub(crate) unsent: bool,
    pub(crate) reason: String,
}

/// An answer on its way.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Bytes, AskError>> + Send>>;

/// The links to the other nodes.
pub(crate) trait Mesh: Send + Sync + fmt::Debug {
    /// Sends a message to a replica on that node, or loses it. Never waits.
    fn send(
        &self,
        to: NodeId,
        group: GroupId,
        from: ReplicaId,
        to_replica: ReplicaId,
        lane: Lane,
        message: PeerMessage,
    );

    /// What was counted of each of the other nodes.
    fn counts(&self) -> Vec<(NodeId, PeerCounts)>;

    /// Asks a node, and waits for its answer as long as that may take.
    fn ask(&self, to: NodeId, ask: Ask, question: Bytes) -> Answer;
}
