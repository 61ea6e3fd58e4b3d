//! This node among others: who they are, how they are reached, and who leads what.
//!
//! - Which nodes there are is told by the configuration of each, alike on all, and does not change while
//!   they run. Where Kafka clients reach a node it says itself, through the metadata group.
//! - Every node applies every command of the metadata group, in the order of its log. Any node checks and
//!   proposes changes; a proposal travels to the node that leads the group.
//! - A replica's id names its node, so nobody has to be asked where a replica is.
//! - Who leads a partition is known from its replicas. It is a hint for clients: whoever is asked decides
//!   by what its own replica knows. Of who is in sync only the leader knows, and tells.

mod ask;
mod bootstrap;
mod clock;
mod ids;
mod in_sync;
mod inbox;
mod join;
mod leaders;
mod news;
mod placement;
mod unheard;

pub(crate) use ask::{
    Ask, ProposeAnswer, in_sync, leading, proposal_answer, read_in_sync, read_leading,
    read_proposal_answer,
};
pub use bootstrap::BootstrapError;
pub(crate) use bootstrap::{Directories, REPLACED, was_replaced};
pub(crate) use clock::Clock;
pub(crate) use ids::Incarnations;
pub use ids::{NodeId, NodeIdError};
pub(crate) use join::{Membership, cluster_id, join};
pub(crate) use leaders::{InSyncAt, Leaders, Leading};
pub(crate) use placement::place;

use crate::config::HostPort;
use crate::peer::Peers;
use std::sync::Arc;

/// One node of the cluster, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub node: NodeId,
    /// Where other nodes reach it.
    pub peer: HostPort,
}

/// What the parts of a node that is one of several work with.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) me: NodeId,
    /// All nodes, this one included, by their ids.
    pub(crate) members: Arc<[Member]>,
    pub(crate) peers: Peers,
    pub(crate) leaders: Arc<Leaders>,
    /// What is known of the nodes' directories.
    pub(crate) directories: Arc<Directories>,
    pub(crate) clock: Arc<Clock>,
}

impl Cluster {
    /// The nodes but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = NodeId> {
        let nodes = self.members.iter().map(|member| member.node);
        nodes.filter(|node| *node != self.me)
    }

    /// Whether so many nodes are silent that this one and the others cannot decide anything.
    pub(crate) fn is_cut_off(&self) -> bool {
        let heard = self.members.len() - self.clock.silent().len();
        heard * 2 <= self.members.len()
    }
}
