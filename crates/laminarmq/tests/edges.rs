//! Exactly at a bound, and one past it: lengths, budgets, full segments, what a log says of itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Rec, append, as_rec, bases, changed, check, open, rec, recs, small, try_open};
use laminarmq::limits::STREAM_CHUNK_BYTES;
use laminarmq::{
    Append, AppendError, FlushPolicy, IndexCache, Log, LogOptions, MemEnv, Part, ReadError,
    poll_ready,
};

/// Bytes that a record takes in a store.
fn stored(record: &Rec) -> u64 {
    56 + record.value.len() as u64
}

fn write(log: &mut Log<MemEnv>, record: &Rec) {
    let value: &[&[u8]] = &[&record.value];
    let head = Append {
        term: record.term,
        kind: record.kind,
        flags: record.flags,
        key: record.key,
        timestamp: record.timestamp,
        value,
    };
    let writer = poll_ready(log.record_writer(head)).unwrap();
    poll_ready(writer.finish()).unwrap();
}

/// Every range with every budget at which one more record fits, and with the one just below.
#[test]
fn a_range_ends_with_the_last_record_that_fits() {
    let model = recs(0..12, 20);
    let mut log = open(MemEnv::new(), small(300));
    append(&mut log, &model).unwrap();
    assert!(log.segments().len() > 3);
    for from in 0..12 {
        for to in from + 1..=12 {
            let range = 1 + from as u64..1 + to as u64;
            let mut bytes = 0;
            for end in from + 1..=to {
                bytes += stored(&model[end - 1]);
                let more = if end == to { 1000 } else { stored(&model[end]) };
                for budget in [bytes, bytes + more - 1] {
                    let plan = poll_ready(log.plan(range.clone(), budget)).unwrap();
                    assert_eq!(
                        (plan.range(), plan.byte_len()),
                        (range.start..1 + end as u64, bytes),
                        "{range:?} within {budget}"
                    );
                    let read = poll_ready(log.read_range(range.clone(), budget)).unwrap();
                    let read: Vec<_> = read.iter().map(as_rec).collect();
                    assert_eq!(read, model[from..end], "{range:?} within {budget}");
                }
            }
        }
    }
}

/// Whether records come in one batch or one by one, a segment takes no more once it has its size.
#[test]
fn a_batch_fills_segments_as_single_appends_do() {
    let model = recs(0..12, 20);
    for limit in 128..600 {
        let mut want = vec![(1, 64)];
        for record in &model {
            let (base, bytes) = *want.last().unwrap();
            if bytes >= limit {
                let before: u64 = want.iter().map(|(_, bytes)| bytes - 64).sum();
                let count = (1..=model.len())
                    .find(|count| model[..*count].iter().map(stored).sum::<u64>() == before);
                want.push((1 + count.unwrap() as u64, 64 + stored(record)));
            } else {
                *want.last_mut().unwrap() = (base, bytes + stored(record));
            }
        }
        for batch in [1, 5, 12] {
            let mut log = open(MemEnv::new(), small(limit));
            for records in model.chunks(batch) {
                append(&mut log, records).unwrap();
            }
            let segments = log
                .segments()
                .map(|info| (info.base_index, info.store_bytes));
            assert_eq!(
                segments.collect::<Vec<_>>(),
                want,
                "{batch} at once, {limit}"
            );
        }
    }
}

#[test]
fn the_longest_value_is_read_as_a_whole_and_a_longer_one_piece_by_piece() {
    let options = LogOptions {
        record_bytes_max: 100,
        ..small(1 << 20)
    };
    let mut log = open(MemEnv::new(), options);
    let model = [rec(0, 100), rec(1, 101), rec(2, 100)];
    append(&mut log, &model[..1]).unwrap();
    check(&log, 1, &model[..1]);
    assert!(matches!(
        append(&mut log, &model[1..2]),
        Err(AppendError::TooLarge {
            bytes: 101,
            max: 100
        })
    ));
    // No length is too large for a writer, whether the value stands in the head or comes later.
    write(&mut log, &model[1]);
    append(&mut log, &model[2..]).unwrap();
    let refused = |error: ReadError| {
        assert!(
            matches!(
                error,
                ReadError::TooLarge {
                    index: 2,
                    bytes: 101,
                    max: 100
                }
            ),
            "{error}"
        );
    };
    refused(poll_ready(log.read(2)).unwrap_err());
    refused(log.reader().read(2).unwrap_err());
    // As the first record it is refused whatever follows it; behind another one the budget decides.
    for end in [3, 4] {
        for budget in [0, 1000] {
            refused(poll_ready(log.read_range(2..end, budget)).unwrap_err());
            refused(poll_ready(log.plan(2..end, budget)).unwrap_err());
        }
    }
    let all = poll_ready(log.read_range(1..4, 1000)).unwrap();
    assert_eq!(all.iter().map(as_rec).collect::<Vec<_>>(), model);
    refused(poll_ready(log.stream(2..).unwrap().next()).unwrap_err());
    let mut reader = poll_ready(log.record_reader(2)).unwrap();
    assert_eq!(
        poll_ready(reader.next_chunk()).unwrap().unwrap(),
        model[1].value
    );
}

