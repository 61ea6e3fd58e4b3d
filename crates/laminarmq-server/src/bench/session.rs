//! A run against brokers: its topic, its connections, and what is measured in which order.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use laminarmq_kafka::Request;
use laminarmq_kafka::messages::{FetchRequest, ProduceRequest};
use tokio::runtime::Runtime;

use super::connect::connect;
use super::consume::{self, Work};
use super::frames::Frames;
use super::produce::{self, Answers};
use super::report::{Consumed, Produced, Report};
use super::run::{PRODUCE_VERSION, TICK, frames, random_run, watch};
use super::tally::{Tally, Verdict};
use super::{Check, Plan, Target};
use crate::client::{Acks, Client, ClientError, ClientOptions, Missing, NewTopic, Topic};
use crate::clock;
use crate::config::HostPort;
use crate::failure::Failure;
use crate::output::progress::{Progress, Unit};

/// How long a record may take from its ack until it can be read.
const READABLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// A run against brokers.
pub(super) struct Session<'a> {
    plan: &'a Plan,
    runtime: Runtime,
    client: Client,
    topic: Topic,
    /// This run made the topic.
    created: bool,
    run: u64,
}

impl<'a> Session<'a> {
    /// Connects and finds or makes the topic.
    pub(super) fn open(plan: &'a Plan, brokers: &[HostPort]) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format_args!("cannot start the runtime: {error}")))?;
        let run = random_run();
        let (client, topic, created) = runtime.block_on(async {
            let client = Client::connect(brokers, ClientOptions::default()).await?;
            let (topic, created) = topic(plan, &client, run).await?;
            Ok::<_, ClientError>((client, topic, created))
        })?;
        Ok(Self {
            plan,
            runtime,
            client,
            topic,
            created,
            run,
        })
    }

    pub(super) fn measure(&self) -> Result<Report, Failure> {
        let before = self.ends()?;
        let mut report = Report {
            title: self.plan.load_in_words(self.topic.partitions.len() as u64),
            ack: Some(self.ack_in_words()),
            rate: self.plan.rate,
            ..Report::default()
        };
        match self.plan.target {
            Target::Both => {
                let (produced, consumed) = self.both(&before)?;
                report.produced = Some(produced);
                report.consumed = Some(consumed);
            }
            // A topic that was named holds what is to be read.
            Target::Consume if self.plan.topic.is_some() => {
                report.title = self.plan.reading_in_words(&self.topic.name);
                report.ack = None;
                report.rate = None;
                report.consumed = Some(self.consume(&self.starts()?, &before, self.plan.check)?.0);
                return Ok(report);
            }
            Target::Consume => {
                // The writing only prepares; its own pace does not matter.
                let filled = self.produce(clock::now())?;
                report.title = self.plan.reading_in_words(&self.topic.name);
                report.ack = None;
                report.rate = None;
                let ends = self.ends_after(&before, filled.records)?;
                report.consumed = Some(self.consume(&before, &ends, self.plan.check)?.0);
                report.verdict = self.verdict(&before, filled.records)?;
                return Ok(report);
            }
            _ => report.produced = Some(self.produce(clock::now())?),
        }
        if let Some(produced) = &report.produced {
            report.verdict = self.verdict(&before, produced.records)?;
        }
        Ok(report)
    }

    /// Reads back what was written behind `before`, unless that is not wanted.
    fn verdict(
        &self,
        before: &BTreeMap<i32, i64>,
        records: u64,
    ) -> Result<Option<Verdict>, Failure> {
        if !self.plan.verify {
            return Ok(None);
        }
        let ends = self.ends_after(before, records)?;
        let (_, tally) = self.consume(before, &ends, Check::Content)?;
        Ok(Some(tally.verdict(records)))
    }

    /// Deletes the topic that this run made. Nothing depends on it, so a failure is not one.
    pub(super) fn clean_up(&self) {
        if self.created && self.plan.topic.is_none() && !self.plan.keep {
            let deletion = self.client.delete_topic(&self.topic.name);
            if self.runtime.block_on(deletion).is_err() {
                crate::output::warn(format_args!("topic `{}` is left behind", self.topic.name));
            }
        }
    }

    fn produce(&self, start: Instant) -> Result<Produced, Failure> {
        let workers = self.producers()?;
        self.plan.produce(workers, self.run, start)
    }

