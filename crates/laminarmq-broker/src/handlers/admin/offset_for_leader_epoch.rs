//! OffsetForLeaderEpoch: where a leader's epoch ends. A consumer that comes from an older epoch learns from
//! it whether what it has read is still there.

use crate::context::Context;
use crate::controller::Image;
use crate::handlers::wire::refusal_code;
use crate::shard::{Input, Lookup, Refusal};
use laminarmq::FileEnv;
use laminarmq_kafka::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderPartition, OffsetForLeaderTopic, OffsetForLeaderTopicResult,
};
use laminarmq_kafka::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use laminarmq_replica::{OffsetAnswer, OffsetQuery, Term};
use tokio::sync::oneshot;

type Asked = Result<oneshot::Receiver<Result<OffsetAnswer<FileEnv>, Refusal>>, Refusal>;

pub(super) async fn handle(
    context: &Context,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let image = context.image();
    let mut topics = Vec::with_capacity(request.topics.len());
    for OffsetForLeaderTopic { topic, partitions } in request.topics {
        // All are asked before the first is waited for.
        let mut asked = Vec::with_capacity(partitions.len());
        for wanted in &partitions {
            asked.push((wanted.partition, ask(context, &image, &topic, wanted).await));
        }
        let mut partitions = Vec::with_capacity(asked.len());
        for (partition, asked) in asked {
            partitions.push(EpochEndOffset {
                partition,
                ..answer(asked).await
            });
        }
        topics.push(OffsetForLeaderTopicResult { topic, partitions });
    }
    OffsetForLeaderEpochResponse {
        topics,
        ..OffsetForLeaderEpochResponse::default()
    }
}

async fn ask(
    context: &Context,
    image: &Image,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Asked {
    let partition = image.partition(topic, wanted.partition);
    let group = partition.ok_or(Refusal::NoPartition)?.group;
    let route = context
        .router
        .route(group)
        .ok_or_else(|| context.elsewhere())?;
    // A negative epoch is none: it is later than all, as nobody knows it.
    let asked = u32::try_from(wanted.leader_epoch).map_or(Term(u32::MAX), Term);
    let lookup = Lookup {
        group,
        query: OffsetQuery::EndOfEpoch(asked),
        epoch: (wanted.current_leader_epoch >= 0).then_some(wanted.current_leader_epoch),
    };
    let (reply, answer) = oneshot::channel();
    let input = Input::Lookup { lookup, reply };
    context.router.send(route.shard, input).await?;
    Ok(answer)
}

async fn answer(asked: Asked) -> EpochEndOffset {
    let answer = match asked {
        Ok(answer) => answer.await.unwrap_or(Err(Refusal::Closing)),
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(OffsetAnswer::Found(found)) => EpochEndOffset {
            leader_epoch: found.epoch.leader_epoch(),
            end_offset: found.offset.0.cast_signed(),
            ..EpochEndOffset::default()
        },
        // An epoch that is still to come has no end, which is no error.
        Ok(OffsetAnswer::NotFound | OffsetAnswer::Search(_)) => EpochEndOffset::default(),
        Err(refusal) => EpochEndOffset {
            error_code: refusal_code(&refusal),
            ..EpochEndOffset::default()
        },
    }
}
