//! This node's partitions: opening them, handing them to shards, taking them away again.

use super::image::TopicImage;
use super::opener::{OpenError, Opener};
use super::service::ControllerError;
use super::state::Topic;
use crate::data_dir::PartitionName;
use crate::flusher::Flusher;
use crate::parallel::in_parallel;
use crate::routing::Router;
use crate::shard::{Hosted, Input, Refusal};
use laminarmq::FileEnv;
use laminarmq_replica::{GroupId, Replica};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Ends when a shard has taken a partition and it is ready, or not.
type Ready = oneshot::Receiver<Result<(), Refusal>>;

/// A partition to open: which topic of a list, which partition of it.
type Job = (usize, u32);

/// See the module's documentation.
pub(crate) struct LocalPartitions {
    pub(crate) opener: Opener,
    pub(crate) router: Arc<Router>,
    pub(crate) flusher: Flusher,
}

impl LocalPartitions {
    /// Hands a replica to a shard.
    pub(super) async fn host(
        &self,
        group: GroupId,
        replica: Replica<FileEnv>,
    ) -> Result<Ready, Refusal> {
        let (reply, ready) = oneshot::channel();
        let shard = self.router.add(group).shard;
        let hosted = Box::new(Hosted {
            replica,
            group,
            reply,
        });
        self.router.send(shard, Input::Host(hosted)).await?;
        Ok(ready)
    }

    /// Opens all partitions of these topics, several at a time, and waits until each has a leader. One
    /// answer per topic; of a topic that failed, some partitions may be open.
    pub(super) async fn open(
        &self,
        topics: &[Arc<TopicImage>],
    ) -> Vec<Result<(), ControllerError>> {
        let mut results: Vec<_> = topics.iter().map(|_| Ok(())).collect();
        let mut waiting = Vec::new();
        for ((topic, partition), replica) in self.open_replicas(topics) {
            let group = topics[topic].topic.partitions[partition as usize].group;
            let hosted = match replica {
                Ok(replica) => self
                    .host(group, replica)
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

    fn open_replicas(
        &self,
        topics: &[Arc<TopicImage>],
    ) -> Vec<(Job, Result<Replica<FileEnv>, OpenError>)> {
        let jobs: Vec<Job> = topics
            .iter()
            .enumerate()
            .flat_map(|(topic, image)| {
                (0..)
                    .zip(&image.topic.partitions)
                    .map(move |(partition, _)| (topic, partition))
            })
            .collect();
        let open = |&(topic, partition): &Job| {
            let TopicImage { topic, settings } = &*topics[topic];
            self.opener.open_partition(topic, partition, settings)
        };
        let opened = in_parallel(&jobs, open);
        jobs.into_iter().zip(opened).collect()
    }

    /// Closes the partitions of topics that are deleted and removes their files.
    pub(super) async fn take_down(&self, topics: &[Arc<Topic>]) {
        let mut partitions = Vec::new();
        for topic in topics {
            partitions.extend((0..).zip(&topic.partitions).map(|(number, partition)| {
                (PartitionName::new(&topic.name, number), partition.group)
            }));
        }
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

    /// Sets aside all folders that belong to none of these topics.
    pub(super) fn set_strays_aside(&self, topics: &[Arc<TopicImage>]) -> Result<(), OpenError> {
        let mut names = BTreeSet::from([PartitionName::metadata().to_string()]);
        for image in topics {
            for (number, _) in (0..).zip(&image.topic.partitions) {
                names.insert(PartitionName::new(&image.topic.name, number).to_string());
            }
        }
        Ok(self.opener.dir().set_strays_aside(&names)?)
    }

    /// Forgets the saved state of partitions that are gone.
    pub(super) async fn forget_unclaimed(&self) {
        let unclaimed = self.opener.unclaimed();
        if !unclaimed.is_empty() {
            self.flusher.forget(unclaimed).await;
        }
    }
}
