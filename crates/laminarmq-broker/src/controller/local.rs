//! This node's partitions: opening them, handing them to shards, taking them away again.

use super::image::TopicImage;
use super::opener::{OpenError, Opener, tuning};
use super::service::ControllerError;
use super::state::{Topic, TopicPartition};
use crate::cluster::{Incarnations, Leaders, NodeId};
use crate::data_dir::PartitionName;
use crate::flusher::Flusher;
use crate::limits::LEADERS_WAIT_MAX;
use crate::parallel::in_parallel;
use crate::routing::Router;
use crate::shard::{Hosted, Input, Readiness, Refusal};
use laminarmq::FileEnv;
use laminarmq_replica::{GroupId, Replica};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Ends when a shard has taken a partition and it is ready, or not.
type Ready = oneshot::Receiver<Result<(), Refusal>>;

/// A partition to open: which topic of a list, which partition of it.
type Job = (usize, u32);

/// Partitions of a topic that are to be opened: all from a number on.
pub(super) struct ToOpen {
    pub(super) image: Arc<TopicImage>,
    pub(super) from: u32,
}

impl ToOpen {
    pub(super) fn all(image: &Arc<TopicImage>) -> Self {
        Self {
            image: Arc::clone(image),
            from: 0,
        }
    }

    fn names(&self, node: NodeId) -> impl Iterator<Item = (PartitionName, GroupId)> {
        names(&self.image.topic, node).filter(|(name, _)| name.partition >= self.from)
    }
}

/// The partitions of a topic that a node holds.
fn names(topic: &Topic, node: NodeId) -> impl Iterator<Item = (PartitionName, GroupId)> {
    let held = (0..)
        .zip(&topic.partitions)
        .filter(move |(_, partition)| partition.is_on(node));
    held.map(|(number, partition)| (PartitionName::new(&topic.name, number), partition.group))
}

/// See the module's documentation.
pub(crate) struct LocalPartitions {
    pub(crate) opener: Opener,
    pub(crate) router: Arc<Router>,
    pub(crate) flusher: Flusher,
    /// This node.
    pub(crate) node: NodeId,
    /// Who leads what; `None` on a node that is alone, and leads everything.
    pub(crate) leaders: Option<Arc<Leaders>>,
}

impl LocalPartitions {
    /// Hands a replica to a shard.
    pub(super) async fn host(
        &self,
        group: GroupId,
        replica: Replica<FileEnv>,
        answer: Readiness,
    ) -> Result<Ready, Refusal> {
        let (reply, ready) = oneshot::channel();
        let shard = self.router.add(group).shard;
        let doubt = replica
            .is_in_doubt()
            .then(|| self.opener.dir().boot().doubt());
        let hosted = Box::new(Hosted {
            replica,
            group,
            doubt,
            answer,
            reply,
        });
        self.router.send(shard, Input::Host(hosted)).await?;
        Ok(ready)
    }

    /// Opens those of these partitions that are on this node, several at a time, and waits until those that
    /// have no other replica are led. One answer per topic; of a topic that failed, some partitions may be
    /// open.
    pub(super) async fn open(&self, topics: &[ToOpen]) -> Vec<Result<(), ControllerError>> {
        let mut results: Vec<_> = topics.iter().map(|_| Ok(())).collect();
        let mut waiting = Vec::new();
        for ((topic, partition), replica) in self.open_replicas(topics) {
            let TopicPartition { group, nodes, .. } =
                &topics[topic].image.topic.partitions[partition as usize];
            let answer = match nodes.len() {
                1 => Readiness::Leads,
                _ => Readiness::Taken,
            };
            let hosted = match replica {
                Ok(replica) => self
                    .host(*group, replica, answer)
                    .await
                    .map_err(ControllerError::from),
                Err(error) => Err(error.into()),
            };
            match hosted {
                Ok(ready) => waiting.push((topic, ready)),
                Err(error) => results[topic] = Err(error),
            }
        }
        for (topic, ready) in waiting {
            if let Err(refusal) = ready.await.unwrap_or(Err(Refusal::Closing)) {
                results[topic] = Err(refusal.into());
            }
        }
        results
    }

    fn open_replicas(&self, topics: &[ToOpen]) -> Vec<(Job, Result<Replica<FileEnv>, OpenError>)> {
        let jobs: Vec<Job> = topics
            .iter()
            .enumerate()
            .flat_map(|(topic, to_open)| {
                to_open
                    .names(self.node)
                    .map(move |(name, _)| (topic, name.partition))
            })
            .collect();
        let open = |&(topic, partition): &Job| {
            let TopicImage { topic, settings } = &*topics[topic].image;
            self.opener.open_partition(topic, partition, settings)
        };
        let opened = in_parallel(&jobs, open);
        jobs.into_iter().zip(opened).collect()
    }