    /// Producers, each with a connection to every leader it writes to.
    fn producers(&self) -> Result<Vec<produce::Worker>, Failure> {
        let mut workers = Vec::new();
        let all = self.partitions();
        for producer in 0..self.plan.producers {
            // Each starts elsewhere in the row, so that they do not walk in step.
            let mut mine = all.clone();
            let turn = usize::try_from(producer).expect("32 bits fit") % mine.len();
            mine.rotate_left(turn);
            for (address, version, partitions) in self.by_leader::<ProduceRequest>(&mine)? {
                let shape = self.plan.shape(&self.topic.name, version);
                workers.push(produce::Worker {
                    stream: connect(&address)?,
                    frames: frames(&shape)?,
                    partitions,
                    answers: match self.plan.acks {
                        Acks::None => Answers::Silent,
                        Acks::Leader | Acks::All => Answers::Kafka { version },
                    },
                    in_flight: self.plan.in_flight,
                });
            }
        }
        Ok(workers)
    }

    /// Reads from `starts` to `ends`.
    fn consume(
        &self,
        starts: &BTreeMap<i32, i64>,
        ends: &BTreeMap<i32, i64>,
        check: Check,
    ) -> Result<(Consumed, Tally), Failure> {
        let total: i64 = ends
            .iter()
            .map(|(partition, end)| end - starts.get(partition).copied().unwrap_or(0))
            .sum();
        let known = OnceLock::from(ends.clone());
        let done = AtomicU64::new(0);
        let workers = self.consumers(starts)?;
        let work = Work {
            timed_run: None,
            ..self.work(check, &known, &done, clock::now())
        };
        let progress = Progress::new("reading", Unit::Records, total.unsigned_abs());
        watch(&progress, &done, Duration::ZERO, || {
            consume::run(workers, &work)
        })
    }

