//! The part of the conformance suite about records that are written and read piece by piece, and about
//! files that are replaced or written ahead.

use std::io::IoSlice;

use super::model::{Rec, append, as_rec, check, check_searches, open, rec, recs, small};
use crate::limits::STREAM_CHUNK_BYTES;
use crate::{Append, Log, LogEnv, LogFile, Part, ReadAt, RecordWriter, SegmentEnv, poll_ready};

/// Begins the record with the first bytes of its value.
fn begin<'a, E: SegmentEnv>(
    log: &'a mut Log<E>,
    record: &'a Rec,
    bytes: usize,
    piece: usize,
) -> RecordWriter<'a, E> {
    let head = Append {
        term: record.term,
        kind: record.kind,
        flags: record.flags,
        key: record.key,
        timestamp: record.timestamp,
        value: &[],
    };
    let mut writer = poll_ready(log.record_writer(head)).unwrap();
    for piece in record.value[..bytes].chunks(piece) {
        poll_ready(writer.write(piece)).unwrap();
    }
    assert_eq!(writer.value_len(), bytes as u64);
    writer
}

fn write<E: SegmentEnv>(log: &mut Log<E>, record: &Rec, piece: usize) -> u64 {
    let writer = begin(log, record, record.value.len(), piece);
    poll_ready(writer.finish()).unwrap()
}

/// The value chunk by chunk, and how many there are.
fn read_chunks<E: SegmentEnv>(log: &Log<E>, index: u64) -> (Vec<u8>, usize) {
    let mut reader = poll_ready(log.record_reader(index)).unwrap();
    let length = reader.info().length;
    let (mut value, mut chunks) = (Vec::new(), 0);
    while let Some(chunk) = poll_ready(reader.next_chunk()).unwrap() {
        value.extend_from_slice(&chunk);
        chunks += 1;
    }
    assert_eq!(value.len() as u64, length);
    (value, chunks)
}

fn check_streams<E: SegmentEnv>(log: &Log<E>, start: u64, model: &[Rec]) {
    for from in [0, model.len() / 2, model.len()] {
        let mut stream = log.stream(start + from as u64..).unwrap();
        for (at, want) in model.iter().enumerate().skip(from) {
            let record = poll_ready(stream.next()).unwrap().unwrap();
            let head = (record.index, record.term, record.kind, record.flags);
            assert_eq!(head, (start + at as u64, want.term, want.kind, want.flags));
            assert_eq!((record.key, record.timestamp), (want.key, want.timestamp));
            assert!(record.value == want.value);
        }
        assert!(poll_ready(stream.next()).unwrap().is_none());
    }
    log.stream(start + model.len() as u64 + 1..).unwrap_err();
    for (index, want) in (start..).zip(model) {
        assert!(read_chunks(log, index).0 == want.value);
    }
}

pub(super) fn records_in_several_chunks<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    const CHUNK: usize = STREAM_CHUNK_BYTES;
    let lengths = [
        0,
        1,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        3 * CHUNK,
        2 * CHUNK + 500,
    ];
    let mut log = open(env(), small(900_000));
    let mut model = Vec::new();
    for (number, (length, piece)) in
        (0..).zip(
            lengths
                .iter()
                .zip([1, 1, 7001, CHUNK, 100_000, 1 << 20, CHUNK - 1]),
        )
    {
        let record = rec(number, *length);
        assert_eq!(write(&mut log, &record, piece), number + 1);
        model.push(record);
        assert_eq!(
            read_chunks(&log, number + 1).1,
            length.div_ceil(CHUNK).max(1)
        );
    }
    append(&mut log, &recs(20..25, 30)).unwrap();
    model.extend(recs(20..25, 30));
    for round in 0..3 {
        check(&log, 1, &model);
        check_searches(&log, 1, &model);
        check_streams(&log, 1, &model);
        if round == 0 {
            drop(log);
        } else {
            poll_ready(log.close()).unwrap();
        }
        log = open(env(), small(900_000));
        assert_eq!(log.recovery().bytes_cut, 0);
        assert_eq!(log.recovery().is_clean(), round > 0);
    }
    // The end is cut before, between and behind long records, in segments that are complete.
    for from in [12, 8, 7, 6, 5, 3] {
        poll_ready(log.truncate_suffix(from)).unwrap();
        model.truncate(usize::try_from(from - 1).unwrap());
        check(&log, 1, &model);
        let record = rec(100 + from, CHUNK + 9);
        assert_eq!(write(&mut log, &record, 60_000), from);
        model.push(record);
        check_streams(&log, 1, &model);
        drop(log);
        log = open(env(), small(900_000));
        check(&log, 1, &model);
        poll_ready(log.truncate_suffix(from)).unwrap();
        model.pop();
    }
    check(&log, 1, &model);
}

