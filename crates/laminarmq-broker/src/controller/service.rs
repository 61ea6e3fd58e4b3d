//! The controller at work: one request after the other, on a thread of its own.

use super::change::CreatePolicy;
use super::command::Command;
use super::image::{Image, TopicImage};
use super::local::{LocalPartitions, ToOpen};
use super::opener::OpenError;
use super::proposer::Proposer;
use super::state::{Applied, METADATA_GROUP, MetadataState, Topic};
use super::{ControllerHandle, Request};
use crate::cluster::{Cluster, REPLACED, was_replaced};
use crate::config::HostPort;
use crate::env::Env;
use crate::limits::{
    APPLIED_QUEUE_LEN, CONTROLLER_QUEUE_LEN, PRODUCER_ID_BLOCK, PROPOSE_WAIT_MAX,
    REGISTER_RETRY_WAIT, TOPICS_PER_CHANGE_MAX,
};
use crate::runtime::{AppliedCommand, Failure};
use crate::shard::{Readiness, Refusal};
use crate::topics::TopicSettings;
use bytes::Bytes;
use laminarmq_replica::LogIndex;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{interval, timeout};

// While the controller proposes it does not take applied commands, so all of one request must fit.
const _: () = assert!(TOPICS_PER_CHANGE_MAX < APPLIED_QUEUE_LEN);

/// What the controller works with.
pub(crate) struct ControllerWiring {
    pub(crate) policy: CreatePolicy,
    pub(crate) env: Env,
    pub(crate) local: LocalPartitions,
    pub(crate) applied: mpsc::Receiver<AppliedCommand>,
    /// What is shown to the rest of the broker.
    pub(crate) image: watch::Sender<Arc<Image>>,
    pub(crate) failure: Failure,
    /// The other nodes, and where clients reach this one; `None` for a node that is alone.
    pub(crate) cluster: Option<(Cluster, HostPort)>,
}

/// See the module's documentation.
pub(crate) struct Controller {
    pub(super) wiring: ControllerWiring,
    pub(super) state: MetadataState,
    /// Commands up to here are in `state`.
    applied: LogIndex,
    /// What they did since the start, as far as it was not carried out yet.
    pub(super) undone: Vec<Applied>,
    /// Everything that the log held at the start is in `state`.
    is_up_to_date: bool,
}

