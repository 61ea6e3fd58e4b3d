//! The controller at work: one request after the other, on a thread of its own.

use super::change::{
    CreateError, CreatePolicy, DeleteError, NewTopic, TopicRef, plan_create, plan_delete,
};
use super::command::Command;
use super::image::{Image, TopicImage};
use super::local::{LocalPartitions, ToOpen};
use super::opener::OpenError;
use super::state::{Applied, METADATA_GROUP, MetadataState, Topic, flatten};
use super::{ControllerHandle, Request};
use crate::env::Env;
use crate::limits::{
    APPLIED_QUEUE_LEN, CONTROLLER_QUEUE_LEN, PRODUCER_ID_BLOCK, TOPICS_PER_CHANGE_MAX,
};
use crate::runtime::{AppliedCommand, CommandReply, Failure};
use crate::shard::{Input, Refusal};
use crate::topics::TopicSettings;
use bytes::Bytes;
use laminarmq_kafka::Uuid;
use laminarmq_replica::LogIndex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

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
}

/// See the module's documentation.
pub(crate) struct Controller {
    pub(super) wiring: ControllerWiring,
    pub(super) state: MetadataState,
    /// Commands up to here are in `state`.
    applied: LogIndex,
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
    /// A shard stopped.
    #[error("a shard refused to take a partition: {0}")]
    Shard(#[from] Refusal),
}

/// What a wish became: the command to propose, and what the topic will look like but for its group ids.
type Plan = Result<(Command, Arc<TopicImage>), CreateError>;

impl Controller {
    /// Opens the metadata group, brings the state up to date, and opens this node's partitions.
    pub(crate) async fn open(wiring: ControllerWiring) -> Result<Self, ControllerError> {
        let mut controller = Self {
            wiring,
            state: MetadataState::new(),
            applied: LogIndex(0),
        };
        let local = &controller.wiring.local;
        let ready = local
            .host(METADATA_GROUP, local.opener.open_metadata()?)
            .await?;
        controller.replay(ready).await?;
        controller.open_all().await?;
        Ok(controller)
    }

    pub(crate) fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.wiring.image.subscribe()
    }

    /// A handle, and the queue behind it for [`Controller::run`].
    pub(crate) fn channel() -> (ControllerHandle, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(CONTROLLER_QUEUE_LEN);
        (ControllerHandle(sender), receiver)
    }

    /// Serves requests until it is told to stop.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            // Whoever asked may have given up; what was done is done.
            match request {
                Request::Stop => break,
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
        Ok(self.state.apply(command))
    }

    /// Opens the partitions of all topics, and shows them once all are ready.
    async fn open_all(&mut self) -> Result<(), ControllerError> {
        let topics = self.resolve_all()?;
        let local = &self.wiring.local;
        local.set_strays_aside(&topics)?;
        let to_open: Vec<_> = topics.iter().map(ToOpen::all).collect();
        for result in local.open(&to_open).await {
            result?;
        }
        local.forget_unclaimed().await;
        self.show(topics);
        Ok(())
    }

