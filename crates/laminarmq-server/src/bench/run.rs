//! A run from its first topic to its last line.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use laminarmq_kafka::Message;
use laminarmq_kafka::messages::ProduceRequest;

use super::connect::connect;
use super::frames::{Frames, Shape};
use super::produce::{self, Answers, Load};
use super::report::{Produced, Report};
use super::schedule::Schedule;
use super::session::Session;
use super::{Check, Goal, Plan, Target, raw};
use crate::client::ClientError;
use crate::clock;
use crate::config::HostPort;
use crate::failure::Failure;
use crate::output::progress::{Progress, Unit};
use crate::output::{Out, human};

/// How often a progress bar is told where we are.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// What frames to a plain sink say; nobody reads it.
const RAW_TOPIC: &str = "bench";
/// The newest version of produce requests: what our own broker takes, so that a sink gets the same.
pub(super) const PRODUCE_VERSION: i16 = <ProduceRequest as Message>::VERSIONS.max;

/// Runs `plan` against the cluster of `brokers` and prints the report.
pub(crate) fn run(plan: &Plan, brokers: &[HostPort]) -> Result<(), Failure> {
    let report = match &plan.target {
        Target::RawSink(sink) => raw_sink(plan, sink)?,
        Target::RawSource { source, bytes } => Report {
            title: format!("plain reads from {source}"),
            raw_read: Some(raw::read_source(source, *bytes)?),
            ..Report::default()
        },
        Target::Produce | Target::Consume | Target::Both => {
            let session = Session::open(plan, brokers)?;
            let result = session.measure();
            session.clean_up();
            result?
        }
    };
    let mut out = Out::stdout();
    if plan.json {
        out.json(&report.json())?;
    } else {
        for line in report.lines() {
            out.line(line)?;
        }
    }
    out.flush()?;
    match report.verdict {
        Some(verdict) if !verdict.is_good() => Err(Failure::failed(
            "what was read back is not what was acknowledged",
        )
        .hint("keep the data directory and the broker's log, and report it")),
        _ => Ok(()),
    }
}

/// The same frames to a plain sink.
fn raw_sink(plan: &Plan, sink: &HostPort) -> Result<Report, Failure> {
    let shape = plan.shape(RAW_TOPIC, PRODUCE_VERSION);
    let workers = (0..plan.producers).map(|_| {
        Ok(produce::Worker {
            stream: connect(sink)?,
            frames: frames(&shape)?,
            partitions: vec![0],
            answers: Answers::Lengths,
            in_flight: plan.in_flight,
        })
    });
    let workers = workers.collect::<Result<Vec<_>, Failure>>()?;
    let produced = plan.produce(workers, random_run(), clock::now())?;
    Ok(Report {
        title: format!("{}, to the plain sink at {sink}", plan.load_in_words(1)),
        ack: Some(String::from(
            "the length of a frame, after whatever the sink does with it",
        )),
        rate: plan.rate,
        produced: Some(produced),
        ..Report::default()
    })
}

impl Plan {
    /// Runs producers to the goal, with a progress bar.
    pub(super) fn produce(
        &self,
        workers: Vec<produce::Worker>,
        run: u64,
        start: Instant,
    ) -> Result<Produced, Failure> {
        let schedule = Schedule::new(start, self.batch_records, self.goal, self.rate);
        let done = AtomicU64::new(0);
        let load = Load {
            run,
            batch_records: self.batch_records,
            record_bytes: self.record_bytes,
            schedule: &schedule,
            done: &done,
        };
        match self.goal {
            Goal::Records(records) => {
                let progress = Progress::new("writing", Unit::Records, records);
                watch(&progress, &done, Duration::ZERO, || {
                    produce::run(workers, &load)
                })
            }
            Goal::Duration(duration) => {
                let length = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                let progress = Progress::new("writing", Unit::Milliseconds, length);
                watch(&progress, &done, duration, || produce::run(workers, &load))
            }
        }
    }

    pub(super) fn shape<'a>(&self, topic: &'a str, version: i16) -> Shape<'a> {
        Shape {
            topic,
            acks: self.acks,
            version,
            batch_records: self.batch_records,
            record_bytes: self.record_bytes,
        }
    }

    /// `1 producer, 1 partition, 1.0 KiB records in batches of 1 000, 5 in flight, as fast as it goes`
    pub(super) fn load_in_words(&self, partitions: u64) -> String {
        let pace = match self.rate {
            Some(rate) => format!("{} records/s", human::count(rate)),
            None => String::from("as fast as it goes"),
        };
        format!(
            "{}, {}, {} records in batches of {}, {} in flight, {pace}",
            human::plural(u64::from(self.producers), "producer"),
            human::plural(partitions, "partition"),
            human::bytes(self.record_bytes as u64),
            human::count(u64::from(self.batch_records)),
            self.in_flight,
        )
    }

    pub(super) fn reading_in_words(&self, topic: &str) -> String {
        let check = match self.check {
            Check::Heads => "heads counted",
            Check::Crc => "CRCs checked",
            Check::Content => "CRCs and values checked",
        };
        format!(
            "{} of `{topic}`, fetches of {}, {check}",
            human::plural(u64::from(self.consumers), "consumer"),
            human::bytes(u64::from(self.fetch_bytes)),
        )
    }
}

pub(super) fn frames(shape: &Shape<'_>) -> Result<Frames, Failure> {
    Ok(Frames::new(shape).map_err(ClientError::Encode)?)
}

/// A number that no other run has.
pub(super) fn random_run() -> u64 {
    // The standard library seeds its hash maps from the system's randomness.
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(clock::wall_ms())
}

/// Runs `work` while `progress` follows `done`, or, where `time` is given, the clock.
pub(super) fn watch<T: Send>(
    progress: &Progress,
    done: &AtomicU64,
    time: Duration,
    work: impl FnOnce() -> T + Send,
) -> T {
    let start = clock::now();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let records = done.load(Ordering::Relaxed);
                if time.is_zero() {
                    progress.set(records);
                } else {
                    let elapsed = clock::now().saturating_duration_since(start);
                    progress.set(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
                    progress.message(human::plural(records, "record"));
                }
                thread::park_timeout(TICK);
            }
            progress.finish();
        });
        let result = work();
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        result
    })
}
