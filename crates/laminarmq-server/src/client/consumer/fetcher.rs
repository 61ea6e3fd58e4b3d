//! Fetches from all leaders at once: one request under way per leader, for all of its partitions that
//! are not done.
//!
//! A partition belongs to at most one request at a time, and its position moves before the next one
//! is made; so records come in order and once. A refusal moves nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use laminarmq_kafka::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use laminarmq_kafka::messages::{FetchRequest, FetchResponse};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Assignment;
use super::delivery::{Delivery, next_offset};
use crate::client::retry::Attempts;
use crate::client::{Client, ClientError};

/// How long a broker waits for new records before it answers without any.
const WAIT: Duration = Duration::from_millis(500);
/// What one answer brings at most, beside a first batch that is larger.
const ANSWER_BYTES_MAX: i32 = 16 << 20;
/// What one partition of an answer brings at most.
const PARTITION_BYTES_MAX: i32 = 4 << 20;
/// How long nothing may work: longer than for a request, since a reader that follows waits anyway.
const PATIENCE: Duration = Duration::from_secs(60);

type Out = mpsc::Sender<Result<Delivery, ClientError>>;

#[derive(Debug)]
struct Slot {
    position: i64,
    to: Option<i64>,
    in_flight: bool,
}

impl Slot {
    fn is_done(&self) -> bool {
        self.to.is_some_and(|to| self.position >= to)
    }
}

/// An answer, or why there is none, with the partitions that were asked for.
struct Answer {
    node: i32,
    partitions: Vec<i32>,
    result: Result<FetchResponse, ClientError>,
}

/// Where each partition is, and who is being asked.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
    topic: String,
    /// Partitions that are not done.
    slots: BTreeMap<i32, Slot>,
    /// The same partitions; who got records goes to the back, so that a full one starves nobody.
    order: VecDeque<i32>,
    /// Leaders with a request under way.
    busy: BTreeSet<i32>,
}

impl Fetcher {
    pub(super) fn new(client: Client, topic: String, assignments: &[Assignment]) -> Self {
        let slots: BTreeMap<i32, Slot> = assignments
            .iter()
            .map(|assignment| {
                let slot = Slot {
                    position: assignment.from,
                    to: assignment.to,
                    in_flight: false,
                };
                (assignment.partition, slot)
            })
            .filter(|(_, slot)| !slot.is_done())
            .collect();
        Self {
            client,
            topic,
            order: slots.keys().copied().collect(),
            slots,
            busy: BTreeSet::new(),
        }
    }

    /// Runs until every partition is done, something fails for good, or nobody listens.
    pub(super) async fn run(mut self, out: Out) {
        if let Err(error) = self.fetch_all(&out).await {
            let _ = out.send(Err(error)).await;
        }
    }

    async fn fetch_all(&mut self, out: &Out) -> Result<(), ClientError> {
        let mut requests = JoinSet::new();
        let mut attempts = Attempts::within(PATIENCE);
        while !self.slots.is_empty() {
            let step = match self.ask_idle_leaders(&mut requests).await {
                Err(error) => Err(error),
                Ok(()) => {
                    let answer = requests.join_next().await;
                    let answer = answer.expect("partitions that are not done are asked for");
                    let answer = answer.expect("a request neither panics nor is aborted");
                    self.take(answer, out).await
                }
            };
            match step {
                Ok(Progress::Made) => attempts = Attempts::within(PATIENCE),
                Ok(Progress::None) => {}
                Ok(Progress::NobodyListens) => return Ok(()),
                Err(error) => {
                    self.client.forget(&self.topic);
                    attempts.after(error).await?;
                }
            }
        }
        Ok(())
    }

    /// Makes a request for each leader that has none under way and partitions to ask for.
    async fn ask_idle_leaders(
        &mut self,
        requests: &mut JoinSet<Answer>,
    ) -> Result<(), ClientError> {
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in &self.order {
            if !self.slots[partition].in_flight {
                let leader = self.client.leader_node(&self.topic, *partition).await?;
                by_leader.entry(leader).or_default().push(*partition);
            }
        }
        for (node, partitions) in by_leader {
            if self.busy.contains(&node) {
                continue;
            }
            let connection = self.client.node(node, &self.topic, partitions[0]).await?;
            let request = self.request(&partitions);
            self.busy.insert(node);
            for partition in &partitions {
                self.slot(*partition).in_flight = true;
            }
            requests.spawn(async move {
                Answer {
                    node,
                    partitions,
                    result: connection.call(&request).await,
                }
            });
        }
        Ok(())
    }

    fn request(&self, partitions: &[i32]) -> FetchRequest {
        let wanted = partitions.iter().map(|partition| FetchPartition {
            partition: *partition,
            fetch_offset: self.slots[partition].position,
            partition_max_bytes: PARTITION_BYTES_MAX,
            ..FetchPartition::default()
        });
        FetchRequest {
            max_wait_ms: i32::try_from(WAIT.as_millis()).expect("a short wait"),
            min_bytes: 1,
            max_bytes: ANSWER_BYTES_MAX,
            topics: vec![FetchTopic {
                topic: self.topic.clone(),
                partitions: wanted.collect(),
            }],
            ..FetchRequest::default()
        }
    }

    /// Moves positions by what came and hands it on. The first refusal is told after that.
    async fn take(&mut self, answer: Answer, out: &Out) -> Result<Progress, ClientError> {
        self.busy.remove(&answer.node);
        for partition in &answer.partitions {
            self.slot(*partition).in_flight = false;
        }
        let response = answer.result?;
        let code = response.error_code;
        if !code.is_none() {
            let what = format!("cannot read `{}`", self.topic);
            return Err(ClientError::refused(what, code, None));
        }
        let mut progress = Progress::None;
        let mut failure = None;
        let told = response
            .responses
            .into_iter()
            .flat_map(|topic| topic.partitions);
        for told in told.filter(|told| answer.partitions.contains(&told.partition_index)) {
            match self.accept(told) {
                Ok(None) => {}
                Ok(Some(delivery)) => {
                    if out.send(Ok(delivery)).await.is_err() {
                        return Ok(Progress::NobodyListens);
                    }
                    progress = Progress::Made;
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(progress), Err)
    }

    /// Takes one partition's part of an answer.
    fn accept(&mut self, told: PartitionData) -> Result<Option<Delivery>, ClientError> {
        let partition = told.partition_index;
        if !told.error_code.is_none() {
            let what = format!("cannot read partition {partition} of `{}`", self.topic);
            return Err(ClientError::refused(what, told.error_code, None));
        }
        let data = told.records.into_bytes();
        let next = next_offset(&data).map_err(|source| ClientError::Batch { partition, source })?;
        // A broker may name a partition twice; the second time it may be done.
        let Some(slot) = self.slots.get_mut(&partition) else {
            return Ok(None);
        };
        let Some(next) = next.filter(|next| *next > slot.position) else {
            return Ok(None);
        };
        let delivery = Delivery {
            partition,
            data,
            from: slot.position,
            to: slot.to,
            next: slot.to.map_or(next, |to| next.min(to)),
        };
        slot.position = next;
        let done = slot.is_done();
        self.order.retain(|other| *other != partition);
        if done {
            self.slots.remove(&partition);
        } else {
            self.order.push_back(partition);
        }
        Ok(Some(delivery))
    }

    fn slot(&mut self, partition: i32) -> &mut Slot {
        self.slots
            .get_mut(&partition)
            .expect("a partition has a slot while it is asked for")
    }
}

/// What an answer brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Made,
    None,
    NobodyListens,
}
