//! Producers: two threads each, one that generates and writes, one that reads answers.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use hdrhistogram::Histogram;
use laminarmq_kafka::messages::{ApiVersionsRequest, ProduceRequest};
use laminarmq_kafka::{decode_response, encode_request};

use super::connect::{FrameReader, lost};
use super::frames::Frames;
use super::report::{Produced, histogram, record};
use super::schedule::Schedule;
use super::values::Mark;
use super::window::Window;
use crate::client::CLIENT_ID;
use crate::clock;
use crate::failure::Failure;

/// What comes back for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// A produce response of this version.
    Kafka { version: i16 },
    /// Nothing (`acks=0`); one more request at the end tells that all before it were read.
    Silent,
    /// The length of the frame, four bytes (a plain sink).
    Lengths,
}

/// One producer, connected.
pub(super) struct Worker {
    pub(super) stream: TcpStream,
    pub(super) frames: Frames,
    /// Partitions to write to, in turn.
    pub(super) partitions: Vec<i32>,
    pub(super) answers: Answers,
    pub(super) in_flight: u32,
}

/// What all producers of a run share.
pub(super) struct Load<'a> {
    pub(super) run: u64,
    pub(super) batch_records: u32,
    pub(super) record_bytes: usize,
    pub(super) schedule: &'a Schedule,
    /// Records that were answered.
    pub(super) done: &'a AtomicU64,
}

/// What one worker did.
struct Part {
    records: u64,
    wire_bytes: u64,
    /// When the last answer came.
    last: Instant,
    latency: Histogram<u64>,
}

/// Runs all workers to the end of the schedule. The first failure ends the others too.
pub(super) fn run(workers: Vec<Worker>, load: &Load<'_>) -> Result<Produced, Failure> {
    let stop = AtomicU64::new(0);
    let parts: Vec<Result<Part, Failure>> = thread::scope(|scope| {
        let workers: Vec<_> = workers
            .into_iter()
            .map(|worker| scope.spawn(|| worker.run(load, &stop)))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|part| part.expect("a producer does not panic"))
            .collect()
    });
    let start = load.schedule.start();
    let mut produced = Produced {
        records: 0,
        value_bytes: 0,
        wire_bytes: 0,
        elapsed: std::time::Duration::ZERO,
        latency: histogram(),
    };
    for part in parts {
        let part = part?;
        produced.records += part.records;
        produced.wire_bytes += part.wire_bytes;
        produced.elapsed = produced
            .elapsed
            .max(part.last.saturating_duration_since(start));
        produced
            .latency
            .add(part.latency)
            .expect("histograms of one shape");
    }
    produced.value_bytes = produced.records * load.record_bytes as u64;
    Ok(produced)
}

impl Worker {
    fn run(mut self, load: &Load<'_>, stop: &AtomicU64) -> Result<Part, Failure> {
        let cannot = |error| lost("cannot open a second handle of a socket", &error);
        let reading = self.stream.try_clone().map_err(cannot)?;
        let window = Window::new(self.in_flight);
        let answers = self.answers;
        let (sent, received) = thread::scope(|scope| {
            let window = &window;
            let receiver = scope.spawn(move || {
                let received = receive(reading, answers, window, load);
                if received.is_err() {
                    window.fail();
                }
                received
            });
            let sent = self.send(load, window, stop);
            if sent.is_err() {
                // The receiver may be waiting for an answer that never comes.
                let _ = self.stream.shutdown(Shutdown::Both);
            }
            window.close();
            let received = receiver.join().expect("a receiver does not panic");
            (sent, received)
        });
        if sent.is_err() || received.is_err() {
            stop.store(1, Ordering::Relaxed);
        }
        // Why the receiver failed is why the sender did.
        let mut part = received?;
        let (batches, wire_bytes) = sent?;
        part.wire_bytes = wire_bytes;
        if answers == Answers::Silent {
            part.records = batches * u64::from(load.batch_records);
            part.last = self.wait_for_silent()?;
            load.done.fetch_add(part.records, Ordering::Relaxed);
        }
        Ok(part)
    }