/// The long record is the first one of its segment, behind a segment of short ones.
#[test]
fn a_long_record_in_the_next_segment_does_not_spoil_a_range() {
    let options = LogOptions {
        record_bytes_max: 100,
        ..small(1 << 20)
    };
    let mut log = open(MemEnv::new(), options);
    let model = [rec(0, 100), rec(1, 101)];
    append(&mut log, &model[..1]).unwrap();
    poll_ready(log.roll()).unwrap();
    write(&mut log, &model[1]);
    let all = poll_ready(log.read_range(1..3, 1000)).unwrap();
    assert_eq!(all.iter().map(as_rec).collect::<Vec<_>>(), model);
}

#[test]
fn records_in_several_chunks_are_read_one_by_one() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 30));
    let mut model = Vec::new();
    for (number, length) in (0..).zip([
        STREAM_CHUNK_BYTES,
        STREAM_CHUNK_BYTES + 1,
        10,
        3 * STREAM_CHUNK_BYTES + 5,
    ]) {
        let record = rec(number, length);
        write(&mut log, &record);
        model.push(record);
        let reader = log.reader();
        for (index, want) in (1..).zip(&model) {
            assert!(as_rec(&poll_ready(log.read(index)).unwrap()) == *want);
            assert!(as_rec(&reader.read(index).unwrap()) == *want);
        }
        // The footer names the last chunk, wherever it stands in its record.
        poll_ready(log.close()).unwrap();
        log = open(disk.clone(), small(1 << 30));
        assert!(log.recovery().is_clean());
        assert_eq!(log.recovery().bytes_scanned, 0, "{length} bytes");
    }
}

#[test]
fn keys_do_not_go_back_over_a_roll() {
    let mut log = open(MemEnv::new(), small(1 << 20));
    let model = recs(5..8, 10);
    append(&mut log, &model).unwrap();
    poll_ready(log.roll()).unwrap();
    assert!(matches!(
        append(&mut log, &recs(6..7, 10)),
        Err(AppendError::KeyWentBack {
            last: 70,
            given: 60
        })
    ));
    check(&log, 1, &model);
}

#[test]
fn a_log_says_what_it_was_opened_with_and_what_is_in_its_segments() {
    let options = LogOptions {
        auto_roll: false,
        record_bytes_max: 1000,
        flush: FlushPolicy::Every {
            records: Some(9),
            bytes: None,
            ms: None,
        },
        index_cache: IndexCache::Segments(2),
        write_ahead: false,
        ..small(500)
    };
    let mut log = open(MemEnv::new(), options);
    assert_eq!(*log.options(), options);
    let times =
        |log: &Log<MemEnv>| -> Vec<_> { log.segments().map(|info| info.max_timestamp).collect() };
    assert_eq!(times(&log), [None]);
    append(&mut log, &recs(0..1, 10)).unwrap();
    poll_ready(log.roll()).unwrap();
    assert_eq!(times(&log), [Some(1000), None]);
}

/// A clock that is far from zero when the log is opened: the milliseconds count from then.
#[test]
fn the_first_flush_by_time_waits_for_its_time() {
    let disk = MemEnv::new();
    disk.set_now_ms(1_000_000);
    let options = LogOptions {
        flush: FlushPolicy::Every {
            records: None,
            bytes: None,
            ms: Some(50),
        },
        ..small(1 << 20)
    };
    let mut log = open(disk.clone(), options);
    disk.set_now_ms(1_000_049);
    append(&mut log, &recs(0..1, 10)).unwrap();
    assert_eq!(log.durable_index(), 1);
    disk.set_now_ms(1_000_050);
    append(&mut log, &recs(1..2, 10)).unwrap();
    assert_eq!(log.durable_index(), 3);
}

/// Bytes that are no record, behind a segment that others follow: cut, and counted as that.
#[test]
fn bytes_that_are_cut_behind_any_segment_are_counted() {
    let model = recs(0..25, 40);
    let disk = common::stored(&model, small(700), false);
    for base in bases(&disk) {
        let torn = changed(&disk, base, Part::Store, |bytes| bytes.extend([1; 30]));
        let log = try_open(&torn, small(700)).unwrap();
        assert_eq!(log.recovery().bytes_cut, 30, "behind segment {base}");
        check(&log, 1, &model);
    }
}

#[test]
fn the_last_indices_are_read_like_any_others() {
    let options = LogOptions {
        initial_index: u64::MAX - 2,
        ..LogOptions::default()
    };
    let disk = MemEnv::new();
    let mut log = poll_ready(Log::open_with(disk.clone(), options)).unwrap();
    append(&mut log, &recs(0..2, 20)).unwrap();
    poll_ready(log.close()).unwrap();
    // From the files now: what was appended is not in memory any more.
    let log = poll_ready(Log::open_with(disk, options)).unwrap();
    assert_eq!(log.end_index(), u64::MAX);
    for index in [u64::MAX - 2, u64::MAX - 1] {
        assert_eq!(poll_ready(log.read(index)).unwrap().index, index);
    }
}
