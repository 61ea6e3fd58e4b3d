//! OffsetCommit: answered once the offsets are on disk on a quorum. Offsets belong to a topic's id: those
//! of a topic that is not there cannot be kept.

use super::{code, member, mismatch, offset_key};
use crate::context::Context;
use crate::controller::Image;
use crate::groups::{Answer, Commit, NewOffset, Request};
use crate::limits::OFFSET_METADATA_BYTES_MAX;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

pub(super) async fn handle(
    context: &Context,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let image = context.image();
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let partition_index = partition.partition_index;
            let error_code = match check(&image, &topic.name, partition) {
                Ok(offset) => {
                    offsets.push(offset);
                    ErrorCode::NONE
                }
                Err(code) => code,
            };
            partitions.push(OffsetCommitResponsePartition {
                partition_index,
                error_code,
            });
        }
        topics.push(OffsetCommitResponseTopic {
            name: topic.name,
            partitions,
        });
    }
    let commit = Commit {
        generation: request.generation_id_or_member_epoch,
        member: member(request.member_id, request.group_instance_id),
        offsets,
        retention_ms: Some(request.retention_time_ms).filter(|ms| *ms >= 0),
    };
    let result = match context
        .groups
        .ask(request.group_id, Request::Commit(commit))
        .await
    {
        Answer::Commit(result) => code(&result),
        other => mismatch(&other),
    };
    let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for partition in partitions.filter(|partition| partition.error_code == ErrorCode::NONE) {
        partition.error_code = result;
    }
    OffsetCommitResponse {
        topics,
        ..OffsetCommitResponse::default()
    }
}

fn check(
    image: &Image,
    topic: &str,
    partition: OffsetCommitRequestPartition,
) -> Result<NewOffset, ErrorCode> {
    let key = offset_key(image, topic, partition.partition_index);
    let key = key.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let metadata = partition.committed_metadata;
    if metadata.as_ref().map_or(0, String::len) > OFFSET_METADATA_BYTES_MAX {
        return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
    }
    Ok(NewOffset {
        key,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata,
    })
}
