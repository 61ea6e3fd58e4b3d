//! DescribeLogDirs: what partitions take in the data directory, and what is free beside it.

use crate::context::Context;
use crate::controller::Image;
use crate::limits::READS_PER_INPUT;
use crate::shard::{Input, Refusal};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use laminarmq_kafka::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use laminarmq_replica::GroupId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tokio::sync::oneshot;

pub(super) async fn handle(
    context: &Context,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let wanted = wanted(&context.image(), request.topics);
    let groups = wanted.iter().flat_map(|topic| &topic.partitions);
    let bytes = measure(context, groups.map(|(_, group)| *group).collect()).await;
    let topic = |topic: WantedTopic| {
        let partitions = topic.partitions.iter();
        let partition = |(number, group): &(i32, GroupId)| {
            // Deleted meanwhile: it takes nothing any more.
            Some(DescribeLogDirsPartition {
                partition_index: *number,
                partition_size: i64::try_from(*bytes.get(group)?).unwrap_or(i64::MAX),
                ..DescribeLogDirsPartition::default()
            })
        };
        DescribeLogDirsTopic {
            name: topic.name,
            partitions: partitions.filter_map(partition).collect(),
        }
    };
    let topics = wanted.into_iter().map(topic);
    let topics = topics.filter(|topic| !topic.partitions.is_empty());
    let directory = context.config.data_dir.clone();
    let space = tokio::task::spawn_blocking(|| look_at(directory)).await;
    let (path, space) = space.unwrap_or_else(|_| (context.config.data_dir.clone(), None));
    let (total_bytes, usable_bytes) = space.unwrap_or((-1, -1));
    let result = DescribeLogDirsResult {
        error_code: if context.failure.is_set() {
            ErrorCode::KAFKA_STORAGE_ERROR
        } else {
            ErrorCode::NONE
        },
        log_dir: path.display().to_string(),
        topics: topics.collect(),
        total_bytes,
        usable_bytes,
    };
    DescribeLogDirsResponse {
        results: vec![result],
        ..DescribeLogDirsResponse::default()
    }
}

/// Partitions of a topic that are asked for, by number.
struct WantedTopic {
    name: String,
    partitions: Vec<(i32, GroupId)>,
}

/// What is asked for and there; `None` asks for everything.
fn wanted(image: &Image, asked: Option<Vec<DescribableLogDirTopic>>) -> Vec<WantedTopic> {
    let Some(asked) = asked else {
        let all = |topic: &std::sync::Arc<crate::controller::TopicImage>| WantedTopic {
            name: topic.topic.name.clone(),
            partitions: (0..)
                .zip(
                    topic
                        .topic
                        .partitions
                        .iter()
                        .map(|partition| partition.group),
                )
                .collect(),
        };
        return image.topics().map(all).collect();
    };
    // Each once, however often it is named: the answer is not larger than what there is.
    let mut names = BTreeMap::<String, BTreeSet<i32>>::new();
    for DescribableLogDirTopic { topic, partitions } in asked {
        names.entry(topic).or_default().extend(partitions);
    }
    let topic = |(name, numbers): (String, BTreeSet<i32>)| {
        let numbers = numbers.into_iter();
        let partitions = numbers
            .filter_map(|number| Some((number, image.partition(&name, number)?.group)))
            .collect();
        WantedTopic { name, partitions }
    };
    names.into_iter().map(topic).collect()
}

/// Asks the shards for the sizes of these partitions. Those that are gone are left out.
async fn measure(context: &Context, groups: Vec<GroupId>) -> BTreeMap<GroupId, u64> {
    let mut by_shard = BTreeMap::<usize, Vec<GroupId>>::new();
    for group in groups {
        if let Some(route) = context.router.route(group) {
            by_shard.entry(route.shard).or_default().push(group);
        }
    }
    let mut asked = Vec::new();
    for (shard, groups) in by_shard {
        for groups in groups.chunks(READS_PER_INPUT) {
            let (reply, answer) = oneshot::channel();
            let input = Input::Measure {
                groups: groups.to_vec(),
                reply,
            };
            if context.router.send(shard, input).await.is_ok() {
                asked.push((groups.to_vec(), answer));
            }
        }
    }
    let mut bytes = BTreeMap::new();
    for (groups, answer) in asked {
        let results: Vec<Result<u64, Refusal>> = answer.await.unwrap_or_default();
        let known = groups.into_iter().zip(results);
        bytes.extend(known.filter_map(|(group, result)| Some((group, result.ok()?))));
    }
    bytes
}

/// The whole path of a directory, and the size and the free bytes of its file system.
fn look_at(directory: PathBuf) -> (PathBuf, Option<(i64, i64)>) {
    let space = rustix::fs::statvfs(&directory).ok().map(|space| {
        let bytes = |blocks: u64| {
            let bytes = blocks.saturating_mul(space.f_frsize);
            i64::try_from(bytes).unwrap_or(i64::MAX)
        };
        (bytes(space.f_blocks), bytes(space.f_bavail))
    });
    let path = std::path::absolute(&directory).unwrap_or(directory);
    (path, space)
}