    /// Gives the partitions of these topics the settings that their topics have now.
    pub(super) async fn tune(&self, topics: &[Arc<TopicImage>]) -> Result<(), Refusal> {
        let mut waiting = Vec::new();
        for image in topics {
            let tuning = tuning(&image.settings);
            for partition in &image.topic.partitions {
                let group = partition.group;
                // One that could not be opened gets them when it is.
                let Some(route) = self.router.route(group) else {
                    continue;
                };
                let (reply, tuned) = oneshot::channel();
                let input = Input::Tune {
                    group,
                    tuning,
                    reply,
                };
                self.router.send(route.shard, input).await?;
                waiting.push(tuned);
            }
        }
        for tuned in waiting {
            tuned.await.unwrap_or(Err(Refusal::Closing))?;
        }
        Ok(())
    }

    /// Closes the partitions of topics that are deleted and removes their files.
    pub(super) async fn take_down(&self, topics: &[Arc<Topic>]) {
        let held = topics.iter().flat_map(|topic| names(topic, self.node));
        self.take_partitions_down(held.collect()).await;
        if let Some(leaders) = &self.leaders {
            let all = topics.iter().flat_map(|topic| &topic.partitions);
            all.for_each(|partition| leaders.forget(partition.group));
        }
    }

    /// Closes what could be opened of these, and removes their files.
    pub(super) async fn take_back(&self, opened: &ToOpen) {
        self.take_partitions_down(opened.names(self.node).collect())
            .await;
    }

    async fn take_partitions_down(&self, partitions: Vec<(PartitionName, GroupId)>) {
        let mut waiting = Vec::new();
        for (_, group) in &partitions {
            let Some(route) = self.router.route(*group) else {
                continue;
            };
            let (reply, removed) = oneshot::channel();
            let input = Input::Remove {
                group: *group,
                reply,
            };
            if self.router.send(route.shard, input).await.is_ok() {
                waiting.push(removed);
            }
        }
        for removed in waiting {
            // A shard that is gone owns nothing.
            let _ = removed.await;
        }
        for (_, group) in &partitions {
            // Only now: this wakes whoever waits for a partition, and they ask its shard once more.
            self.router.remove(*group);
            self.opener.forget(*group);
        }
        self.flusher
            .forget(partitions.iter().map(|(_, group)| *group).collect())
            .await;
        if let Err(error) = self.opener.dir().remove_partitions(&partitions) {
            // They belong to nobody any more: the next start removes them or sets them aside.
            tracing::error!(%error, "cannot remove the files of deleted partitions");
        }
    }

    /// Has all shards replace what was lost with these nodes' directories.
    pub(super) async fn replace(&self, incarnations: Incarnations) {
        let incarnations = Arc::new(incarnations);
        for shard in 0..self.router.shard_count() {
            let input = Input::Replaced(Arc::clone(&incarnations));
            // A shard that is gone leads nothing.
            let _ = self.router.send(shard, input).await;
        }
    }

    /// Sets aside all folders that belong to none of these topics.
    pub(super) fn set_strays_aside(&self, topics: &[Arc<TopicImage>]) -> Result<(), OpenError> {
        let mut names = BTreeSet::from([PartitionName::metadata().to_string()]);
        for image in topics {
            names.extend(self::names(&image.topic, self.node).map(|(name, _)| name.to_string()));
        }
        Ok(self.opener.dir().set_strays_aside(&names)?)
    }

    /// Waits until somebody is known to lead each of these groups. Not for ever: without the nodes that
    /// hold them nobody will.
    pub(super) async fn wait_for_leaders(&self, groups: impl Iterator<Item = GroupId>) {
        let Some(leaders) = &self.leaders else {
            return;
        };
        let mut changes = leaders.changes();
        let waiting = async {
            for group in groups {
                while leaders.node(group).is_none() {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
            }
        };
        // Whoever uses the partitions meanwhile is told to ask again.
        let _ = timeout(LEADERS_WAIT_MAX, waiting).await;
    }

    /// Forgets the saved state of partitions that are gone.
    pub(super) async fn forget_unclaimed(&self) {
        let unclaimed = self.opener.unclaimed();
        if !unclaimed.is_empty() {
            self.flusher.forget(unclaimed).await;
        }
    }
}
