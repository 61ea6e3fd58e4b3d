//! Produce: batches are checked here, on the connection's task, and handed to their partitions in the
//! order of the requests. The answer waits for what the client asked to wait for:
//!
//! | acks | answered when |
//! |---|---|
//! | 0 | never; an error closes the connection, which is all that such a client can notice |
//! | 1 | the batch is in the leader's log: handed to the operating system |
//! | -1 | the batch is committed: on disk on a quorum (with `flush=os`: handed to the system), and on as many replicas as the topic's `min.insync.replicas` says |
//!
//! Each partition of a request has its own result.

use super::change_wait_of;
use super::wire::produce_code;
use crate::context::Context;
use crate::controller::Image;
use crate::limits::{BATCH_INFLATION_MAX, BATCH_INFLATION_MIN_BYTES, PRODUCE_WAIT_MAX};
use crate::metrics::{Amount, Metrics};
use crate::shard::{Ack, Append, Appended, Input, Refusal};
use crate::topics::{TimestampType, TopicSettings, is_internal};
use bytes::Bytes;
use laminarmq_kafka::RequestHeader;
use laminarmq_kafka::batch::{BatchError, BatchLimits, CheckedBatch, validate};
use laminarmq_kafka::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData, TopicProduceResponse,
};
use laminarmq_replica::GroupId;
use std::time::Duration;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::timeout;

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProduceError {
    #[error("there is no such topic or partition")]
    UnknownPartition,
    #[error("the topic belongs to the broker")]
    Internal,
    #[error("acks={0}, only -1, 0 and 1 are allowed")]
    RequiredAcks(i16),
    #[error("transactions are not supported")]
    Transactional,
    #[error("the request has no records for the partition")]
    NoRecords,
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the batch was written, but not confirmed in time")]
    TimedOut,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A request whose batches are with their partitions.
#[derive(Debug)]
pub(crate) struct Started {
    header: RequestHeader,
    wants_answer: bool,
    wait: Duration,
    topics: Vec<StartedTopic>,
}

#[derive(Debug)]
struct StartedTopic {
    name: String,
    partitions: Vec<StartedPartition>,
}

#[derive(Debug)]
struct StartedPartition {
    index: i32,
    /// The broker's time for the batch, or -1.
    append_time_ms: i64,
    /// What was handed to the partition.
    amount: Amount,
    result: Pending,
}

#[derive(Debug)]
enum Pending {
    Appending(oneshot::Receiver<Result<Appended, Refusal>>),
    Known(Result<Appended, ProduceError>),
}

/// What the client waits for.
#[derive(Debug, Clone, Copy)]
enum Wait {
    Leader,
    Quorum,
}

/// A batch that may go to its partition.
struct Checked {
    group: GroupId,
    batch: CheckedBatch,
    /// Replicas that the topic asks for.
    min_in_sync: u32,
}

pub(super) async fn start(
    context: &Context,
    header: RequestHeader,
    request: ProduceRequest,
    frame_length: usize,
) -> Started {
    let image = context.image();
    let transactional = request.transactional_id.is_some();
    let ack = match request.acks {
        _ if transactional => Err(ProduceError::Transactional),
        0 | 1 => Ok(Wait::Leader),
        -1 => Ok(Wait::Quorum),
        other => Err(ProduceError::RequiredAcks(other)),
    };
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for TopicProduceData {
        name,
        partition_data,
    } in request.topic_data
    {
        let mut partitions = Vec::with_capacity(partition_data.len());
        for data in partition_data {
            let index = data.index;
            let mut append_time_ms = -1;
            let mut amount = Amount::default();
            let result = match &ack {
                Err(ProduceError::RequiredAcks(acks)) => Err(ProduceError::RequiredAcks(*acks)),
                Err(_) => Err(ProduceError::Transactional),
                Ok(ack) => match check(context, &image, &name, data, frame_length) {
                    Ok(Checked {
                        group,
                        batch,
                        min_in_sync,
                    }) => {
                        if batch.attributes().is_log_append_time() {
                            append_time_ms = batch.max_timestamp();
                        }
                        amount = Amount {
                            bytes: batch.size() as u64,
                            batches: 1,
                            records: batch.record_count().into(),
                        };
                        let ack = match ack {
                            Wait::Leader => Ack::Leader,
                            Wait::Quorum => Ack::Quorum { min_in_sync },
                        };
                        append(context, group, batch, ack).await
                    }
                    Err(error) => Err(error),
                },
            };
            let result = result.map_or_else(|error| Pending::Known(Err(error)), Pending::Appending);
            partitions.push(StartedPartition {
                index,
                append_time_ms,
                amount,
                result,
            });
        }
        topics.push(StartedTopic { name, partitions });
    }
    // Only a quorum is waited for; the leader's log takes the batch or not.
    let wait = match request.acks {
        -1 => change_wait_of(request.timeout_ms, PRODUCE_WAIT_MAX),
        _ => PRODUCE_WAIT_MAX,
    };
    Started {
        header,
        wants_answer: request.acks != 0,
        wait,
        topics,
    }
}

/// Finds the partition and checks the batch.
fn check(
    context: &Context,
    image: &Image,
    topic: &str,
    data: PartitionProduceData,
    frame_length: usize,
) -> Result<Checked, ProduceError> {
    if context.failure.is_set() {
        return Err(Refusal::Failed.into());
    }
    if is_internal(topic) {
        return Err(ProduceError::Internal);
    }
    let topic = image.topic(topic).ok_or(ProduceError::UnknownPartition)?;
    let partition = usize::try_from(data.index)
        .ok()
        .and_then(|n| topic.topic.partitions.get(n));
    let partition = partition.ok_or(ProduceError::UnknownPartition)?;
    let records = data
        .records
        .filter(|records| !records.is_empty())
        .ok_or(ProduceError::NoRecords)?;
    let records = detach(records, frame_length);
    let mut batch = validate(records, &limits(&topic.settings))?;
    if topic.settings.timestamp_type == TimestampType::LogAppend {
        batch.stamp_append_time(context.env.now_ms());
    }
    Ok(Checked {
        group: partition.group,
        batch,
        min_in_sync: topic.settings.min_in_sync(partition.nodes.len()),
    })
}

fn limits(settings: &TopicSettings) -> BatchLimits {
    let max = u64::from(settings.max_message_bytes);
    BatchLimits {
        batch_bytes_max: settings.max_message_bytes as usize,
        decompressed_bytes_max: (max * BATCH_INFLATION_MAX).max(BATCH_INFLATION_MIN_BYTES),
    }
}

/// A batch keeps its whole frame in memory for as long as it is itself there, in the cache of its
/// partition for instance. One that is only a small part of its frame gets memory of its own.
fn detach(records: Bytes, frame_length: usize) -> Bytes {
    if records.len() < frame_length / 4 {
        Bytes::copy_from_slice(&records)
    } else {
        records
    }
}

async fn append(
    context: &Context,
    group: GroupId,
    batch: CheckedBatch,
    ack: Ack,
) -> Result<oneshot::Receiver<Result<Appended, Refusal>>, ProduceError> {
    let route = context
        .router
        .route(group)
        .ok_or_else(|| ProduceError::from(context.elsewhere()))?;
    let (reply, appended) = oneshot::channel();
    context
        .router
        .send(
            route.shard,
            Input::Append(Append {
                group,
                batch,
                ack,
                reply,
            }),
        )
        .await?;
    Ok(appended)
}

/// Waits for the batches, at most for the client's timeout. `None`: the client wants no answer. An error
/// closes the connection.
pub(super) async fn finish(
    metrics: &Metrics,
    started: Started,
) -> Result<Option<(RequestHeader, ProduceResponse)>, String> {
    let Started {
        header,
        wants_answer,
        wait,
        mut topics,
    } = started;
    let mut results = Vec::new();
    let all = async {
        for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            // Cut short here, the partition keeps what it waits for and is asked again below.
            partition.ready().await;
            results.push(partition.take());
        }
    };
    let _ = timeout(wait, all).await;
    let waited = results.len();
    let rest = topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .skip(waited);
    results.extend(rest.map(StartedPartition::take));
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    for (partition, result) in partitions.zip(&results) {
        // A batch that was sent again is not in the log a second time.
        if matches!(result, Ok(appended) if appended.repeated.is_none()) {
            metrics.data.produced(partition.amount);
        }
    }
    let mut results = results.into_iter();
    let mut next = || results.next().expect("one result per partition");
    if !wants_answer {
        let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
        return match (0..partitions).find_map(|_| next().err()) {
            Some(error) => Err(format!("a produce without acks failed: {error}")),
            None => Ok(None),
        };
    }
    let answer = |partition: &StartedPartition, result| answer(partition, result);
    let responses = topics
        .into_iter()
        .map(|topic| TopicProduceResponse {
            partition_responses: topic.partitions.iter().map(|p| answer(p, next())).collect(),
            name: topic.name,
        })
        .collect();
    Ok(Some((
        header,
        ProduceResponse {
            responses,
            ..ProduceResponse::default()
        },
    )))
}