pub(super) fn a_record_that_is_given_up_leaves_nothing<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let long = rec(50, 2 * STREAM_CHUNK_BYTES + 100);
    let mut model = recs(0..3, 40);
    let mut log = open(env(), small(1 << 20));
    append(&mut log, &model).unwrap();
    for (round, bytes) in (0..).zip([0, 10, STREAM_CHUNK_BYTES + 1, long.value.len()]) {
        for abort in [true, false] {
            let before = log.write_segment_bytes();
            let writer = begin(&mut log, &long, bytes, 50_000);
            if abort {
                poll_ready(writer.abort()).unwrap();
            } else {
                drop(writer);
            }
            assert_eq!(log.write_segment_bytes(), before);
            check(&log, 1, &model);
            let more = recs(round * 2 + 10..round * 2 + 11 + u64::from(abort), 5);
            if !abort {
                // The next change, whichever it is, does away with the rest.
                poll_ready(log.sync()).unwrap();
            }
            append(&mut log, &more[..1]).unwrap();
            model.extend_from_slice(&more[..1]);
            check(&log, 1, &model);
        }
    }
    drop(begin(&mut log, &long, long.value.len(), 50_000));
    poll_ready(log.close()).unwrap();
    let mut log = open(env(), small(1 << 20));
    assert!(log.recovery().is_clean(), "{:?}", log.recovery());
    check(&log, 1, &model);
    // The process goes while a record is being written.
    let writer = begin(&mut log, &long, long.value.len(), 50_000);
    drop(writer);
    drop(log);
    let log = open(env(), small(1 << 20));
    let chunk = STREAM_CHUNK_BYTES as u64 + 56;
    assert_eq!(log.recovery().bytes_cut, 2 * chunk);
    check(&log, 1, &model);
}

pub(super) fn a_sealed_store_is_replaced<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut first = env();
    let mut files = poll_ready(first.open(7)).unwrap();
    poll_ready(files.store.append(&mut [IoSlice::new(b"0123456789")])).unwrap();
    poll_ready(files.index.append(&mut [IoSlice::new(b"index")])).unwrap();
    for part in [Part::Store, Part::Index] {
        poll_ready(first.sync(7, &mut files, part)).unwrap();
    }
    poll_ready(first.sync_names()).unwrap();
    let mut held = files.store.reader();
    held.hold().unwrap();
    poll_ready(first.replace(7, &mut files, 6)).unwrap();
    assert_eq!((files.store.len(), files.index.len()), (6, 0));
    assert_eq!(held.read_at(0, 6).unwrap(), "012345");
    poll_ready(files.store.append(&mut [IoSlice::new(b"ab")])).unwrap();
    poll_ready(files.index.append(&mut [IoSlice::new(b"new")])).unwrap();
    assert_eq!(poll_ready(files.store.read_at(0, 8)).unwrap(), "012345ab");
    assert_eq!(files.store.reader().read_at(4, 4).unwrap(), "45ab");
    poll_ready(first.sync(7, &mut files, Part::Store)).unwrap();
    assert_eq!(poll_ready(first.list()).unwrap(), [7]);
    drop((files, first));
    let files = poll_ready(env().open(7)).unwrap();
    assert_eq!((files.store.len(), files.index.len()), (8, 3));
    assert_eq!(poll_ready(files.store.read_at(0, 8)).unwrap(), "012345ab");
}

pub(super) fn room_that_is_reserved_is_not_content<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut first = env();
    let mut files = poll_ready(first.open(7)).unwrap();
    let store = &mut files.store;
    poll_ready(store.append(&mut [IoSlice::new(b"abc")])).unwrap();
    poll_ready(store.reserve(5000)).unwrap();
    let reserves = store.reserved() > 3;
    assert_eq!(store.reserved(), if reserves { 5000 } else { 3 });
    assert_eq!(store.len(), 3);
    poll_ready(store.append(&mut [IoSlice::new(b"def"), IoSlice::new(b"gh")])).unwrap();
    assert_eq!(store.len(), 8);
    assert_eq!(poll_ready(store.read_at(2, 5)).unwrap(), "cdefg");
    poll_ready(store.reserve(10)).unwrap();
    poll_ready(store.append(&mut [IoSlice::new(&[7; 6000])])).unwrap();
    assert_eq!((store.len(), store.reserved()), (6008, 6008));
    poll_ready(store.reserve(7000)).unwrap();
    poll_ready(store.truncate(4)).unwrap();
    assert_eq!((store.len(), store.reserved()), (4, 4));
    poll_ready(store.reserve(100)).unwrap();
    poll_ready(store.append(&mut [IoSlice::new(b"xy")])).unwrap();
    store.rest();
    poll_ready(first.sync(7, &mut files, Part::Store)).unwrap();
    drop((files, first));
    // Whoever opens the file next finds the zeros.
    let files = poll_ready(env().open(7)).unwrap();
    let length = usize::try_from(files.store.len()).unwrap();
    assert_eq!(length, if reserves { 100 } else { 6 });
    let bytes = poll_ready(files.store.read_at(0, length)).unwrap();
    assert_eq!(bytes[..6], *b"abcdxy");
    assert!(bytes[6..].iter().all(|byte| *byte == 0));
}

/// Small syncs one after the other, so that blocks are written ahead, then the end of the process.
pub(super) fn blocks_written_ahead_never_show<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut model = Vec::new();
    let mut log = open(env(), small(1 << 20));
    for round in 0..3 {
        for number in round * 100..round * 100 + 12 {
            let before = log.write_segment_bytes();
            append(&mut log, &recs(number..number + 1, 30)).unwrap();
            model.extend(recs(number..number + 1, 30));
            let grown = log.write_segment_bytes() - before;
            assert_eq!(grown, 56 + model.last().unwrap().value.len() as u64);
            poll_ready(log.sync()).unwrap();
        }
        check(&log, 1, &model);
        if round == 1 {
            poll_ready(log.close()).unwrap();
        } else {
            drop(log);
        }
        log = open(env(), small(1 << 20));
        assert_eq!(log.recovery().bytes_cut, 0);
        assert_eq!(log.recovery().is_clean(), round == 1);
        check(&log, 1, &model);
    }
    poll_ready(log.truncate_suffix(20)).unwrap();
    model.truncate(19);
    let last = as_rec(&poll_ready(log.read(19)).unwrap());
    assert_eq!(Some(&last), model.last());
    check(&log, 1, &model);
}