/// Why the controller cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// A partition cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The metadata log holds something that this program cannot read.
    #[error("the metadata log at index {index}: {reason}")]
    Command {
        /// Where.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// The node is in the cluster with a later directory than the one that it has here.
    #[error("{REPLACED}")]
    Replaced,
    /// A shard stopped.
    #[error("a shard refused to take a partition: {0}")]
    Shard(#[from] Refusal),
}

impl Controller {
    /// Opens the metadata group, brings the state up to date, and opens this node's partitions.
    ///
    /// In a cluster that takes as long as no leader of the metadata group is found.
    pub(crate) async fn open(wiring: ControllerWiring) -> Result<Self, ControllerError> {
        let mut controller = Self {
            wiring,
            state: MetadataState::new(),
            applied: LogIndex(0),
            undone: Vec::new(),
            is_up_to_date: false,
        };
        let local = &controller.wiring.local;
        let metadata = local.opener.open_metadata()?;
        match controller.wiring.cluster.clone() {
            None => {
                let ready = local
                    .host(METADATA_GROUP, metadata, Readiness::Leads)
                    .await?;
                controller.replay(ready).await?;
            }
            Some((_, clients)) => {
                let taken = local
                    .host(METADATA_GROUP, metadata, Readiness::Taken)
                    .await?;
                taken.await.map_err(|_| Refusal::Closing)??;
                let failure = controller.wiring.failure.clone();
                tokio::select! {
                    registered = controller.register(clients) => registered?,
                    // A node that cannot write its log never hears that it was registered.
                    _ = failure.wait() => return Err(Refusal::Failed.into()),
                }
            }
        }
        controller.undone.clear();
        controller.is_up_to_date = true;
        controller.open_all().await?;
        Ok(controller)
    }

    /// Says where clients reach this node. What the metadata log held before that is in the state then.
    async fn register(&mut self, clients: HostPort) -> Result<(), ControllerError> {
        let node = self.wiring.policy.node.get().unsigned_abs();
        let HostPort { host, port } = clients;
        let command = Command::RegisterNode { node, host, port };
        let mut pace = interval(REGISTER_RETRY_WAIT);
        loop {
            let outcome = self.propose(vec![command.clone()]).await.pop();
            match outcome.expect("one per command") {
                Ok(_) => return Ok(()),
                Err(refusal @ (Refusal::Closing | Refusal::Failed)) => return Err(refusal.into()),
                Err(refusal) => {
                    tracing::info!(%refusal, "waiting for the metadata of the cluster");
                    self.check_not_replaced().await?;
                    pace.tick().await;
                }
            }
        }
    }

    /// Nobody answers a node that has a directory of before, but to this question.
    async fn check_not_replaced(&self) -> Result<(), ControllerError> {
        let Some((cluster, _)) = &self.wiring.cluster else {
            return Ok(());
        };
        let incarnation = self.wiring.local.opener.dir().meta().incarnation;
        match was_replaced(cluster, incarnation).await {
            Some(true) => Err(ControllerError::Replaced),
            Some(false) | None => Ok(()),
        }
    }

    pub(crate) fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.wiring.image.subscribe()
    }

    /// A handle, and the queue behind it for [`Controller::run`].
    pub(crate) fn channel() -> (ControllerHandle, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(CONTROLLER_QUEUE_LEN);
        (ControllerHandle(sender), receiver)
    }

    /// Serves requests, and carries out what other nodes change, until it is told to stop.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                biased;
                committed = self.wiring.applied.recv() => {
                    let Some(committed) = committed else { break };
                    self.take_committed(committed).await;
                }
                request = requests.recv() => match request {
                    None | Some(Request::Stop) => break,
                    Some(request) => self.serve(request).await,
                },
            }
        }
    }

    /// A command that nobody here waits for.
    async fn take_committed(&mut self, first: AppliedCommand) {
        let mut next = Some(first);
        while let Some(committed) = next {
            if let Err(error) = self.apply(committed) {
                self.wiring.failure.set(&error.to_string());
                return;
            }
            next = self.wiring.applied.try_recv().ok();
        }
        self.carry_out().await;
    }

    /// Whoever asked may have given up; what was done is done.
    async fn serve(&mut self, request: Request) {
        match request {
            Request::Stop => {}
            Request::Create {
                topics,
                validate_only,
                reply,
            } => {
                let _ = reply.send(self.create(topics, validate_only).await);
            }
            Request::Delete { topics, reply } => {
                let _ = reply.send(self.delete(topics).await);
            }
            Request::Alter {
                changes,
                validate_only,
                reply,
            } => {
                let _ = reply.send(self.alter(changes, validate_only).await);
            }
            Request::Grow {
                growths,
                validate_only,
                reply,
            } => {
                let _ = reply.send(self.grow(growths, validate_only).await);
            }
            Request::ProducerIds { reply } => {
                let _ = reply.send(self.producer_ids().await);
            }
        }
    }

    /// Applies what the metadata log holds. The group is ready only once all of it was handed over.
    async fn replay(
        &mut self,
        mut ready: oneshot::Receiver<Result<(), Refusal>>,
    ) -> Result<(), ControllerError> {
        loop {
            tokio::select! {
                biased;
                command = self.wiring.applied.recv() => {
                    self.apply(command.ok_or(Refusal::Closing)?)?;
                }
                result = &mut ready => {
                    result.map_err(|_| Refusal::Closing)??;
                    break;
                }
            }
        }
        while let Ok(command) = self.wiring.applied.try_recv() {
            self.apply(command)?;
        }
        Ok(())
    }

    fn apply(&mut self, committed: AppliedCommand) -> Result<Applied, ControllerError> {
        let AppliedCommand { index, command } = committed;
        assert!(
            index > self.applied,
            "command {index} after {}",
            self.applied
        );
        let command = Command::decode(&command).map_err(|error| ControllerError::Command {
            index: index.0,
            reason: error.to_string(),
        })?;
        self.applied = index;
        let applied = self.state.apply(command);
        self.undone.push(applied.clone());
        Ok(applied)
    }

    /// Opens the partitions of all topics, and shows them once all are ready.
    async fn open_all(&mut self) -> Result<(), ControllerError> {
        let topics = self.state.topics().map(|topic| self.resolve(topic));
        let topics = topics.collect::<Result<Vec<_>, _>>()?;
        let local = &self.wiring.local;
        local.set_strays_aside(&topics)?;
        let to_open: Vec<_> = topics.iter().map(ToOpen::all).collect();
        for result in local.open(&to_open).await {
            result?;
        }
        local.forget_unclaimed().await;
        self.replace_lost().await;
        let nodes = self.state.nodes().clone();
        self.wiring
            .image
            .send_modify(|image| Arc::make_mut(image).set_nodes(nodes));
        self.show(topics);
        Ok(())
    }

    /// A topic with the settings in force.
    pub(super) fn resolve(&self, topic: &Arc<Topic>) -> Result<Arc<TopicImage>, ControllerError> {
        let settings = TopicSettings::resolve(&topic.settings, self.wiring.policy.defaults)
            // A setting that this program does not know was written by a newer one.
            .map_err(|error| ControllerError::Command {
                index: self.applied.0,
                reason: format!("topic {}: {error}", topic.name),
            })?;
        Ok(Arc::new(TopicImage {
            topic: Arc::clone(topic),
            settings,
        }))
    }

    pub(super) fn show(&self, topics: Vec<Arc<TopicImage>>) {
        if topics.is_empty() {
            return;
        }
        self.wiring.image.send_modify(|image| {
            let image = Arc::make_mut(image);
            topics.into_iter().for_each(|topic| image.insert(topic));
        });
    }

    async fn producer_ids(&mut self) -> Result<Range<u64>, Refusal> {
        let command = Command::AllocateProducerIds {
            node: self.wiring.policy.node.get().unsigned_abs(),
            count: PRODUCER_ID_BLOCK,
        };
        let outcome = self.propose(vec![command]).await.pop();
        self.carry_out().await;
        match outcome.expect("one per command")? {
            Applied::ProducerIds(ids) => Ok(ids),
            // Another node told a wrong place.
            _ => Err(Refusal::Unconfirmed),
        }
    }

    /// Proposes all commands, and says what each did once it is committed and applied here. What they and
    /// others did is still to be [carried out](Self::carry_out).
    pub(super) async fn propose(
        &mut self,
        commands: Vec<Command>,
    ) -> Vec<Result<Applied, Refusal>> {
        assert!(commands.len() <= TOPICS_PER_CHANGE_MAX);
        let local = &self.wiring.local;
        let cluster = self.wiring.cluster.as_ref().map(|(cluster, _)| cluster);
        let proposer = Proposer {
            router: &local.router,
            cluster,
        };
        let mut proposed = Vec::with_capacity(commands.len());
        for command in commands {
            proposed.push(proposer.propose(Bytes::from(command.encode())).await);
        }
        let mut outcomes = Vec::with_capacity(proposed.len());
        for answer in proposed {
            let index = match answer {
                Ok(answer) => answer.await,
                Err(refusal) => Err(refusal),
            };
            outcomes.push(match index {
                Ok(index) => self.applied_at(index).await,
                Err(refusal) => Err(refusal),
            });
        }
        outcomes
    }

    /// What the command at `index` did. It is committed, so it comes; in between come those of others. Where
    /// it does not come in time, this node is cut off, or was told a wrong place: then nobody knows.
    async fn applied_at(&mut self, index: LogIndex) -> Result<Applied, Refusal> {
        let waiting = timeout(PROPOSE_WAIT_MAX, self.apply_up_to(index));
        waiting.await.unwrap_or(Err(Refusal::Unconfirmed))
    }

    async fn apply_up_to(&mut self, index: LogIndex) -> Result<Applied, Refusal> {
        if index <= self.applied {
            // No leader says this of a command that was just proposed.
            return Err(Refusal::Unconfirmed);
        }
        while let Some(committed) = self.wiring.applied.recv().await {
            let at = committed.index;
            match self.apply(committed) {
                Ok(applied) if at == index => return Ok(applied),
                Ok(_) => {}
                Err(error) => {
                    self.wiring.failure.set(&error.to_string());
                    return Err(Refusal::Failed);
                }
            }
        }
        Err(Refusal::Closing)
    }
}
