//! Consumers: one thread and one connection each.
//!
//! The next request goes out before the last answer is looked at, so the broker works while we check.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use laminarmq_kafka::batch::{Batch, BatchHeader, BatchLimits, batches};
use laminarmq_kafka::messages::FetchRequest;
use laminarmq_kafka::messages::fetch::{FetchPartition, FetchTopic};
use laminarmq_kafka::{decode_response, encode_request};

use super::Check;
use super::connect::{FrameReader, lost};
use super::report::{Consumed, histogram, record};
use super::tally::Tally;
use super::values::Mark;
use crate::client::{CLIENT_ID, FRAME_BYTES_MAX};
use crate::clock;
use crate::failure::Failure;

/// How long a broker waits for records before it answers without.
const WAIT_MS: i32 = 100;
/// What a batch of somebody else's may decompress to.
const LIMITS: BatchLimits = BatchLimits {
    batch_bytes_max: FRAME_BYTES_MAX,
    decompressed_bytes_max: 512 << 20,
};

/// One consumer, connected.
pub(super) struct Worker {
    pub(super) stream: TcpStream,
    /// Version of the fetch request.
    pub(super) version: i16,
    /// Where each of its partitions starts.
    pub(super) positions: BTreeMap<i32, i64>,
}

/// What all consumers of a run share.
pub(super) struct Work<'a> {
    pub(super) topic: &'a str,
    pub(super) check: Check,
    pub(super) fetch_bytes: u32,
    /// Where each partition ends (exclusive), once that is known.
    pub(super) ends: &'a OnceLock<BTreeMap<i32, i64>>,
    /// The run whose records are compared.
    pub(super) run: u64,
    /// The run whose batches are timed on their way, if any is under way.
    pub(super) timed_run: Option<u64>,
    pub(super) start: Instant,
    /// Records that were read.
    pub(super) done: &'a AtomicU64,
}

/// Runs all workers to the end of their partitions.
pub(super) fn run(workers: Vec<Worker>, work: &Work<'_>) -> Result<(Consumed, Tally), Failure> {
    let parts: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = workers
            .into_iter()
            .map(|worker| scope.spawn(|| Reader::new(worker, work).run()))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|part| part.expect("a consumer does not panic"))
            .collect()
    });
    let mut consumed = Consumed::default();
    let mut tally = Tally::of(work.run);
    for part in parts {
        let (part, seen): (Consumed, Tally) = part?;
        consumed.merge(part);
        tally.merge(&seen);
    }
    Ok((consumed, tally))
}

/// What an answer brought for a partition.
struct Piece {
    data: Bytes,
    from: i64,
}

struct Reader<'a> {
    worker: Worker,
    work: &'a Work<'a>,
    correlation_id: i32,
    asked: Instant,
    consumed: Consumed,
    end_to_end: Histogram<u64>,
    tally: Tally,
}

impl<'a> Reader<'a> {
    fn new(worker: Worker, work: &'a Work<'a>) -> Self {
        Self {
            worker,
            work,
            correlation_id: 0,
            asked: work.start,
            consumed: Consumed::default(),
            end_to_end: histogram(),
            tally: Tally::of(work.run),
        }
    }

    fn run(mut self) -> Result<(Consumed, Tally), Failure> {
        let reading = self.worker.stream.try_clone();
        let mut frames = FrameReader::new(
            reading.map_err(|error| lost("cannot open a second handle of a socket", &error))?,
        );
        if self.is_done() {
            return Ok((self.consumed, self.tally));
        }
        self.ask()?;
        loop {
            let frame = frames
                .next()
                .map_err(|error| lost("a fetch was not answered", &error))?;
            let came = clock::now();
            record(
                &mut self.consumed.latency,
                came.saturating_duration_since(self.asked),
            );
            self.consumed.wire_bytes += frame.len() as u64 + 4;
            let pieces = self.advance(frame.clone())?;
            let done = self.is_done();
            if !done {
                self.ask()?;
            }
            for piece in pieces {
                self.look_at(piece, came)?;
            }
            frames.recycle(frame);
            if done {
                self.consumed.elapsed = clock::now().saturating_duration_since(self.work.start);
                if !self.end_to_end.is_empty() {
                    self.consumed.end_to_end = Some(self.end_to_end);
                }
                return Ok((self.consumed, self.tally));
            }
        }
    }

    /// True once every partition was read to its end, where that is known.
    fn is_done(&self) -> bool {
        self.work.ends.get().is_some_and(|ends| {
            let mut positions = self.worker.positions.iter();
            positions.all(|(partition, at)| ends.get(partition).is_none_or(|end| at >= end))
        })
    }

