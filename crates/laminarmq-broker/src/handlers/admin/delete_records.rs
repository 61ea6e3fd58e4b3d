//! DeleteRecords: partitions begin later. Answered once that is decided: nothing before it is read any more,
//! and it does not come back. The files follow, whole segments at a time.

use crate::context::Context;
use crate::controller::Image;
use crate::handlers::change_wait_of;
use crate::handlers::wire::refusal_code;
use crate::limits::CHANGE_WAIT_MAX;
use crate::shard::{Input, Refusal};
use crate::topics::is_internal;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsTopic,
    DeleteRecordsTopicResult,
};
use laminarmq_kafka::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use laminarmq_replica::{Offset, TrimTo};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// Stands for the high watermark.
const EVERYTHING: i64 = -1;

type Asked = Result<oneshot::Receiver<Result<Offset, Refusal>>, ErrorCode>;

pub(super) async fn handle(
    context: &Context,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let until = Instant::now() + change_wait_of(request.timeout_ms, CHANGE_WAIT_MAX);
    let image = context.image();
    let mut topics = Vec::with_capacity(request.topics.len());
    for DeleteRecordsTopic { name, partitions } in request.topics {
        // All are asked before the first is waited for.
        let mut asked = Vec::with_capacity(partitions.len());
        for wanted in &partitions {
            let answer = ask(context, &image, &name, wanted).await;
            asked.push((wanted.partition_index, answer));
        }
        let mut partitions = Vec::with_capacity(asked.len());
        for (partition_index, asked) in asked {
            let start = wait(asked, until).await;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index,
                low_watermark: start.map_or(-1, |start| start.0.cast_signed()),
                error_code: start.err().unwrap_or(ErrorCode::NONE),
            });
        }
        topics.push(DeleteRecordsTopicResult { name, partitions });
    }
    DeleteRecordsResponse {
        topics,
        ..DeleteRecordsResponse::default()
    }
}

async fn ask(
    context: &Context,
    image: &Image,
    topic: &str,
    wanted: &DeleteRecordsPartition,
) -> Asked {
    if is_internal(topic) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let partition = image.partition(topic, wanted.partition_index);
    let group = partition.ok_or(unknown)?.group;
    let to = match wanted.offset {
        EVERYTHING => TrimTo::HighWatermark,
        offset => {
            let offset = u64::try_from(offset).map_err(|_| ErrorCode::OFFSET_OUT_OF_RANGE)?;
            TrimTo::Offset(Offset(offset))
        }
    };
    let route = context.router.route(group);
    let route = route.ok_or_else(|| refusal_code(&context.elsewhere()))?;
    let (reply, answer) = oneshot::channel();
    let input = Input::Trim { group, to, reply };
    let sent = context.router.send(route.shard, input).await;
    sent.map_err(|refusal| refusal_code(&refusal))?;
    Ok(answer)
}

async fn wait(asked: Asked, until: Instant) -> Result<Offset, ErrorCode> {
    match timeout_at(until, asked?).await {
        Ok(answer) => answer
            .unwrap_or(Err(Refusal::Closing))
            .map_err(|refusal| refusal_code(&refusal)),
        Err(_) => Err(ErrorCode::REQUEST_TIMED_OUT),
    }
}
