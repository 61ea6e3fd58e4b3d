//! Fetch: batches from some offsets on, waiting for them when there are not enough.
//!
//! - The shards plan what to read; the reading happens here, off their threads, and the bytes go to the
//!   socket as they are.
//! - Batches are whole. The first partition that has any gives at least one, however large it is; further
//!   ones only what still fits.
//! - A fetch that found too little waits for its partitions to get on, at most as long as the client
//!   says, and looks again. It ends early when the client or the broker goes away, or another request of the client waits
//!   for its answer behind it.
//! - There are no fetch sessions: every fetch is a full one.

use super::wire::refusal_code;
use super::{Peer, wait_of};
use crate::context::Context;
use crate::limits::{FETCH_BYTES_MAX, FETCH_WAIT_MAX, READS_PER_INPUT};
use crate::routing::{Route, Waiter};
use crate::shard::{Input, Read, Refusal};
use bytes::Bytes;
use laminarmq::{FileEnv, ReadError};
use laminarmq_kafka::messages::fetch::{
    AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse,
    PartitionData,
};
use laminarmq_kafka::{ErrorCode, Records};
use laminarmq_replica::{FetchPlan, FetchQuery, GroupId, Isolation, Offset, Piece};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

type Plan = Result<FetchPlan<FileEnv>, Refusal>;

/// A partition that is asked for.
struct Target {
    /// Where it is, or why it is not here.
    place: Result<(GroupId, Arc<Route>), Refusal>,
    /// `None`: an offset that no log can have.
    query: Option<FetchQuery>,
    epoch: Option<i32>,
}

/// What the whole answer may hold.
#[derive(Clone, Copy)]
struct Bounds {
    /// Answer as soon as there are this many bytes.
    min_bytes: u64,
    /// Not more than this, but for the first batch.
    max_bytes: u64,
}

/// The answer, and its share of the bytes of fetch answers.
pub(super) async fn handle(
    context: &Context,
    peer: &Peer,
    request: FetchRequest,
) -> (FetchResponse, Option<OwnedSemaphorePermit>) {
    // A full fetch has epoch 0 (a new session is wanted, and not given) or -1 (none is wanted).
    if !matches!(request.session_epoch, 0 | -1) {
        let error_code = ErrorCode::FETCH_SESSION_ID_NOT_FOUND;
        return (
            FetchResponse {
                error_code,
                ..FetchResponse::default()
            },
            None,
        );
    }
    let max_bytes = u64::try_from(request.max_bytes)
        .unwrap_or(0)
        .min(FETCH_BYTES_MAX.into());
    let min_bytes = u64::try_from(request.min_bytes).unwrap_or(0).min(max_bytes);
    let bounds = Bounds {
        min_bytes,
        max_bytes,
    };
    let targets = targets(context, &request, bounds);
    let mut versions = versions(&targets);
    let mut plans = plan(context, &targets).await;
    if !enough(&plans, bounds) {
        let wait = wait_of(request.max_wait_ms, FETCH_WAIT_MAX);
        let looking = async {
            while wait_for_change(context, peer, &targets, &versions).await {
                versions = self::versions(&targets);
                plans = plan(context, &targets).await;
                if enough(&plans, bounds) {
                    break;
                }
            }
        };
        // What was found last is the answer, enough or not.
        let _ = timeout(wait, looking).await;
    }
    drop_what_does_not_fit(&mut plans, bounds);
    let share = share(context, &plans).await;
    let isolation = isolation(&request);
    let results = read(plans).await;
    for batches in results.iter().flatten() {
        context.metrics.data.fetched(&batches.records);
    }
    let mut results = results.into_iter();
    let mut next = || results.next().expect("one result per partition");
    let responses = request
        .topics
        .into_iter()
        .map(|topic| FetchableTopicResponse {
            topic: topic.topic,
            partitions: topic
                .partitions
                .iter()
                .map(|p| answer(p, isolation, next()))
                .collect(),
        });
    let responses = responses.collect();
    (
        FetchResponse {
            responses,
            ..FetchResponse::default()
        },
        share,
    )
}

fn isolation(request: &FetchRequest) -> Isolation {
    if request.isolation_level == 1 {
        Isolation::ReadCommitted
    } else {
        Isolation::ReadUncommitted
    }
}