    fn resolve_all(&self) -> Result<Vec<Arc<TopicImage>>, ControllerError> {
        let resolve = |topic: &Arc<Topic>| {
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
        };
        self.state.topics().map(resolve).collect()
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

    async fn create(
        &mut self,
        wishes: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<Result<Arc<TopicImage>, CreateError>> {
        let plans = self.plan_creates(wishes);
        if validate_only {
            return plans
                .into_iter()
                .map(|plan| plan.map(|(_, image)| image))
                .collect();
        }
        let commands = plans
            .iter()
            .flatten()
            .map(|(command, _)| command.clone())
            .collect();
        let mut outcomes = self.propose(commands).await.into_iter();
        let mut next = || outcomes.next().expect("one per command");
        let mut made = |(_, planned): (Command, Arc<TopicImage>)| match next()? {
            Applied::TopicCreated(topic) => Ok(Arc::new(TopicImage {
                topic,
                settings: planned.settings.clone(),
            })),
            _ => Err(CreateError::Exists),
        };
        let mut results: Vec<_> = plans
            .into_iter()
            .map(|plan| plan.and_then(&mut made))
            .collect();
        self.bring_up(&mut results).await;
        for image in results.iter().flatten() {
            let topic = &image.topic;
            let partitions = topic.partitions.len();
            tracing::info!(topic = topic.name, partitions, "a topic was created");
        }
        self.show(results.iter().flatten().cloned().collect());
        results
    }

    fn plan_creates(&self, wishes: Vec<NewTopic>) -> Vec<Plan> {
        let mut seen = BTreeMap::<String, usize>::new();
        for wish in &wishes {
            *seen.entry(wish.name.clone()).or_default() += 1;
        }
        let mut reserved = 0;
        let mut lookalikes = BTreeMap::<String, String>::new();
        let mut plan = |wish: NewTopic| {
            if seen[&wish.name] > 1 {
                return Err(CreateError::Twice);
            }
            let before = lookalikes.entry(flatten(&wish.name));
            let before = before.or_insert_with(|| wish.name.clone());
            if *before != wish.name {
                return Err(CreateError::Lookalike(before.clone()));
            }
            let id = self.fresh_topic_id();
            let plan = plan_create(&self.state, &self.wiring.policy, wish, reserved, id)?;
            reserved += plan.command.replicas.len();
            let topic = Arc::new(Topic::planned(&plan.command));
            let image = TopicImage {
                topic,
                settings: plan.settings,
            };
            Ok((Command::CreateTopic(plan.command), Arc::new(image)))
        };
        wishes.into_iter().map(&mut plan).collect()
    }

    /// A random UUID (version 4).
    fn fresh_topic_id(&self) -> Uuid {
        let mut bytes = self.wiring.env.next_bytes16();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }

    /// Opens the partitions of new topics. A topic for which that fails is taken back.
    async fn bring_up(&mut self, results: &mut [Result<Arc<TopicImage>, CreateError>]) {
        let topics: Vec<_> = results.iter().flatten().cloned().collect();
        let to_open: Vec<_> = topics.iter().map(ToOpen::all).collect();
        let opened = self.wiring.local.open(&to_open).await;
        let mut failed = BTreeMap::new();
        for (image, result) in topics.iter().zip(opened) {
            if let Err(error) = result {
                let topic = &image.topic;
                tracing::error!(topic = topic.name, %error, "cannot open a new topic; it is taken back");
                failed.insert(topic.id, error.to_string());
            }
        }
        if failed.is_empty() {
            return;
        }
        // Where even this is refused the broker has failed, or is stopping.
        let _ = self.delete_by_id(failed.keys().copied().collect()).await;
        for result in results {
            let reason = result
                .as_ref()
                .ok()
                .and_then(|image| failed.remove(&image.topic.id));
            if let Some(reason) = reason {
                *result = Err(CreateError::Open(reason));
            }
        }
    }

    async fn delete(&mut self, topics: Vec<TopicRef>) -> Vec<Result<Arc<Topic>, DeleteError>> {
        let plan = |topic: &TopicRef| plan_delete(&self.state, topic).map(|topic| topic.id);
        let plans: Vec<_> = topics.iter().map(plan).collect();
        let mut outcomes = self
            .delete_by_id(plans.iter().flatten().copied().collect())
            .await
            .into_iter();
        let mut next = |_id| match outcomes.next().expect("one per command")? {
            Applied::TopicDeleted(topic) => Ok(topic),
            // It was named twice in this request.
            _ => Err(DeleteError::Unknown),
        };
        plans
            .into_iter()
            .map(|plan| plan.and_then(&mut next))
            .collect()
    }

    /// Deletes topics, hides them, and takes down what was theirs.
    async fn delete_by_id(&mut self, ids: Vec<Uuid>) -> Vec<Result<Applied, Refusal>> {
        let command = |topic_id| Command::DeleteTopic { topic_id };
        let outcomes = self.propose(ids.into_iter().map(command).collect()).await;
        let deleted: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Ok(Applied::TopicDeleted(topic)) => Some(Arc::clone(topic)),
                _ => None,
            })
            .collect();
        if !deleted.is_empty() {
            self.wiring.image.send_modify(|image| {
                let image = Arc::make_mut(image);
                deleted.iter().for_each(|topic| image.remove(topic.id));
            });
            self.wiring.local.take_down(&deleted).await;
            for topic in &deleted {
                let partitions = topic.partitions.len();
                tracing::info!(topic = topic.name, partitions, "a topic was deleted");
            }
        }
        outcomes
    }

    async fn producer_ids(&mut self) -> Result<Range<u64>, Refusal> {
        let node = self.wiring.policy.node;
        let command = Command::AllocateProducerIds {
            node,
            count: PRODUCER_ID_BLOCK,
        };
        match self
            .propose(vec![command])
            .await
            .pop()
            .expect("one per command")?
        {
            Applied::ProducerIds(ids) => Ok(ids),
            other => unreachable!("producer ids were asked for, and {other:?} was done"),
        }
    }

    /// Proposes all commands, and says what each did once it is committed and applied.
    pub(super) async fn propose(
        &mut self,
        commands: Vec<Command>,
    ) -> Vec<Result<Applied, Refusal>> {
        assert!(commands.len() <= TOPICS_PER_CHANGE_MAX);
        let mut proposed = Vec::with_capacity(commands.len());
        for command in commands {
            proposed.push(self.propose_one(&command).await);
        }
        let mut outcomes = Vec::with_capacity(proposed.len());
        for answer in proposed {
            let index = match answer {
                Ok(answer) => answer.await.unwrap_or(Err(Refusal::Closing)),
                Err(refusal) => Err(refusal),
            };
            outcomes.push(match index {
                Ok(index) => self.applied_at(index).await,
                Err(refusal) => Err(refusal),
            });
        }
        outcomes
    }

    async fn propose_one(
        &self,
        command: &Command,
    ) -> Result<oneshot::Receiver<Result<LogIndex, Refusal>>, Refusal> {
        let router = &self.wiring.local.router;
        let route = router.route(METADATA_GROUP).ok_or(Refusal::NoPartition)?;
        let (reply, answer) = oneshot::channel();
        let command = Bytes::from(command.encode());
        let input = Input::Command {
            group: METADATA_GROUP,
            command,
            reply: CommandReply::Once(reply),
        };
        router.send(route.shard, input).await?;
        Ok(answer)
    }

    /// What the command at `index` did. The shard handed it over before it answered.
    async fn applied_at(&mut self, index: LogIndex) -> Result<Applied, Refusal> {
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
