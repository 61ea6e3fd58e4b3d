//! The controller at work: one request after the other, on a thread of its own.

use super::change::{
    CreateError, CreatePolicy, DeleteError, NewTopic, TopicRef, plan_create, plan_delete,
};
use super::command::{Command, CommandError};
use super::image::{Image, TopicImage};
use super::opener::{OpenError, Opener};
use super::state::{Applied, METADATA_GROUP, MetadataState, Topic};
use super::{ControllerHandle, Request};
use crate::data_dir::PartitionName;
use crate::env::Env;
use crate::flusher::Flusher;
use crate::limits::{
    APPLIED_QUEUE_LEN, CONTROLLER_QUEUE_LEN, PRODUCER_ID_BLOCK, TOPICS_PER_CHANGE_MAX,
};
use crate::routing::Router;
use crate::runtime::{AppliedCommand, Failure};
use crate::shard::{Hosted, Input, Refusal};
use crate::topics::TopicSettings;
use bytes::Bytes;
use laminarmq_kafka::Uuid;
use laminarmq_replica::{GroupId, LogIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot, watch};

// While the controller proposes it does not take applied commands, so all of one request must fit.
const _: () = assert!(TOPICS_PER_CHANGE_MAX < APPLIED_QUEUE_LEN);

/// Threads that open partitions at the start.
const OPEN_THREADS: usize = 8;

/// What the controller works with.
pub(crate) struct ControllerWiring {
    pub(crate) policy: CreatePolicy,
    pub(crate) opener: Opener,
    pub(crate) env: Env,
    pub(crate) router: Arc<Router>,
    pub(crate) flusher: Flusher,
    pub(crate) applied: mpsc::Receiver<AppliedCommand>,
    pub(crate) failure: Failure,
}

/// See the module's documentation.
pub(crate) struct Controller {
    wiring: ControllerWiring,
    state: MetadataState,
    /// Commands up to here are in `state`.
    applied: LogIndex,
    image: watch::Sender<Arc<Image>>,
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

impl From<(LogIndex, CommandError)> for ControllerError {
    fn from((index, error): (LogIndex, CommandError)) -> Self {
        Self::Command {
            index: index.0,
            reason: error.to_string(),
        }
    }
}

impl Controller {
    /// Opens the metadata group, brings the state up to date, and opens this node's partitions.
    pub(crate) async fn open(wiring: ControllerWiring) -> Result<Self, ControllerError> {
        let image = watch::Sender::new(Arc::new(Image::default()));
        let state = MetadataState::new();
        let mut controller = Self {
            wiring,
            state,
            applied: LogIndex(0),
            image,
        };
        let replica = controller.wiring.opener.open_metadata()?;
        controller
            .replay(controller.host(METADATA_GROUP, replica).await?)
            .await?;
        controller.open_all().await?;
        Ok(controller)
    }

