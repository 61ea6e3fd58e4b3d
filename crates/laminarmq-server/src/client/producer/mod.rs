//! Writing records: batches per partition, sent as they fill or grow old.
//!
//! A batch leaves when the next record does not fit, when its first record has waited for the linger
//! time, or at the end. Each partition has a lane of its own (a builder, a queue of one batch, a task
//! with one batch under way), so memory is bounded by about three batches per partition in use, and a
//! slow partition holds up nobody but the caller who writes to it.

mod lane;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::batch::{Compression, NewRecord};
use laminarmq_kafka::messages::InitProducerIdRequest;

use self::lane::{Lane, LaneReport, Target};
use super::partitioner;
use super::{Client, ClientError, Topic};

/// The largest record that is taken, in bytes: what a broker could be set up to take at most.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// Who must have a batch before it counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    /// Nobody: there is no answer.
    None,
    /// The leader.
    Leader,
    /// All replicas in step, on their disks unless the topic says otherwise.
    All,
}

impl Acks {
    /// The number on the wire.
    pub(crate) fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How a producer batches.
#[derive(Debug, Clone)]
pub(crate) struct ProducerOptions {
    pub(crate) acks: Acks,
    pub(crate) codec: Compression,
    /// How long the first record of a batch waits for others.
    pub(crate) linger: Duration,
    /// A batch is sent before it grows beyond this, in bytes before compression.
    pub(crate) batch_bytes: usize,
}

/// Who writes, for a broker that drops a batch which comes twice.
#[derive(Debug, Clone, Copy)]
struct Identity {
    id: i64,
    epoch: i16,
}

/// Writes to one topic.
#[derive(Debug)]
pub(crate) struct Producer {
    target: Target,
    partitions: usize,
    options: ProducerOptions,
    identity: Option<Identity>,
    lanes: BTreeMap<usize, Lane>,
    /// Where records without a key go at the moment.
    sticky: usize,
}

/// What was written to one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) partition: i32,
    pub(crate) records: u64,
    /// First and last offset; `None` where the broker does not say (`acks=0`).
    pub(crate) offsets: Option<(i64, i64)>,
}

/// What was written, by partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) partitions: Vec<Written>,
}

impl Summary {
    pub(crate) fn records(&self) -> u64 {
        self.partitions.iter().map(|written| written.records).sum()
    }
}

impl Producer {
    /// A producer for `topic`, which was just looked up.
    pub(crate) async fn open(
        client: &Client,
        topic: &Topic,
        options: ProducerOptions,
    ) -> Result<Self, ClientError> {
        if topic.partitions.is_empty() {
            return Err(ClientError::NoSuchTopic(topic.name.clone()));
        }
        let identity = match options.acks {
            // Without an answer from all there is no retry that could double anything.
            Acks::None | Acks::Leader => None,
            Acks::All => identity(client).await?,
        };
        Ok(Self {
            target: Target {
                client: client.clone(),
                topic: topic.name.clone(),
                acks: options.acks,
            },
            partitions: topic.partitions.len(),
            options,
            identity,
            lanes: BTreeMap::new(),
            sticky: 0,
        })
    }

    /// Adds a record, to `partition` or to the one that its key (or the lack of one) picks. Waits while
    /// that partition is behind.
    pub(crate) async fn push(
        &mut self,
        record: &NewRecord<'_>,
        partition: Option<usize>,
        now: Instant,
    ) -> Result<(), ClientError> {
        let at = match (partition, record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partitioner::by_key(key, self.partitions),
            (None, None) => self.sticky,
        };
        if at >= self.partitions {
            return Err(ClientError::NoSuchPartition {
                topic: self.target.topic.clone(),
                partition: i32::try_from(at).unwrap_or(i32::MAX),
                count: self.partitions,
            });
        }
        let size = lane::record_bytes(record);
        if size > RECORD_BYTES_MAX {
            return Err(ClientError::RecordTooLarge { bytes: size });
        }
        let options = &self.options;
        let (target, identity) = (&self.target, self.identity);
        let lane = self
            .lanes
            .entry(at)
            .or_insert_with(|| Lane::open(target, at, options.codec, identity));
        if lane.is_full_for(record, options.batch_bytes) {
            lane.send().await?;
            if at == self.sticky {
                self.sticky = (self.sticky + 1) % self.partitions;
            }
        }
        lane.push(record, now)
    }

    /// When the oldest batch that is not sent yet becomes due; `None`: there is none.
    pub(crate) fn due(&self) -> Option<Instant> {
        let opened = self.lanes.values().filter_map(Lane::opened).min();
        opened.map(|opened| opened + self.options.linger)
    }

    /// Sends every batch whose first record has waited for the linger time.
    pub(crate) async fn send_due(&mut self, now: Instant) -> Result<(), ClientError> {
        let linger = self.options.linger;
        for (at, lane) in &mut self.lanes {
            if lane.opened().is_some_and(|opened| now >= opened + linger) {
                lane.send().await?;
                if *at == self.sticky {
                    self.sticky = (self.sticky + 1) % self.partitions;
                }
            }
        }
        Ok(())
    }

    /// Sends what is left and waits until every batch is answered.
    pub(crate) async fn finish(mut self) -> Result<Summary, ClientError> {
        for lane in self.lanes.values_mut() {
            lane.send().await?;
        }
        let mut summary = Summary::default();
        for (_, lane) in self.lanes {
            let LaneReport(written) = lane.close().await?;
            summary.partitions.push(written);
        }
        Ok(summary)
    }
}

/// Asks for a producer id. `None`: a broker that has none to give, which then cannot tell a retry from
/// a new batch.
async fn identity(client: &Client) -> Result<Option<Identity>, ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let response = match client.ask(&request).await {
        Ok(response) => response,
        Err(ClientError::Unsupported { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    match response.error_code {
        ErrorCode::NONE => Ok(Some(Identity {
            id: response.producer_id,
            epoch: response.producer_epoch,
        })),
        code => Err(ClientError::refused("cannot get a producer id", code, None)),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