fn targets(context: &Context, request: &FetchRequest, bounds: Bounds) -> Vec<Target> {
    let image = context.image();
    let isolation = isolation(request);
    let mut targets = Vec::new();
    for topic in &request.topics {
        let partitions = image
            .topic_by_name_or_id(&topic.topic)
            .map_or(&[][..], |t| &t.topic.partitions);
        for wanted in &topic.partitions {
            let group = usize::try_from(wanted.partition)
                .ok()
                .and_then(|n| partitions.get(n));
            let place = group.ok_or(Refusal::NoPartition).and_then(|partition| {
                let route = context.router.route(partition.group);
                Ok((partition.group, route.ok_or_else(|| context.elsewhere())?))
            });
            let most = u64::try_from(wanted.partition_max_bytes).unwrap_or(0);
            let query = u64::try_from(wanted.fetch_offset)
                .ok()
                .map(|offset| FetchQuery {
                    offset: Offset(offset),
                    max_bytes: most.min(bounds.max_bytes),
                    at_least_one: true,
                    isolation,
                });
            let epoch = (wanted.current_leader_epoch >= 0).then_some(wanted.current_leader_epoch);
            targets.push(Target {
                place,
                query,
                epoch,
            });
        }
    }
    targets
}

/// Where the partitions are, before they are asked.
fn versions(targets: &[Target]) -> Vec<u64> {
    let version = |target: &Target| {
        target
            .place
            .as_ref()
            .map_or(0, |(_, route)| route.watch.version())
    };
    targets.iter().map(version).collect()
}

/// Asks each shard once for all of its partitions, or a few times for very many.
async fn plan(context: &Context, targets: &[Target]) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::with_capacity(targets.len());
    let mut asked: Vec<(usize, Vec<(usize, Read)>)> = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        let (group, route) = match &target.place {
            Ok(place) => place,
            Err(refusal) => {
                plans.push(Err(refusal.clone()));
                continue;
            }
        };
        let Some(query) = target.query else {
            let (start, end) = (Offset(0), Offset(0));
            plans.push(Err(Refusal::OutOfRange { start, end }));
            continue;
        };
        // Overwritten below, unless the shard is gone.
        plans.push(Err(Refusal::Closing));
        let read = Read {
            group: *group,
            query,
            epoch: target.epoch,
        };
        match asked
            .iter_mut()
            .rev()
            .find(|(shard, reads)| *shard == route.shard && reads.len() < READS_PER_INPUT)
        {
            Some((_, reads)) => reads.push((number, read)),
            None => asked.push((route.shard, vec![(number, read)])),
        }
    }
    let mut answers = Vec::with_capacity(asked.len());
    for (shard, reads) in asked {
        let (numbers, reads): (Vec<_>, Vec<_>) = reads.into_iter().unzip();
        let (reply, answer) = oneshot::channel();
        if context
            .router
            .send(shard, Input::Read { reads, reply })
            .await
            .is_ok()
        {
            answers.push((numbers, answer));
        }
    }
    for (numbers, answer) in answers {
        for (number, result) in numbers.into_iter().zip(answer.await.unwrap_or_default()) {
            plans[number] = result;
        }
    }
    plans
}

/// Whether there is something to say now: enough bytes, an error, or nothing that could be waited for. With a fetch of no
/// partitions the Java client ends its fetching.
fn enough(plans: &[Plan], bounds: Bounds) -> bool {
    let bytes: u64 = plans.iter().flatten().map(|plan| plan.bytes).sum();
    plans.is_empty() || bytes >= bounds.min_bytes || plans.iter().any(Result::is_err)
}

/// Waits until one of the partitions is past its version. False: nobody waits for it any more.
async fn wait_for_change(
    context: &Context,
    peer: &Peer,
    targets: &[Target],
    versions: &[u64],
) -> bool {
    let mut waiter = Waiter::new();
    for (target, version) in targets.iter().zip(versions) {
        if let Ok((_, route)) = &target.place {
            waiter.watch(Arc::clone(route), *version);
        }
    }
    let (mut stopping, mut gone) = (context.stopping.clone(), peer.gone.clone());
    let mut behind = peer.behind.clone();
    tokio::select! {
        () = waiter.changed() => true,
        _ = behind.wait_for(|is_behind| *is_behind) => false,
        _ = stopping.wait_for(|stop| *stop) => false,
        _ = gone.wait_for(|gone| *gone) => false,
    }
}