    /// Writes batches to the end of the schedule; how many, and how many bytes they had.
    fn send(
        &mut self,
        load: &Load<'_>,
        window: &Window,
        stop: &AtomicU64,
    ) -> Result<(u64, u64), Failure> {
        let (mut batches, mut wire_bytes) = (0, 0);
        let mut correlation_id = 0i32;
        let mut partitions = self.partitions.clone().into_iter().cycle();
        while stop.load(Ordering::Relaxed) == 0 {
            let Some(claim) = load.schedule.claim(clock::now()) else {
                break;
            };
            if let Some(due) = claim.due {
                wait_until(due);
            }
            let due = claim.due.unwrap_or_else(clock::now);
            let due_ns = due
                .saturating_duration_since(load.schedule.start())
                .as_nanos();
            let first = Mark {
                run: load.run,
                number: claim.first_record,
                due_ns: u64::try_from(due_ns).unwrap_or(u64::MAX),
            };
            let partition = partitions.next().expect("a worker has a partition");
            let frame = self
                .frames
                .next(partition, correlation_id, clock::wall_ms(), first);
            let entered =
                self.answers == Answers::Silent || window.enter(correlation_id, claim.due);
            if !entered {
                break;
            }
            self.stream
                .write_all(frame)
                .map_err(|error| lost("cannot send a batch", &error))?;
            wire_bytes += frame.len() as u64;
            batches += 1;
            correlation_id = correlation_id.wrapping_add(1);
        }
        Ok((batches, wire_bytes))
    }

    /// Requests are served in order: an answered one says that all before it were read.
    fn wait_for_silent(&mut self) -> Result<Instant, Failure> {
        let request = ApiVersionsRequest::default();
        let pieces = encode_request(0, 0, Some(CLIENT_ID), &request)
            .map_err(|error| Failure::failed(format_args!("cannot write a request: {error}")))?;
        let done = |error| lost("cannot tell whether all batches were read", &error);
        self.stream.write_all(&pieces.concat()).map_err(done)?;
        FrameReader::new(&mut self.stream).next().map_err(done)?;
        Ok(clock::now())
    }
}

/// Lets time pass until `due`, to the accuracy of the system's timer.
fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(clock::now());
        if left.is_zero() {
            return;
        }
        // Nobody unparks this thread; should the system wake it early, it waits again.
        thread::park_timeout(left);
    }
}

/// Reads an answer for each batch in the window.
fn receive(
    mut stream: TcpStream,
    answers: Answers,
    window: &Window,
    load: &Load<'_>,
) -> Result<Part, Failure> {
    let mut part = Part {
        records: 0,
        wire_bytes: 0,
        last: load.schedule.start(),
        latency: histogram(),
    };
    let mut frames = FrameReader::new(
        stream
            .try_clone()
            .map_err(|error| lost("cannot open a second handle of a socket", &error))?,
    );
    while let Some(pending) = window.oldest() {
        let no_answer = |error| lost("a batch was not answered", &error);
        match answers {
            Answers::Silent => unreachable!("nothing is entered without an answer"),
            Answers::Lengths => stream.read_exact(&mut [0; 4]).map_err(no_answer)?,
            Answers::Kafka { version } => {
                let frame = frames.next().map_err(no_answer)?;
                check(frame.clone(), version, pending.correlation_id)?;
                frames.recycle(frame);
            }
        }
        window.leave();
        part.last = clock::now();
        record(
            &mut part.latency,
            part.last.saturating_duration_since(pending.since),
        );
        part.records += u64::from(load.batch_records);
        load.done
            .fetch_add(u64::from(load.batch_records), Ordering::Relaxed);
    }
    Ok(part)
}

/// Checks that a response is the expected one and no refusal.
fn check(frame: bytes::Bytes, version: i16, correlation_id: i32) -> Result<(), Failure> {
    let (answered, response) = decode_response::<ProduceRequest>(frame, version)
        .map_err(|error| Failure::failed(format_args!("an answer cannot be read: {error}")))?;
    if answered != correlation_id {
        return Err(Failure::failed(format_args!(
            "an answer to request {answered} in place of {correlation_id}"
        )));
    }
    let partitions = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses);
    for partition in partitions {
        if !partition.error_code.is_none() {
            let why = partition.error_message.as_deref().unwrap_or_default();
            return Err(Failure::failed(format_args!(
                "a batch was refused: {} {why}",
                partition.error_code
            ))
            .hint("smaller batches (--batch-size)? look at the broker's log"));
        }
    }
    Ok(())
}
