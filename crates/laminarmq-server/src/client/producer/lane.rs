//! The way of one partition's batches.
//!
//! One batch is under way at a time, and a retry sends the same bytes, so records keep their order
//! whatever happens; sequence numbers let the broker drop what comes twice.

use std::time::Instant;

use bytes::Bytes;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::batch::{BatchBuilder, Compression, HEAD_BYTES, NewRecord, ProducerStamp};
use laminarmq_kafka::messages::produce::{PartitionProduceData, TopicProduceData};
use laminarmq_kafka::messages::{ApiVersionsRequest, ProduceRequest};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Acks, Identity, Written};
use crate::client::retry::Attempts;
use crate::client::{Client, ClientError};

/// Batches that wait behind the one under way.
const QUEUE_BATCHES: usize = 1;

/// Where the batches of a producer go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) topic: String,
    pub(super) acks: Acks,
}

/// What a lane's task did until its queue closed.
#[derive(Debug)]
pub(super) struct LaneReport(pub(super) Written);

#[derive(Debug)]
struct Batch {
    bytes: Bytes,
    records: u64,
}

/// A partition's open batch and the task that sends the finished ones.
#[derive(Debug)]
pub(super) struct Lane {
    builder: BatchBuilder,
    identity: Option<Identity>,
    next_sequence: i32,
    /// When the open batch got its first record.
    opened: Option<Instant>,
    /// `None` once the task has failed.
    sending: Option<Sending>,
}

#[derive(Debug)]
struct Sending {
    queue: mpsc::Sender<Batch>,
    task: JoinHandle<Result<LaneReport, ClientError>>,
}

impl Lane {
    pub(super) fn open(
        target: &Target,
        partition: usize,
        codec: Compression,
        identity: Option<Identity>,
    ) -> Self {
        let partition = i32::try_from(partition).expect("partitions are counted in 32 bits");
        let (queue, batches) = mpsc::channel(QUEUE_BATCHES);
        let task = tokio::spawn(send_all(target.clone(), partition, batches));
        Self {
            builder: BatchBuilder::new(codec),
            identity,
            next_sequence: 0,
            opened: None,
            sending: Some(Sending { queue, task }),
        }
    }

    pub(super) fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// True when the open batch must leave before `record` can be added.
    pub(super) fn is_full_for(&self, record: &NewRecord<'_>, batch_bytes: usize) -> bool {
        !self.builder.is_empty() && self.builder.estimated_size_with(record) > batch_bytes
    }

    pub(super) fn push(&mut self, record: &NewRecord<'_>, now: Instant) -> Result<(), ClientError> {
        self.builder
            .push(record)
            .map_err(|_| ClientError::RecordTooLarge {
                bytes: record_bytes(record),
            })?;
        self.opened.get_or_insert(now);
        Ok(())
    }

    /// Hands the open batch, if there is one, to the task; waits while its queue is full. A caller that
    /// gives up waiting leaves the batch as it was.
    pub(super) async fn send(&mut self) -> Result<(), ClientError> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let sending = self
            .sending
            .as_ref()
            .expect("nothing is sent after a failure");
        if let Ok(place) = sending.queue.reserve().await {
            let count = self.builder.record_count();
            if let Some(Identity { id, epoch }) = self.identity {
                let base_sequence = self.next_sequence;
                self.next_sequence = sequence_after(base_sequence, count);
                self.builder.set_producer(Some(ProducerStamp {
                    id,
                    epoch,
                    base_sequence,
                }));
            }
            place.send(Batch {
                bytes: self.builder.build(),
                records: count as u64,
            });
            self.opened = None;
            return Ok(());
        }
        // The task is gone, with the reason as its result.
        let sending = self.sending.take().expect("it was there just now");
        match sending.close().await {
            Err(error) => Err(error),
            Ok(_) => unreachable!("the task ends without an error only once its queue is closed"),
        }
    }

    /// Waits until everything that was sent is answered.
    pub(super) async fn close(self) -> Result<LaneReport, ClientError> {
        assert!(self.builder.is_empty(), "the last batch was sent");
        self.sending
            .expect("nothing is closed after a failure")
            .close()
            .await
    }
}

