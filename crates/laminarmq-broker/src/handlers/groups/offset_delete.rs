//! OffsetDelete: forgets offsets that no member uses.

use super::{code, group_code, mismatch, offset_key};
use crate::context::Context;
use crate::groups::{Answer, OffsetKey, Request};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

pub(super) async fn handle(
    context: &Context,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let image = context.image();
    // Each partition with its key, if it is there.
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let number = partition.partition_index;
            (number, offset_key(&image, &topic.name, number))
        });
        let partitions: Vec<(i32, Option<OffsetKey>)> = partitions.collect();
        (topic.name, partitions)
    });
    let topics: Vec<_> = topics.collect();
    let known = topics.iter().map(|(name, partitions)| {
        let keys = partitions.iter().filter_map(|(_, key)| *key);
        (name.clone(), keys.collect())
    });
    let delete = Request::DeleteOffsets {
        topics: known.collect(),
    };
    let results = match context.groups.ask(request.group_id, delete).await {
        Answer::DeleteOffsets(Ok(results)) => results,
        Answer::DeleteOffsets(Err(error)) => {
            return OffsetDeleteResponse {
                error_code: group_code(&error),
                ..OffsetDeleteResponse::default()
            };
        }
        other => mismatch(&other),
    };
    let answer = |((name, partitions), result): ((String, Vec<_>), &Result<(), _>)| {
        let partition =
            |(partition_index, key): (i32, Option<OffsetKey>)| OffsetDeleteResponsePartition {
                partition_index,
                error_code: match key {
                    Some(_) => code(result),
                    None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                },
            };
        OffsetDeleteResponseTopic {
            name,
            partitions: partitions.into_iter().map(partition).collect(),
        }
    };
    OffsetDeleteResponse {
        topics: topics.into_iter().zip(&results).map(answer).collect(),
        ..OffsetDeleteResponse::default()
    }
}