    pub(crate) fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.image.subscribe()
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
                Request::ProducerIds { reply } => {
                    let _ = reply.send(self.producer_ids().await);
                }
            }
        }
    }

    async fn host(
        &self,
        group: GroupId,
        replica: laminarmq_replica::Replica<laminarmq::FileEnv>,
    ) -> Result<oneshot::Receiver<Result<(), Refusal>>, Refusal> {
        let (reply, ready) = oneshot::channel();
        let shard = self.wiring.router.add(group).shard;
        let hosted = Box::new(Hosted {
            replica,
            group,
            reply,
        });
        self.wiring.router.send(shard, Input::Host(hosted)).await?;
        Ok(ready)
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
        let command = Command::decode(&command).map_err(|error| (index, error))?;
        self.applied = index;
        Ok(self.state.apply(command))
    }

    /// Opens the partitions of all topics, several at a time, and shows them once all are ready.
    async fn open_all(&mut self) -> Result<(), ControllerError> {
        let topics = self.resolve_all()?;
        let mut names = BTreeSet::from([PartitionName::metadata().to_string()]);
        for image in &topics {
            let topic = &image.topic;
            for (partition, _) in (0u32..).zip(&topic.partitions) {
                names.insert(PartitionName::new(&topic.name, partition).to_string());
            }
        }
        self.wiring
            .opener
            .dir()
            .set_strays_aside(&names)
            .map_err(OpenError::from)?;
        self.open_topics(&topics).await?;
        // Whatever state is left belongs to partitions that are gone.
        self.wiring
            .flusher
            .forget(self.wiring.opener.unclaimed())
            .await;
        self.image.send_modify(|image| {
            let image = Arc::make_mut(image);
            topics.into_iter().for_each(|topic| image.insert(topic));
        });
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

    /// Opens all partitions of these topics and waits until each has a leader. Partitions that were opened
    /// before one failed stay open.
    async fn open_topics(&self, topics: &[Arc<TopicImage>]) -> Result<(), ControllerError> {
        let jobs: Vec<_> = topics
            .iter()
            .flat_map(|image| {
                (0u32..)
                    .zip(&image.topic.partitions)
                    .map(move |(n, p)| (image, n, p.group))
            })
            .collect();
        let mut waiting = Vec::with_capacity(jobs.len());
        for (group, replica) in self.open_replicas(&jobs)? {
            waiting.push(self.host(group, replica).await?);
        }
        for ready in waiting {
            ready.await.map_err(|_| Refusal::Closing)??;
        }
        Ok(())
    }

    fn open_replicas(
        &self,
        jobs: &[(&Arc<TopicImage>, u32, GroupId)],
    ) -> Result<Vec<(GroupId, laminarmq_replica::Replica<laminarmq::FileEnv>)>, OpenError> {
        let next = AtomicUsize::new(0);
        let opener = &self.wiring.opener;
        let work = || {
            let mut opened = Vec::new();
            while let Some((image, number, group)) = jobs.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let replica = opener.open_partition(&image.topic, *number, &image.settings)?;
                opened.push((*group, replica));
            }
            Ok(opened)
        };
        if jobs.len() == 1 {
            return work();
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..OPEN_THREADS.min(jobs.len()))
                .map(|_| scope.spawn(work))
                .collect();
            let mut all = Vec::with_capacity(jobs.len());
            for thread in threads {
                all.extend(
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
                );
            }
            Ok(all)
        })
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
            .filter_map(|plan| plan.as_ref().ok())
            .map(|(command, _)| command);
        let mut outcomes = self.propose(commands.cloned().collect()).await.into_iter();
        let mut results = Vec::with_capacity(plans.len());
        for plan in plans {
            let result = match plan {
                Ok((_, image)) => match outcomes.next().expect("one per command") {
                    Ok(Applied::TopicCreated(topic)) => self.bring_up(topic, &image.settings).await,
                    Ok(_) => Err(CreateError::Exists),
                    Err(refusal) => Err(refusal.into()),
                },
                Err(error) => Err(error),
            };
            results.push(result);
        }
        let created: Vec<_> = results
            .iter()
            .filter_map(|result| result.as_ref().ok())
            .cloned()
            .collect();
        if !created.is_empty() {
            self.image.send_modify(|image| {
                let image = Arc::make_mut(image);
                created.into_iter().for_each(|topic| image.insert(topic));
            });
        }
        results
    }

    /// Checks each wish. What a planned topic will look like has no group ids yet.
    fn plan_creates(
        &self,
        wishes: Vec<NewTopic>,
    ) -> Vec<Result<(Command, Arc<TopicImage>), CreateError>> {
        let mut seen = BTreeMap::<String, usize>::new();
        for wish in &wishes {
            *seen.entry(wish.name.clone()).or_default() += 1;
        }
        let mut reserved = 0;
        let mut plan = |wish: NewTopic| {
            if seen[&wish.name] > 1 {
                return Err(CreateError::Twice);
            }
            let id = self.fresh_topic_id();
            let plan = plan_create(&self.state, &self.wiring.policy, wish, reserved, id)?;
            reserved += plan.command.replicas.len();
            let topic = Topic::planned(&plan.command);
            let image = TopicImage {
                topic: Arc::new(topic),
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

    /// Opens a new topic's partitions. Where that fails the topic is taken back.
    async fn bring_up(
        &mut self,
        topic: Arc<Topic>,
        settings: &TopicSettings,
    ) -> Result<Arc<TopicImage>, CreateError> {
        let image = Arc::new(TopicImage {
            topic,
            settings: settings.clone(),
        });
        let Err(error) = self.open_topics(std::slice::from_ref(&image)).await else {
            return Ok(image);
        };
        tracing::error!(topic = image.topic.name, %error, "cannot open a new topic; it is taken back");
        let delete = Command::DeleteTopic {
            topic_id: image.topic.id,
        };
        if let [Ok(_)] = self.propose(vec![delete]).await.as_slice() {
            self.take_down(&image.topic).await;
        }
        Err(CreateError::Open(error.to_string()))
    }

    async fn delete(&mut self, topics: Vec<TopicRef>) -> Vec<Result<Arc<TopicImage>, DeleteError>> {
        let mut results = Vec::with_capacity(topics.len());
        for topic in topics {
            results.push(self.delete_one(&topic).await);
        }
        results
    }

    async fn delete_one(&mut self, topic: &TopicRef) -> Result<Arc<TopicImage>, DeleteError> {
        let topic = Arc::clone(plan_delete(&self.state, topic)?);
        let outcome = self
            .propose(vec![Command::DeleteTopic { topic_id: topic.id }])
            .await
            .pop();
        match outcome.expect("one per command")? {
            Applied::TopicDeleted(_) => {}
            _ => return Err(DeleteError::Unknown),
        }
        let settings = TopicSettings::of_defaults(self.wiring.policy.defaults);
        let image = self.image.borrow().topic_by_id(topic.id).cloned();
        let image = image.unwrap_or_else(|| {
            Arc::new(TopicImage {
                topic: Arc::clone(&topic),
                settings,
            })
        });
        self.image
            .send_modify(|image| Arc::make_mut(image).remove(topic.id));
        self.take_down(&topic).await;
        Ok(image)
    }

    /// Closes the partitions of a topic that is deleted and removes their files.
    async fn take_down(&self, topic: &Topic) {
        let mut waiting = Vec::new();
        for partition in &topic.partitions {
            let Some(route) = self.wiring.router.remove(partition.group) else {
                continue;
            };
            let (reply, removed) = oneshot::channel();
            let input = Input::Remove {
                group: partition.group,
                reply,
            };
            if self.wiring.router.send(route.shard, input).await.is_ok() {
                waiting.push(removed);
            }
        }
        for removed in waiting {
            // A shard that is gone owns nothing.
            let _ = removed.await;
        }
        self.wiring
            .flusher
            .forget(topic.partitions.iter().map(|p| p.group).collect())
            .await;
        for (number, partition) in (0u32..).zip(&topic.partitions) {
            self.wiring.opener.forget(partition.group);
            let name = PartitionName::new(&topic.name, number);
            if let Err(error) = self
                .wiring
                .opener
                .dir()
                .remove_partition(&name, partition.group.0)
            {
                // It belongs to nobody any more: the next start sets it aside.
                tracing::error!(partition = %name, %error, "cannot remove the files of a deleted topic");
            }
        }
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
    async fn propose(&mut self, commands: Vec<Command>) -> Vec<Result<Applied, Refusal>> {
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
        let route = self
            .wiring
            .router
            .route(METADATA_GROUP)
            .ok_or(Refusal::NoPartition)?;
        let (reply, answer) = oneshot::channel();
        let command = Bytes::from(command.encode());
        let input = Input::Command {
            group: METADATA_GROUP,
            command,
            reply,
        };
        self.wiring.router.send(route.shard, input).await?;
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