    fn work<'b>(
        &'b self,
        check: Check,
        ends: &'b OnceLock<BTreeMap<i32, i64>>,
        done: &'b AtomicU64,
        start: Instant,
    ) -> Work<'b> {
        Work {
            topic: &self.topic.name,
            check,
            fetch_bytes: self.plan.fetch_bytes,
            ends,
            run: self.run,
            timed_run: Some(self.run),
            start,
            done,
        }
    }

    /// Consumers, each with a connection to every leader it reads from.
    fn consumers(&self, starts: &BTreeMap<i32, i64>) -> Result<Vec<consume::Worker>, Failure> {
        let all = self.partitions();
        let count = usize::try_from(self.plan.consumers).expect("32 bits fit");
        let mut workers = Vec::new();
        for consumer in 0..count.min(all.len()) {
            let mine: Vec<i32> = all.iter().copied().skip(consumer).step_by(count).collect();
            for (address, version, partitions) in self.by_leader::<FetchRequest>(&mine)? {
                let start = |partition| (partition, starts.get(&partition).copied().unwrap_or(0));
                workers.push(consume::Worker {
                    stream: connect(&address)?,
                    version,
                    positions: partitions.into_iter().map(start).collect(),
                });
            }
        }
        Ok(workers)
    }

    /// Producers and consumers at the same time. Consumers end where the producers did.
    fn both(&self, before: &BTreeMap<i32, i64>) -> Result<(Produced, Consumed), Failure> {
        let ends = OnceLock::new();
        let read = AtomicU64::new(0);
        let consumers = self.consumers(before)?;
        let producers = self.producers()?;
        let start = clock::now();
        let work = self.work(self.plan.check, &ends, &read, start);
        thread::scope(|scope| {
            let consuming = scope.spawn(|| consume::run(consumers, &work));
            let produced = self.plan.produce(producers, self.run, start);
            let records = produced.as_ref().map_or(0, |produced| produced.records);
            let after = self.ends_after(before, records);
            // Whatever went wrong, the consumers must not wait for ever.
            let _ = ends.set(
                after
                    .as_ref()
                    .map_or_else(|_| BTreeMap::new(), Clone::clone),
            );
            let consumed = consuming.join().expect("consumers do not panic");
            after?;
            Ok((produced?, consumed?.0))
        })
    }

    /// Address and version for each leader of `partitions`, with its share of them.
    fn by_leader<R: Request>(
        &self,
        partitions: &[i32],
    ) -> Result<Vec<(HostPort, i16, Vec<i32>)>, Failure> {
        let mut leaders: BTreeMap<String, (HostPort, i16, Vec<i32>)> = BTreeMap::new();
        for &partition in partitions {
            let leader = self.client.leader(&self.topic.name, partition);
            let connection = self.runtime.block_on(leader)?;
            let broker = connection.broker();
            let version = connection.versions().pick::<R>(broker)?;
            leaders
                .entry(broker.to_string())
                .or_insert_with(|| (broker.clone(), version, Vec::new()))
                .2
                .push(partition);
        }
        Ok(leaders.into_values().collect())
    }

    fn partitions(&self) -> Vec<i32> {
        self.topic
            .partitions
            .iter()
            .map(|partition| partition.index)
            .collect()
    }

    fn bounds(&self) -> Result<BTreeMap<i32, (i64, i64)>, Failure> {
        let partitions = self.partitions();
        let bounds = self.client.bounds(&self.topic.name, &partitions);
        Ok(self.runtime.block_on(bounds)?)
    }

    fn starts(&self) -> Result<BTreeMap<i32, i64>, Failure> {
        Ok(self
            .bounds()?
            .into_iter()
            .map(|(p, (start, _))| (p, start))
            .collect())
    }

    fn ends(&self) -> Result<BTreeMap<i32, i64>, Failure> {
        Ok(self
            .bounds()?
            .into_iter()
            .map(|(p, (_, end))| (p, end))
            .collect())
    }

    /// The ends once `records` more than `before` can be read. An ack with `acks=1` comes before that,
    /// and `acks=0` has none; what is still not there after a while is missing.
    fn ends_after(
        &self,
        before: &BTreeMap<i32, i64>,
        records: u64,
    ) -> Result<BTreeMap<i32, i64>, Failure> {
        let deadline = clock::now() + READABLE_WAIT_MAX;
        loop {
            let ends = self.ends()?;
            let there: i64 = ends
                .iter()
                .map(|(partition, end)| end - before.get(partition).copied().unwrap_or(0))
                .sum();
            if there.unsigned_abs() >= records || clock::now() >= deadline {
                return Ok(ends);
            }
            self.runtime.block_on(clock::pause(TICK / 10));
        }
    }

    fn ack_in_words(&self) -> String {
        let flush = if self.created {
            format!("flush={}", self.plan.flush)
        } else {
            String::from("the topic's own flush")
        };
        let meaning = match (self.plan.acks, self.created, self.plan.flush) {
            (Acks::None, ..) => return String::from("acks=0: there are none"),
            (Acks::Leader, ..) => "the leader has the batch, maybe not on disk yet",
            (Acks::All, true, "sync") => "a quorum has the batch on disk",
            (Acks::All, true, _) => "a quorum has the batch in memory; a power cut may lose it",
            (Acks::All, false, _) => "a quorum has the batch, on disk if that says sync",
        };
        let acks = match self.plan.acks {
            Acks::Leader => "1",
            _ => "all",
        };
        format!("acks={acks}, {flush}: {meaning}")
    }
}

/// The topic of the run, and whether the run made it.
async fn topic(plan: &Plan, client: &Client, run: u64) -> Result<(Topic, bool), ClientError> {
    let name = match &plan.topic {
        Some(name) => {
            match client.topic(name, Missing::Refuse).await {
                Ok(topic) => return Ok((topic, false)),
                Err(ClientError::NoSuchTopic(_)) if !matches!(plan.target, Target::Consume) => {}
                Err(error) => return Err(error),
            }
            name.clone()
        }
        None => format!("bench-{:08x}", run >> 32),
    };
    let shape = plan.shape(&name, PRODUCE_VERSION);
    let batch = Frames::new(&shape)
        .map_err(ClientError::Encode)?
        .batch_bytes();
    let mut configs = vec![(String::from("flush"), plan.flush.to_owned())];
    if batch > MESSAGE_BYTES_DEFAULT {
        configs.push((String::from("max.message.bytes"), batch.to_string()));
    }
    let new = NewTopic {
        name: name.clone(),
        partitions: i32::try_from(plan.partitions).ok(),
        replicas: None,
        configs,
    };
    client.create_topic(&new, false).await?;
    let topic = client.topic(&name, Missing::Refuse).await?;
    Ok((topic, true))
}

/// What a topic takes as a batch unless it is told otherwise.
const MESSAGE_BYTES_DEFAULT: usize = 1 << 20;
