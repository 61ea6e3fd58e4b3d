//! Heap allocations of the steady state: a constant for each call, none for each record.
//!
//! Calls of 64 and of 640 records are compared; what a call takes besides must not grow with the records.

use allocation_counter::{AllocationInfo, measure};
use laminarmq::{Append, Log, poll_ready};

/// Lengths of values, in bytes: copied beside their headers, and handed to the file where they stand.
const VALUE_BYTES: [usize; 4] = [12, 1120, 2940, 11760];
/// Records of a short call and of a long one.
const CALLS: [usize; 2] = [64, 640];
/// Calls that are measured, after as many that let the log's memory find its size.
const REPEATS: usize = 20;
/// Most allocations of one call, on average over [`REPEATS`]: it may make its result's buffers, and index
/// entries that wait in memory may get more room.
const CEILING: f64 = 4.0;

/// Allocations per call, of calls that append or read `count` records.
fn per_call(count: usize, mut call: impl FnMut(usize)) -> f64 {
    let all = |call: &mut dyn FnMut(usize)| (0..REPEATS).for_each(|_| call(count));
    all(&mut call);
    let AllocationInfo { count_total, .. } = measure(|| all(&mut call));
    count_total as f64 / REPEATS as f64
}

/// Holds the averages of short and long calls against the ceiling and each other.
fn check(what: &str, averages: [f64; 2]) {
    let [short, long] = averages;
    assert!(
        short <= CEILING && long <= CEILING,
        "{what}: {short} allocations per call of {} records, {long} per call of {}; at most {CEILING}",
        CALLS[0],
        CALLS[1],
    );
    // One per record would be a difference of 576; growing a buffer by doubling would be 3 or 4.
    assert!(
        long - short < 2.0,
        "{what}: {short} allocations per short call, {long} per long one"
    );
}

fn with_log(value_bytes: usize, run: impl FnOnce(&mut Log, &[Append<'_>])) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut log = Log::open(dir.path()).expect("a new log opens");
    let value = vec![7; value_bytes];
    let pieces = [&value[..]];
    let record = Append {
        value: &pieces,
        ..Append::default()
    };
    run(&mut log, &vec![record; CALLS[1]]);
}

#[test]
fn the_count_counts() {
    let average = per_call(64, |count| {
        for i in 0..count {
            std::hint::black_box(Box::new(i));
        }
    });
    assert_eq!(average, 64.0);
}

#[test]
#[should_panic(expected = "64 allocations per call of 64 records")]
fn one_allocation_per_record_is_too_many() {
    check("boxes", [64.0, 640.0]);
}

#[test]
fn a_batch_append_allocates_nothing_per_record() {
    for value_bytes in VALUE_BYTES {
        with_log(value_bytes, |log, records| {
            let averages = CALLS.map(|count| {
                per_call(count, |count| {
                    poll_ready(log.append_many(&records[..count])).unwrap();
                })
            });
            check(&format!("batches, {value_bytes} bytes"), averages);
        });
    }
}

#[test]
fn a_single_append_of_a_short_value_allocates_nothing() {
    for value_bytes in [12, 1120] {
        with_log(value_bytes, |log, records| {
            let average = per_call(640, |count| {
                for record in &records[..count] {
                    poll_ready(log.append(*record)).unwrap();
                }
            });
            // Index entries that wait in memory may get more room.
            assert!(average <= 1.0, "{value_bytes} bytes: {average} per 640");
        });
    }
}

#[test]
fn a_range_read_allocates_nothing_per_record() {
    for value_bytes in VALUE_BYTES {
        with_log(value_bytes, |log, records| {
            poll_ready(log.append_many(records)).unwrap();
            let averages = CALLS.map(|count| {
                per_call(count, |count| {
                    let end = u64::try_from(count).unwrap();
                    let read = poll_ready(log.read_range(0..end, u64::MAX)).unwrap();
                    assert_eq!(read.len(), count);
                })
            });
            check(&format!("ranges, {value_bytes} bytes"), averages);
        });
    }
}

#[test]
fn a_stream_allocates_for_each_window_and_nothing_per_record() {
    /// Bytes that a stream reads at once.
    const WINDOW: usize = 256 << 10;
    for value_bytes in VALUE_BYTES {
        with_log(value_bytes, |log, records| {
            poll_ready(log.append_many(records)).unwrap();
            let average = per_call(CALLS[1], |count| {
                let mut stream = log.stream(..).unwrap();
                let mut seen = 0;
                while poll_ready(stream.next()).unwrap().is_some() {
                    seen += 1;
                }
                assert_eq!(seen, count);
            });
            // A window ends with the last record that is whole in it.
            let stored = 56 + value_bytes;
            let windows = (CALLS[1] * stored).div_ceil(WINDOW - stored);
            // The buffer, and the futures that fill it.
            assert!(
                average <= 3.0 * windows as f64,
                "{value_bytes} bytes: {average} allocations, {windows} windows"
            );
        });
    }
}

#[test]
fn a_read_of_one_record_allocates_its_buffer_alone() {
    for value_bytes in VALUE_BYTES {
        with_log(value_bytes, |log, records| {
            poll_ready(log.append_many(records)).unwrap();
            let average = per_call(CALLS[0], |count| {
                for index in 0..u64::try_from(count).unwrap() {
                    poll_ready(log.read(index)).unwrap();
                }
            });
            assert!(
                average <= CALLS[0] as f64,
                "{value_bytes} bytes: {average} for 64"
            );
        });
    }
}