/// Empties the plans that the answer has no room for.
fn drop_what_does_not_fit(plans: &mut [Plan], bounds: Bounds) {
    let mut bytes = 0;
    for plan in plans.iter_mut().flatten().filter(|plan| !plan.is_empty()) {
        if bytes > 0 && bytes + plan.bytes > bounds.max_bytes {
            plan.pieces.clear();
            plan.bytes = 0;
        }
        bytes += plan.bytes;
    }
}

/// Waits until the bytes of this answer may be in memory.
async fn share(context: &Context, plans: &[Plan]) -> Option<OwnedSemaphorePermit> {
    let bytes: u64 = plans.iter().flatten().map(|plan| plan.bytes).sum();
    let most = context.config.limits.fetch_bytes_in_flight;
    let bytes = u32::try_from(bytes).unwrap_or(most).min(most);
    if bytes == 0 {
        return None;
    }
    let fetch_bytes = Arc::clone(&context.fetch_bytes);
    Some(
        fetch_bytes
            .acquire_many_owned(bytes)
            .await
            .expect("the semaphore is never closed"),
    )
}

/// A plan that was read.
struct Batches {
    high_watermark: Offset,
    last_stable_offset: Offset,
    start_offset: Offset,
    aborted: Vec<AbortedTransaction>,
    records: Vec<Bytes>,
}

async fn read(plans: Vec<Plan>) -> Vec<Result<Batches, Refusal>> {
    let in_file =
        |plan: &FetchPlan<FileEnv>| plan.pieces.iter().any(|p| matches!(p, Piece::File(_)));
    if plans.iter().flatten().any(in_file) {
        let count = plans.len();
        let reading = tokio::task::spawn_blocking(|| read_now(plans));
        // A panic in there says nothing about the logs: this client is told that it failed.
        let failed = || Err(Refusal::Unreadable("reading was interrupted".to_owned()));
        reading
            .await
            .unwrap_or_else(|_| (0..count).map(|_| failed()).collect())
    } else {
        read_now(plans)
    }
}

fn read_now(plans: Vec<Plan>) -> Vec<Result<Batches, Refusal>> {
    let read = |plan: Plan| {
        let plan = plan?;
        let mut batches = Batches {
            high_watermark: plan.high_watermark,
            last_stable_offset: plan.last_stable_offset,
            start_offset: plan.start_offset,
            aborted: Vec::with_capacity(plan.aborted.len()),
            records: Vec::new(),
        };
        batches
            .aborted
            .extend(plan.aborted.iter().map(|aborted| AbortedTransaction {
                producer_id: aborted.producer_id,
                first_offset: aborted.first_offset.0.cast_signed(),
            }));
        batches.records = match plan.read() {
            Ok(records) => records,
            // The end of the log was replaced: the next fetch sees what is there now.
            Err(ReadError::Truncated) => Vec::new(),
            Err(error) => {
                tracing::error!(%error, "cannot read a batch back");
                return Err(Refusal::Unreadable(error.to_string()));
            }
        };
        Ok(batches)
    };
    plans.into_iter().map(read).collect()
}

fn answer(
    wanted: &FetchPartition,
    isolation: Isolation,
    result: Result<Batches, Refusal>,
) -> PartitionData {
    match result {
        Ok(batches) => PartitionData {
            partition_index: wanted.partition,
            high_watermark: batches.high_watermark.0.cast_signed(),
            last_stable_offset: batches.last_stable_offset.0.cast_signed(),
            log_start_offset: batches.start_offset.0.cast_signed(),
            aborted_transactions: (isolation == Isolation::ReadCommitted)
                .then_some(batches.aborted),
            records: Records::from(batches.records),
            ..PartitionData::default()
        },
        Err(refusal) => PartitionData {
            partition_index: wanted.partition,
            error_code: refusal_code(&refusal),
            high_watermark: -1,
            ..PartitionData::default()
        },
    }
}