    /// Asks for what follows, of every partition.
    fn ask(&mut self) -> Result<(), Failure> {
        let limit = i32::try_from(self.work.fetch_bytes).unwrap_or(i32::MAX);
        let partitions = self
            .worker
            .positions
            .iter()
            .map(|(partition, position)| FetchPartition {
                partition: *partition,
                fetch_offset: *position,
                partition_max_bytes: limit,
                ..FetchPartition::default()
            });
        let request = FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: limit,
            topics: vec![FetchTopic {
                topic: self.work.topic.to_owned(),
                partitions: partitions.collect(),
            }],
            ..FetchRequest::default()
        };
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let id = self.correlation_id;
        let pieces = encode_request(self.worker.version, id, Some(CLIENT_ID), &request)
            .map_err(|error| Failure::failed(format_args!("cannot write a request: {error}")))?;
        self.asked = clock::now();
        self.worker
            .stream
            .write_all(&pieces.concat())
            .map_err(|error| lost("cannot send a fetch", &error))
    }

    /// Decodes an answer and moves the positions behind what it brought.
    fn advance(&mut self, frame: Bytes) -> Result<Vec<Piece>, Failure> {
        let unreadable = |error| Failure::failed(format_args!("an answer cannot be read: {error}"));
        let (id, response) =
            decode_response::<FetchRequest>(frame, self.worker.version).map_err(unreadable)?;
        if id != self.correlation_id {
            return Err(Failure::failed(format_args!(
                "an answer to request {id} in place of {}",
                self.correlation_id
            )));
        }
        let mut pieces = Vec::new();
        let partitions = response
            .responses
            .into_iter()
            .flat_map(|topic| topic.partitions);
        for told in partitions {
            let index = told.partition_index;
            for code in [response.error_code, told.error_code] {
                if !code.is_none() {
                    return Err(Failure::failed(format_args!(
                        "partition {index} cannot be read: {code}"
                    )));
                }
            }
            let Some(position) = self.worker.positions.get_mut(&index) else {
                continue;
            };
            let data = told.records.into_bytes();
            let from = *position;
            for batch in batches(data.clone()) {
                let batch = batch.map_err(|error| damaged(index, &error))?;
                *position = batch.header().next_offset().max(*position);
            }
            if *position > from {
                pieces.push(Piece { data, from });
            }
        }
        Ok(pieces)
    }

    /// Counts and checks what an answer brought.
    fn look_at(&mut self, piece: Piece, came: Instant) -> Result<(), Failure> {
        let mut count = 0;
        for batch in batches(piece.data) {
            let batch = batch.map_err(|error| damaged(-1, &error))?;
            let header = batch.header();
            if header.attributes.is_control() || header.next_offset() <= piece.from {
                continue;
            }
            self.consumed.batch_bytes += header.size as u64;
            if self.work.check != Check::Heads {
                batch.verify().map_err(|error| damaged(-1, &error))?;
            }
            count += records_from(header, piece.from);
            if self.work.check == Check::Content {
                self.compare(&batch, piece.from)?;
            } else if let Some(run) = self.work.timed_run {
                self.time(&batch, run, came)?;
            }
        }
        self.consumed.records += count;
        self.work.done.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    fn compare(&mut self, batch: &Batch, from: i64) -> Result<(), Failure> {
        let records = batch
            .records(&LIMITS)
            .map_err(|error| damaged(-1, &error))?;
        for record in records {
            let record = record.map_err(|error| damaged(-1, &error))?;
            if record.offset >= from {
                self.tally.add(record.value.as_deref());
            }
        }
        Ok(())
    }

    /// Takes the time that a batch of this run was on its way.
    fn time(&mut self, batch: &Batch, run: u64, came: Instant) -> Result<(), Failure> {
        let first = batch
            .records(&LIMITS)
            .map_err(|error| damaged(-1, &error))?
            .next();
        let value = first.transpose().map_err(|error| damaged(-1, &error))?;
        let mark = value.and_then(|record| Mark::read(&record.value?));
        if let Some(mark) = mark.filter(|mark| mark.run == run) {
            let now = came.saturating_duration_since(self.work.start);
            let way = now.saturating_sub(Duration::from_nanos(mark.due_ns));
            record(&mut self.end_to_end, way);
        }
        Ok(())
    }
}

/// How many records of a batch lie at `from` or behind it: a first batch may begin before.
fn records_from(header: &BatchHeader, from: i64) -> u64 {
    let skipped = (from - header.base_offset).max(0).unsigned_abs();
    u64::from(header.record_count.unsigned_abs()).saturating_sub(skipped)
}

fn damaged(partition: i32, error: &laminarmq_kafka::batch::BatchError) -> Failure {
    let of = if partition < 0 {
        String::new()
    } else {
        format!(" of partition {partition}")
    };
    Failure::failed(format_args!("a batch{of} cannot be read: {error}"))
        .hint("this is data loss or a bug: please report it with the broker's log")
}

#[cfg(test)]
mod tests {
    use laminarmq_kafka::batch::{BatchBuilder, Compression, NewRecord};

    use super::*;

    #[test]
    fn a_batch_counts_from_the_position_on() {
        let mut builder = BatchBuilder::new(Compression::None);
        for _ in 0..10 {
            builder.push(&NewRecord::default()).expect("small");
        }
        let mut header = BatchHeader::parse(&builder.build()).expect("a batch");
        header.base_offset = 100;
        let counts = [50, 100, 103, 109, 110, 200].map(|from| records_from(&header, from));
        assert_eq!(counts, [10, 10, 7, 1, 0, 0]);
    }
}
