//! The log by itself, on files in a temporary directory: nothing is synced, reads come from the page cache.
//!
//! For numbers beside the machine's own limit see `log-compare` in `bench/`.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use laminarmq::{Append, Log, poll_ready};
use tempfile::TempDir;

/// Lengths of the values, in bytes.
const VALUE_BYTES: [usize; 6] = [12, 140, 560, 1120, 2940, 11760];
const HEADER_BYTES: usize = 56;
const BATCH: usize = 64;
/// Bytes of a log that is read, and of what is appended to a log before it makes place for a new one.
const LOG_BYTES: usize = 32 << 20;
const RANGE_BYTES: u64 = 1 << 20;

/// A log that is gone with its directory.
struct Temporary {
    log: Log,
    _dir: TempDir,
}

impl Temporary {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = Log::open(dir.path()).expect("a new log opens");
        Self { log, _dir: dir }
    }

    fn filled(value: &[u8], count: usize) -> Self {
        let mut new = Self::new();
        let pieces = [value];
        let batch = [record(&pieces); BATCH];
        for _ in 0..count / BATCH {
            poll_ready(new.log.append_many(&batch)).expect("the disk has room");
        }
        new
    }
}

fn record<'a>(pieces: &'a [&'a [u8]]) -> Append<'a> {
    Append {
        value: pieces,
        ..Append::default()
    }
}

/// How many records of values with that length make [`LOG_BYTES`], in whole batches.
fn records_of(value_bytes: usize) -> usize {
    LOG_BYTES / (value_bytes + HEADER_BYTES) / BATCH * BATCH
}

/// Runs `work` on values of each length; a run is of `elements` records.
fn for_each_length(
    criterion: &mut Criterion,
    name: &str,
    elements: impl Fn(usize) -> usize,
    work: impl Fn(&mut BenchmarkGroup<'_, WallTime>, BenchmarkId, &[u8]),
) {
    let mut group = criterion.benchmark_group(name);
    for value_bytes in VALUE_BYTES {
        group.throughput(Throughput::Elements(elements(value_bytes) as u64));
        let value: Vec<u8> = (0..=250).cycle().take(value_bytes).collect();
        work(&mut group, BenchmarkId::from_parameter(value_bytes), &value);
    }
    group.finish();
}

/// As many calls as fill a log; making and removing it is not in the time.
fn append(criterion: &mut Criterion) {
    for_each_length(criterion, "append one", records_of, |group, id, value| {
        let pieces = [value];
        group.bench_function(id, |bencher| {
            let run = |new: &mut Temporary| {
                for _ in 0..records_of(value.len()) {
                    let record = record(black_box(&pieces));
                    black_box(poll_ready(new.log.append(record)).expect("the disk has room"));
                }
            };
            bencher.iter_batched_ref(Temporary::new, run, BatchSize::PerIteration);
        });
    });
}

fn append_batch(criterion: &mut Criterion) {
    for_each_length(criterion, "append 64", records_of, |group, id, value| {
        let pieces = [value];
        let batch = [record(&pieces); BATCH];
        group.bench_function(id, |bencher| {
            let run = |new: &mut Temporary| {
                for _ in 0..records_of(value.len()) / BATCH {
                    let appended = new.log.append_many(black_box(&batch));
                    black_box(poll_ready(appended).expect("the disk has room"));
                }
            };
            bencher.iter_batched_ref(Temporary::new, run, BatchSize::PerIteration);
        });
    });
}

fn read_range(criterion: &mut Criterion) {
    for_each_length(criterion, "read range", records_of, |group, id, value| {
        let filled = Temporary::filled(value, records_of(value.len()));
        let log = &filled.log;
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let mut next = log.start_index();
                while next < log.end_index() {
                    let records = poll_ready(log.read_range(next..log.end_index(), RANGE_BYTES));
                    let records = black_box(records.expect("undamaged"));
                    next += records.len() as u64;
                }
            });
        });
    });
}

fn stream(criterion: &mut Criterion) {
    for_each_length(criterion, "stream", records_of, |group, id, value| {
        let filled = Temporary::filled(value, records_of(value.len()));
        let log = &filled.log;
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let mut records = log.stream(..).expect("from its start");
                while let Some(record) = poll_ready(records.next()).expect("undamaged") {
                    black_box(record.value);
                }
            });
        });
    });
}

fn read_random(criterion: &mut Criterion) {
    for_each_length(
        criterion,
        "read random",
        |_| 1,
        |group, id, value| {
            let filled = Temporary::filled(value, records_of(value.len()));
            let log = &filled.log;
            let mut state = 1u64;
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    // A full period, and its upper half looks random enough to miss what was read last.
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let index = (state >> 32) % log.end_index();
                    black_box(poll_ready(log.read(index)).expect("undamaged"))
                });
            });
        },
    );
}

criterion_group!(log, append, append_batch, stream, read_range, read_random);
criterion_main!(log);