impl StartedPartition {
    /// Waits until the result is known.
    async fn ready(&mut self) {
        if let Pending::Appending(appended) = &mut self.result {
            let result = match appended.await {
                Ok(result) => result.map_err(ProduceError::from),
                // The shard is gone, and nobody knows how far it got.
                Err(_) => Err(Refusal::Unconfirmed.into()),
            };
            self.result = Pending::Known(result);
        }
    }

    /// The result; where it is not known, that is the result.
    fn take(&mut self) -> Result<Appended, ProduceError> {
        let taken = Pending::Known(Err(ProduceError::TimedOut));
        match std::mem::replace(&mut self.result, taken) {
            Pending::Known(result) => result,
            Pending::Appending(mut appended) => match appended.try_recv() {
                Ok(result) => Ok(result?),
                Err(TryRecvError::Empty) => Err(ProduceError::TimedOut),
                Err(TryRecvError::Closed) => Err(Refusal::Unconfirmed.into()),
            },
        }
    }
}

fn answer(
    partition: &StartedPartition,
    result: Result<Appended, ProduceError>,
) -> PartitionProduceResponse {
    match result {
        Ok(appended) => PartitionProduceResponse {
            index: partition.index,
            base_offset: appended.base_offset.0.cast_signed(),
            // The time that a topic of append times gave the first one stands, not that of the repetition.
            log_append_time_ms: match appended.repeated {
                Some(first) if partition.append_time_ms >= 0 => first,
                _ => partition.append_time_ms,
            },
            log_start_offset: appended.start_offset.0.cast_signed(),
            ..PartitionProduceResponse::default()
        },
        Err(error) => PartitionProduceResponse {
            index: partition.index,
            error_code: produce_code(&error),
            base_offset: -1,
            error_message: Some(error.to_string()),
            ..PartitionProduceResponse::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BuildInfo;
    use crate::env::Env;
    use laminarmq_kafka::ErrorCode;
    use laminarmq_replica::Offset;

    fn started(wait: Duration, results: Vec<Pending>) -> Started {
        let partition = |(index, result)| StartedPartition {
            index,
            append_time_ms: -1,
            amount: Amount::default(),
            result,
        };
        let header = RequestHeader {
            api_key: laminarmq_kafka::ApiKey::Produce,
            api_version: 9,
            correlation_id: 1,
            client_id: None,
        };
        let partitions = (0..).zip(results).map(partition).collect();
        let topics = vec![StartedTopic {
            name: "t".to_owned(),
            partitions,
        }];
        Started {
            header,
            wants_answer: true,
            wait,
            topics,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_not_known_in_time_is_timed_out() {
        let (known, first) = oneshot::channel();
        let (_unknown, second) = oneshot::channel();
        let (late, third) = oneshot::channel();
        let appended = |offset| {
            Ok(Appended {
                base_offset: Offset(offset),
                start_offset: Offset(0),
                repeated: None,
            })
        };
        known.send(appended(5)).unwrap();
        late.send(appended(6)).unwrap();
        let results = vec![
            Pending::Appending(first),
            Pending::Appending(second),
            Pending::Appending(third),
            Pending::Known(Err(ProduceError::NoRecords)),
        ];
        let metrics = Metrics::new(&Env::system(), BuildInfo::default());
        let finished = finish(&metrics, started(Duration::from_secs(1), results))
            .await
            .unwrap();
        let (_, response) = finished.unwrap();
        let answers = &response.responses[0].partition_responses;
        let codes: Vec<_> = answers
            .iter()
            .map(|a| (a.base_offset, a.error_code))
            .collect();
        let want = [
            (5, ErrorCode::NONE),
            (-1, ErrorCode::REQUEST_TIMED_OUT),
            (6, ErrorCode::NONE),
            (-1, ErrorCode::INVALID_RECORD),
        ];
        assert_eq!(codes, want);
    }

    #[test]
    fn a_small_part_of_a_frame_gets_memory_of_its_own() {
        let frame = Bytes::from(vec![1; 1000]);
        let small = detach(frame.slice(10..20), frame.len());
        assert!(small == frame[10..20] && !frame.as_ptr_range().contains(&small.as_ptr()));
        let large = detach(frame.slice(10..900), frame.len());
        assert_eq!(large.as_ptr(), frame[10..].as_ptr());
    }
}
