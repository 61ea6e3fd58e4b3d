//! ListOffsets: the ends of a partition, and offsets by time. The answer to a time is a record at or after
//! it, never an earlier one of the same batch: the batch is walked, off the shard's thread.

use super::wire::refusal_code;
use crate::context::Context;
use crate::controller::Image;
use crate::limits::LOOKUP_INFLATION_BYTES_MAX;
use crate::shard::{Input, Lookup, Refusal};
use laminarmq::FileEnv;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::batch::BatchLimits;
use laminarmq_kafka::messages::list_offsets::{
    EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsPartitionResponse,
    ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse, MAX_TIMESTAMP,
};
use laminarmq_replica::{FoundOffset, Isolation, OffsetAnswer, OffsetQuery};
use tokio::sync::oneshot;

/// The first version that knows [`MAX_TIMESTAMP`].
const MAX_TIMESTAMP_FROM: i16 = 7;
/// The first version that says the epoch of what was found.
const EPOCH_FROM: i16 = 4;
/// The first version whose clients know `OFFSET_NOT_AVAILABLE`.
const NOT_AVAILABLE_FROM: i16 = 5;

type Asked = Result<oneshot::Receiver<Result<OffsetAnswer<FileEnv>, Refusal>>, ErrorCode>;

pub(super) async fn handle(
    context: &Context,
    request: ListOffsetsRequest,
    version: i16,
) -> ListOffsetsResponse {
    let image = context.image();
    let isolation = match request.isolation_level {
        1 => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        // All are asked before the first is waited for.
        let mut asked = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let answer = ask(context, &image, &topic.name, &wanted, isolation, version).await;
            asked.push((wanted.partition_index, answer));
        }
        let mut partitions = Vec::with_capacity(asked.len());
        for (partition_index, asked) in asked {
            let mut partition = match find(asked, version).await {
                Ok(found) => of_found(found, version),
                Err(error_code) => ListOffsetsPartitionResponse {
                    error_code,
                    ..ListOffsetsPartitionResponse::default()
                },
            };
            partition.partition_index = partition_index;
            partitions.push(partition);
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name,
            partitions,
        });
    }
    ListOffsetsResponse {
        topics,
        ..ListOffsetsResponse::default()
    }
}

async fn ask(
    context: &Context,
    image: &Image,
    topic: &str,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
    version: i16,
) -> Asked {
    let partitions = image
        .topic(topic)
        .map_or(&[][..], |topic| &topic.topic.partitions);
    let partition = usize::try_from(wanted.partition_index)
        .ok()
        .and_then(|n| partitions.get(n));
    let group = partition
        .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?
        .group;
    let route = context
        .router
        .route(group)
        .ok_or_else(|| refusal_code(&context.elsewhere()))?;
    let query = match wanted.timestamp {
        LATEST_TIMESTAMP => OffsetQuery::Latest(isolation),
        EARLIEST_TIMESTAMP => OffsetQuery::Earliest,
        MAX_TIMESTAMP if version >= MAX_TIMESTAMP_FROM => OffsetQuery::MaxTimestamp,
        time if time >= 0 => OffsetQuery::AtOrAfter(time),
        // Negative numbers are names of special offsets; later versions have more of them.
        _ => return Err(ErrorCode::UNSUPPORTED_VERSION),
    };
    let epoch = (wanted.current_leader_epoch >= 0).then_some(wanted.current_leader_epoch);
    let (reply, answer) = oneshot::channel();
    let input = Input::Lookup {
        lookup: Lookup {
            group,
            query,
            epoch,
        },
        reply,
    };
    context
        .router
        .send(route.shard, input)
        .await
        .map_err(|refusal| refusal_code(&refusal))?;
    Ok(answer)
}

async fn find(asked: Asked, version: i16) -> Result<Option<FoundOffset>, ErrorCode> {
    let answer = asked?.await.unwrap_or(Err(Refusal::Closing));
    let found = match answer {
        Ok(OffsetAnswer::Search(search)) => {
            let searching = tokio::task::spawn_blocking(|| search.run(&LIMITS));
            match searching.await {
                Ok(found) => found.map_err(Refusal::from),
                Err(_) => Err(Refusal::Unreadable("reading was interrupted".to_owned())),
            }
        }
        Ok(OffsetAnswer::Found(found)) => Ok(Some(found)),
        Ok(OffsetAnswer::NotFound) => Ok(None),
        Err(refusal) => Err(refusal),
    };
    found.map_err(|refusal| match refusal {
        Refusal::NotAvailable if version < NOT_AVAILABLE_FROM => ErrorCode::LEADER_NOT_AVAILABLE,
        refusal => refusal_code(&refusal),
    })
}

/// For batches that were checked when they came in, under the limits of then.
const LIMITS: BatchLimits = BatchLimits {
    batch_bytes_max: usize::MAX,
    decompressed_bytes_max: LOOKUP_INFLATION_BYTES_MAX,
};

/// What is not found has offset -1 and no error.
fn of_found(found: Option<FoundOffset>, version: i16) -> ListOffsetsPartitionResponse {
    let Some(found) = found else {
        return ListOffsetsPartitionResponse::default();
    };
    ListOffsetsPartitionResponse {
        timestamp: found.timestamp.unwrap_or(-1),
        offset: found.offset.0.cast_signed(),
        leader_epoch: if version >= EPOCH_FROM {
            found.epoch.leader_epoch()
        } else {
            -1
        },
        ..ListOffsetsPartitionResponse::default()
    }
}
