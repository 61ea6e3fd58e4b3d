//! OffsetFetch: how far groups have read. What was never committed has the offset -1 and no error, also of
//! topics and groups that are not there.

use super::{group_code, mismatch};
use crate::context::Context;
use crate::controller::Image;
use crate::groups::{Answer, CommittedOffset, OffsetKey, Request};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};

/// The first version whose answer has a place for the error of a group.
const GROUP_ERROR_FROM: i16 = 2;
/// The first version that asks for several groups.
const SEVERAL_FROM: i16 = 8;

/// Topics with the numbers of their partitions; `None`: all.
type Wanted = Option<Vec<(String, Vec<i32>)>>;

/// A topic's partitions, each with its offset.
type Found = Vec<(String, Vec<(i32, Option<CommittedOffset>)>)>;

pub(super) async fn handle(
    context: &Context,
    request: OffsetFetchRequest,
    version: i16,
) -> OffsetFetchResponse {
    if version < SEVERAL_FROM {
        let topics = request.topics.map(|topics| {
            let topics = topics.into_iter();
            topics
                .map(|topic| (topic.name, topic.partition_indexes))
                .collect()
        });
        return one(context, request.group_id, topics, version).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let wanted = group.topics.map(|topics| {
            let topics = topics.into_iter();
            topics
                .map(|topic| (topic.name, topic.partition_indexes))
                .collect()
        });
        groups.push(of_several(context, group.group_id, wanted).await);
    }
    OffsetFetchResponse {
        groups,
        ..OffsetFetchResponse::default()
    }
}

/// The answer of the versions that ask for one group.
async fn one(
    context: &Context,
    group: String,
    wanted: Wanted,
    version: i16,
) -> OffsetFetchResponse {
    let (error_code, found) = match find(context, group, wanted.clone()).await {
        Ok(found) => (ErrorCode::NONE, found),
        // Without a place of its own, the error stands with each partition.
        Err(code) if version < GROUP_ERROR_FROM => (code, missing(wanted.unwrap_or_default())),
        Err(code) => (code, Vec::new()),
    };
    let partition = |(partition_index, found): (i32, Option<CommittedOffset>)| {
        let found = found.unwrap_or(NEVER_COMMITTED);
        OffsetFetchResponsePartition {
            partition_index,
            committed_offset: found.offset,
            committed_leader_epoch: found.leader_epoch,
            metadata: found.metadata,
            error_code: if version < GROUP_ERROR_FROM {
                error_code
            } else {
                ErrorCode::NONE
            },
        }
    };
    let topic = |(name, partitions): (String, Vec<_>)| OffsetFetchResponseTopic {
        name,
        partitions: partitions.into_iter().map(partition).collect(),
    };
    OffsetFetchResponse {
        topics: found.into_iter().map(topic).collect(),
        error_code,
        ..OffsetFetchResponse::default()
    }
}

async fn of_several(context: &Context, group: String, wanted: Wanted) -> OffsetFetchResponseGroup {
    let (error_code, found) = match find(context, group.clone(), wanted).await {
        Ok(found) => (ErrorCode::NONE, found),
        Err(code) => (code, Vec::new()),
    };
    let partition = |(partition_index, found): (i32, Option<CommittedOffset>)| {
        let found = found.unwrap_or(NEVER_COMMITTED);
        OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: found.offset,
            committed_leader_epoch: found.leader_epoch,
            metadata: found.metadata,
            error_code: ErrorCode::NONE,
        }
    };
    let topic = |(name, partitions): (String, Vec<_>)| OffsetFetchResponseTopics {
        name,
        partitions: partitions.into_iter().map(partition).collect(),
    };
    OffsetFetchResponseGroup {
        group_id: group,
        topics: found.into_iter().map(topic).collect(),
        error_code,
    }
}

const NEVER_COMMITTED: CommittedOffset = CommittedOffset {
    offset: -1,
    leader_epoch: -1,
    metadata: Some(String::new()),
    committed_ms: 0,
    retention_ms: None,
};

fn missing(wanted: Vec<(String, Vec<i32>)>) -> Found {
    let of_topic = |(name, partitions): (String, Vec<i32>)| {
        let partitions = partitions.into_iter();
        (
            name,
            partitions.map(|partition| (partition, None)).collect(),
        )
    };
    wanted.into_iter().map(of_topic).collect()
}

async fn find(context: &Context, group: String, wanted: Wanted) -> Result<Found, ErrorCode> {
    let image = context.image();
    let keys = wanted.as_ref().map(|topics| keys(&image, topics));
    let answer = context.groups.ask(group, Request::Fetch { keys }).await;
    let offsets = match answer {
        Answer::Fetch(Ok(offsets)) => offsets,
        Answer::Fetch(Err(error)) => return Err(group_code(&error)),
        other => mismatch(&other),
    };
    let Some(wanted) = wanted else {
        return Ok(by_topic(&image, offsets));
    };
    // The answers to the topics that are there, in their order.
    let mut offsets = offsets.into_iter();
    let mut of_topic = |(name, partitions): (String, Vec<i32>)| {
        let exists = image.topic(&name).is_some();
        let mut next = || offsets.next().and_then(|(_, found)| found);
        let partitions = partitions.into_iter();
        let found = partitions.map(|partition| (partition, exists.then(&mut next).flatten()));
        (name, found.collect())
    };
    Ok(wanted.into_iter().map(&mut of_topic).collect())
}

/// The partitions of the topics that are there.
fn keys(image: &Image, topics: &[(String, Vec<i32>)]) -> Vec<OffsetKey> {
    let mut keys = Vec::new();
    for (name, partitions) in topics {
        if let Some(topic) = image.topic(name) {
            let topic = topic.topic.id;
            keys.extend(partitions.iter().map(|partition| OffsetKey {
                topic,
                partition: *partition,
            }));
        }
    }
    keys
}

/// Keys come in the order of their topics. What is of a topic that is gone is left out.
fn by_topic(image: &Image, offsets: Vec<(OffsetKey, Option<CommittedOffset>)>) -> Found {
    let mut found = Found::new();
    let mut current = None;
    for (key, offset) in offsets {
        let Some(topic) = image.topic_by_id(key.topic) else {
            continue;
        };
        if current != Some(key.topic) {
            current = Some(key.topic);
            found.push((topic.topic.name.clone(), Vec::new()));
        }
        let (_, partitions) = found.last_mut().expect("pushed for the first partition");
        partitions.push((key.partition, offset));
    }
    found
}
