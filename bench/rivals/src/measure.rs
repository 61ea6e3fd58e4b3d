//! What a run is, and what it came to.

use std::hash::Hasher;
use std::hint::black_box;
use std::time::Instant;

use laminarmq::Crc32cHasher;
use rustix::time::{ClockId, clock_gettime};

/// Appends so many records of that value, and reads them back.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub value: &'a [u8],
    pub records: usize,
    pub clock: Clock,
}

/// What time is meant.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// Of the world.
    Wall,
    /// That this process's threads had a processor, which other programs change little.
    Processor,
}

/// When a run began.
pub enum Start {
    Wall(Instant),
    Processor(f64),
}

fn processor_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is what is measured")]
    pub fn start(self) -> Start {
        match self {
            Self::Wall => Start::Wall(Instant::now()),
            Self::Processor => Start::Processor(processor_ns()),
        }
    }
}

/// Nanoseconds per record, and how many were read.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub append: f64,
    pub read: f64,
    pub read_count: usize,
}

/// Nanoseconds per record since `start`.
pub fn per_record(start: &Start, records: usize) -> f64 {
    let passed = match start {
        Start::Wall(start) => start.elapsed().as_nanos() as f64,
        Start::Processor(start) => processor_ns() - start,
    };
    passed / records as f64
}

/// Bytes in front of each value in a store.
const HEADER: [u8; 56] = [1; 56];

/// What nobody can do without: the checksum of each value, and the bytes of header and value copied to memory that
/// grows.
pub fn floor(run: &Run<'_>) -> f64 {
    let mut memory = Vec::new();
    let start = run.clock.start();
    for _ in 0..run.records {
        let mut hasher = Crc32cHasher::default();
        hasher.write(black_box(run.value));
        black_box(hasher.finish());
        memory.extend_from_slice(black_box(&HEADER));
        memory.extend_from_slice(black_box(run.value));
    }
    black_box(&memory);
    per_record(&start, run.records)
}

/// One run on an open log, of either crate: the names in it are those of the module that calls it.
macro_rules! run {
    ($log:ident, $run:ident) => {{
        let metadata = MetaWithIdx {
            metadata: (),
            index: None,
        };
        let record = Record {
            metadata,
            value: $run.value,
        };
        let start = $run.clock.start();
        for _ in 0..$run.records {
            $log.append_record_with_contiguous_bytes(black_box(&record))
                .await
                .expect("there is room");
        }
        let append = per_record(&start, $run.records);
        let start = $run.clock.start();
        let mut read_count = 0;
        let mut records = std::pin::pin!($log.stream_unbounded());
        while let Some(record) = records.next().await {
            assert_eq!(black_box(&*record.value).len(), $run.value.len());
            read_count += 1;
        }
        let read = per_record(&start, $run.records);
        Times {
            append,
            read,
            read_count,
        }
    }};
}
pub(crate) use run;
