//! The controller: the metadata group's state machine, and what its commands cause on this node.
//!
//! Requests come through [`ControllerHandle`] and are taken one at a time. A change is checked against the
//! state, proposed to the metadata group, applied once it is committed, and then carried out: partitions
//! are opened or removed. Whoever looks at the [`Image`] sees a topic only while it can be used.
//!
//! In a cluster every node has the whole state and carries out its own part of each change, whoever asked
//! for it. A check goes by the node's own state; what that did not know yet, applying the command finds.

mod alter;
mod altering;
mod carrying;
mod change;
mod command;
mod creating;
mod image;
mod local;
mod opener;
mod proposer;
mod service;
mod state;

pub(crate) use alter::{AlterError, Alteration, GrowError, Growth, SettingsChange};
pub(crate) use change::{CreateError, CreatePolicy, DeleteError, NewTopic, TopicRef};
pub(crate) use image::{Image, TopicImage};
pub(crate) use local::LocalPartitions;
pub use opener::OpenError;
pub(crate) use opener::Opener;
pub(crate) use proposer::{confirmed, propose_here};
pub use service::ControllerError;
pub(crate) use service::{Controller, ControllerWiring};
#[cfg(test)]
pub(crate) use state::TopicPartition;
pub(crate) use state::{METADATA_GROUP, Replacement, Topic};

use crate::cluster::NodeId;
use crate::shard::Refusal;
use bytes::Bytes;
use command::Command;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Whether these bytes are a command of the metadata group that `node` may ask for: what is said about a node, it
/// says itself.
pub(crate) fn is_command_of(node: NodeId, bytes: &[u8]) -> bool {
    match Command::decode(bytes) {
        Ok(
            Command::RegisterNode { node: about, .. } | Command::ReplaceNode { node: about, .. },
        ) => about == node.get().unsigned_abs(),
        other => other.is_ok(),
    }
}

/// The command that gives a node that lost its directory another one.
pub(crate) fn replace_node(node: NodeId, incarnation: u32, directory: &str) -> Bytes {
    let command = Command::ReplaceNode {
        node: node.get().unsigned_abs(),
        incarnation,
        directory: directory.to_owned(),
    };
    command.encode().into()
}

/// What the controller is asked for.
#[derive(Debug)]
pub(crate) enum Request {
    Create {
        topics: Vec<NewTopic>,
        /// Check only.
        validate_only: bool,
        reply: oneshot::Sender<Vec<Result<Arc<TopicImage>, CreateError>>>,
    },
    Delete {
        topics: Vec<TopicRef>,
        reply: oneshot::Sender<Vec<Result<Arc<Topic>, DeleteError>>>,
    },
    Alter {
        changes: Vec<Alteration>,
        /// Check only.
        validate_only: bool,
        reply: oneshot::Sender<Vec<Result<(), AlterError>>>,
    },
    Grow {
        growths: Vec<Growth>,
        /// Check only.
        validate_only: bool,
        reply: oneshot::Sender<Vec<Result<(), GrowError>>>,
    },
    /// End.
    Stop,
    ProducerIds {
        reply: oneshot::Sender<Result<Range<u64>, Refusal>>,
    },
}

/// Asks the controller; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ControllerHandle(pub(crate) mpsc::Sender<Request>);

impl ControllerHandle {
    /// Makes topics. One answer per topic, in their order; a topic that was made can be used.
    pub(crate) async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<Result<Arc<TopicImage>, CreateError>>, Refusal> {
        self.ask(|reply| Request::Create {
            topics,
            validate_only,
            reply,
        })
        .await
    }

    /// Removes topics. One answer per topic, in their order; the files of a topic that was removed are
    /// gone.
    pub(crate) async fn delete_topics(
        &self,
        topics: Vec<TopicRef>,
    ) -> Result<Vec<Result<Arc<Topic>, DeleteError>>, Refusal> {
        self.ask(|reply| Request::Delete { topics, reply }).await
    }

    /// Changes settings of topics. One answer per change, in their order; a change that was made is in
    /// force.
    pub(crate) async fn alter_topics(
        &self,
        changes: Vec<Alteration>,
        validate_only: bool,
    ) -> Result<Vec<Result<(), AlterError>>, Refusal> {
        self.ask(|reply| Request::Alter {
            changes,
            validate_only,
            reply,
        })
        .await
    }

    /// Adds partitions to topics. One answer per topic, in their order; what was added can be used.
    pub(crate) async fn add_partitions(
        &self,
        growths: Vec<Growth>,
        validate_only: bool,
    ) -> Result<Vec<Result<(), GrowError>>, Refusal> {
        self.ask(|reply| Request::Grow {
            growths,
            validate_only,
            reply,
        })
        .await
    }

    /// Some producer ids that nobody else gets.
    pub(crate) async fn producer_ids(&self) -> Result<Range<u64>, Refusal> {
        self.ask(|reply| Request::ProducerIds { reply }).await?
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.0
            .send(request(reply))
            .await
            .map_err(|_| Refusal::Closing)?;
        answer.await.map_err(|_| Refusal::Closing)
    }
}