impl Sending {
    async fn close(self) -> Result<LaneReport, ClientError> {
        drop(self.queue);
        self.task
            .await
            .expect("a lane's task neither panics nor is aborted")
    }
}

/// Bytes that a record takes at least: enough to tell a hopeless one.
pub(super) fn record_bytes(record: &NewRecord<'_>) -> usize {
    HEAD_BYTES + record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)
}

/// Sequence numbers count records and start again at 0 after `i32::MAX`.
fn sequence_after(sequence: i32, count: usize) -> i32 {
    let next = (i64::from(sequence) + count as i64) % (i64::from(i32::MAX) + 1);
    i32::try_from(next).expect("a remainder below 2^31")
}

async fn send_all(
    target: Target,
    partition: i32,
    mut batches: mpsc::Receiver<Batch>,
) -> Result<LaneReport, ClientError> {
    let mut written = Written {
        partition,
        records: 0,
        offsets: None,
    };
    while let Some(Batch { bytes, records }) = batches.recv().await {
        let base_offset = target.send(partition, &bytes).await?;
        written.records += records;
        if let Some(base) = base_offset {
            let last = base + records as i64 - 1;
            let first = written.offsets.map_or(base, |(first, _)| first);
            written.offsets = Some((first, last));
        }
    }
    if target.acks == Acks::None && written.records > 0 {
        target.wait_for_silent(partition).await?;
    }
    Ok(LaneReport(written))
}

impl Target {
    /// Sends a batch until it is answered; its base offset, where the broker tells it.
    async fn send(&self, partition: i32, batch: &Bytes) -> Result<Option<i64>, ClientError> {
        let request = ProduceRequest {
            acks: self.acks.number(),
            timeout_ms: i32::try_from(self.client.options().request_timeout.as_millis())
                .unwrap_or(i32::MAX),
            topic_data: vec![TopicProduceData {
                name: self.topic.clone(),
                partition_data: vec![PartitionProduceData {
                    index: partition,
                    records: Some(batch.clone()),
                }],
            }],
            ..ProduceRequest::default()
        };
        let mut attempts = Attempts::within(self.client.options().delivery_timeout);
        loop {
            match self.attempt(partition, &request).await {
                Ok(base_offset) => return Ok(base_offset),
                Err(error) => {
                    self.client.forget(&self.topic);
                    attempts.after(error).await?;
                }
            }
        }
    }

    async fn attempt(
        &self,
        partition: i32,
        request: &ProduceRequest,
    ) -> Result<Option<i64>, ClientError> {
        let leader = self.client.leader(&self.topic, partition).await?;
        if self.acks == Acks::None {
            leader.send_unanswered(request).await?;
            return Ok(None);
        }
        let response = leader.call(request).await?;
        let answer = response
            .responses
            .into_iter()
            .flat_map(|topic| topic.partition_responses)
            .find(|answer| answer.index == partition);
        let what = || format!("cannot write to partition {partition} of `{}`", self.topic);
        let Some(answer) = answer else {
            let message = Some(String::from("the broker's answer does not name it"));
            let code = ErrorCode::UNKNOWN_SERVER_ERROR;
            return Err(ClientError::refused(what(), code, message));
        };
        match answer.error_code {
            ErrorCode::NONE => Ok(Some(answer.base_offset).filter(|offset| *offset >= 0)),
            // An earlier attempt was written, and only its answer lost.
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Ok(None),
            code => Err(ClientError::refused(what(), code, answer.error_message)),
        }
    }

    /// Requests on a connection are served in order: once a later one is answered, those without an
    /// answer were read.
    async fn wait_for_silent(&self, partition: i32) -> Result<(), ClientError> {
        let leader = self.client.leader(&self.topic, partition).await?;
        leader.call(&ApiVersionsRequest::default()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_after_the_last_positive_number() {
        assert_eq!(sequence_after(0, 5), 5);
        assert_eq!(sequence_after(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 5), 3);
    }
}
