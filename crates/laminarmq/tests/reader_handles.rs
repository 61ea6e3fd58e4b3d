//! Handles that read beside the writer: they see what it did, and never half of a truncation.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
mod hooked;

use std::sync::{Arc, Mutex};

use common::{Rec, append, as_rec, check, open, recs, small};
use hooked::Hooked;
use laminarmq::{Log, LogEnv, LogReader, MemEnv, ReadError, poll_ready};

fn range<E: LogEnv>(reader: &LogReader<E>) -> Vec<Rec> {
    let all = reader.start_index()..reader.end_index();
    let records = reader.read_range(all, u64::MAX).unwrap();
    records.iter().map(as_rec).collect()
}

fn streamed<E: LogEnv>(reader: &LogReader<E>) -> Vec<Rec> {
    let mut stream = reader.stream(..).unwrap();
    let mut found = Vec::new();
    while let Some(record) = stream.next().unwrap() {
        found.push(Rec {
            term: record.term,
            kind: record.kind,
            flags: record.flags,
            key: record.key,
            timestamp: record.timestamp,
            value: record.value.to_vec(),
        });
    }
    found
}

/// What a handle answers, compared with the model.
fn agrees<E: LogEnv>(reader: &LogReader<E>, start: u64, model: &[Rec]) {
    let end = start + model.len() as u64;
    assert_eq!((reader.start_index(), reader.end_index()), (start, end));
    assert_eq!(range(reader), model);
    assert_eq!(streamed(reader), model);
    for (index, want) in (start..).zip(model) {
        assert_eq!(as_rec(&reader.read(index).unwrap()), *want);
        let info = reader.entry(index).unwrap();
        assert_eq!(
            (info.index, info.key, info.term),
            (index, want.key, want.term)
        );
        let holder = reader.last_with_key_at_most(want.key).unwrap();
        assert_eq!(holder.map(|info| info.index), Some(index));
        let found = reader.first_at_or_after_time(want.timestamp).unwrap();
        let first = model
            .iter()
            .position(|record| record.timestamp >= want.timestamp);
        assert_eq!(
            found.map(|info| info.index),
            first.map(|at| start + at as u64)
        );
    }
    for outside in [start.wrapping_sub(1), end] {
        assert!(matches!(
            reader.read(outside),
            Err(ReadError::OutOfBounds(_))
        ));
        assert!(matches!(
            reader.entry(outside),
            Err(ReadError::OutOfBounds(_))
        ));
    }
}

#[test]
fn a_handle_sees_every_change_of_its_log() {
    let options = small(700);
    let disk = MemEnv::new();
    let mut log: Log<MemEnv> = open(disk, options);
    let reader = log.reader();
    agrees(&reader, 1, &[]);
    let model = recs(0..40, 40);
    append(&mut log, &model[..7]).unwrap();
    agrees(&reader, 1, &model[..7]);
    append(&mut log, &model[7..30]).unwrap();
    assert!(log.segments().len() > 3);
    agrees(&reader, 1, &model[..30]);
    let other = reader.clone();
    agrees(&other, 1, &model[..30]);
    assert_eq!(reader.durable_index(), 1);
    poll_ready(log.sync()).unwrap();
    assert_eq!(reader.durable_index(), 31);
    poll_ready(log.truncate_suffix(12)).unwrap();
    assert_eq!(reader.durable_index(), 12);
    agrees(&reader, 1, &model[..11]);
    append(&mut log, &model[11..]).unwrap();
    agrees(&reader, 1, &model);
    // Inside a segment, and at a base of one.
    poll_ready(log.truncate_prefix(9)).unwrap();
    agrees(&reader, 9, &model[8..]);
    let base = log.segments().nth(2).unwrap().base_index;
    poll_ready(log.truncate_prefix(base)).unwrap();
    agrees(&reader, base, &model[usize::try_from(base).unwrap() - 1..]);
    poll_ready(log.reset(500)).unwrap();
    agrees(&reader, 500, &[]);
    append(&mut log, &model[..3]).unwrap();
    agrees(&reader, 500, &model[..3]);
    drop((log, reader));
    agrees(&other, 500, &model[..3]);
}

/// A log whose tail is exchanged within the next read that a handle makes.
struct Exchange {
    env: Hooked,
    log: Arc<Mutex<Log<Hooked>>>,
    old: Vec<Rec>,
    new: Vec<Rec>,
}

impl Exchange {
    fn new() -> Self {
        let env = Hooked::default();
        let mut log = open(env.clone(), small(300));
        let old = recs(0..12, 40);
        append(&mut log, &old).unwrap();
        assert!(log.segments().len() > 3);
        // Of the same lengths, so that every position fits.
        let new = old.iter().map(|record| Rec {
            term: 99,
            value: record.value.iter().map(|byte| !byte).collect(),
            ..record.clone()
        });
        Self {
            env,
            log: Arc::new(Mutex::new(log)),
            new: new.collect(),
            old,
        }
    }

    fn reader(&self) -> LogReader<Hooked> {
        self.log.lock().unwrap().reader()
    }

    fn exchange_at_next_read(&self) {
        let (log, new) = (Arc::clone(&self.log), self.new.clone());
        let mut once = true;
        self.env.on_read.set(move || {
            if std::mem::take(&mut once) {
                let mut log = log.lock().unwrap();
                poll_ready(log.truncate_suffix(1)).unwrap();
                append(&mut log, &new).unwrap();
            }
        });
    }
}

#[test]
fn a_range_is_never_old_at_its_beginning_and_new_at_its_end() {
    let log = Exchange::new();
    let reader = log.reader();
    assert_eq!(range(&reader), log.old);
    log.exchange_at_next_read();
    assert_eq!(range(&reader), log.new);
    check(&log.log.lock().unwrap(), 1, &log.new);
}

#[test]
fn a_stream_ends_with_an_error_once_the_log_was_truncated() {
    let log = Exchange::new();
    let reader = log.reader();
    let mut stream = reader.stream(..).unwrap();
    for want in &log.old[..2] {
        let found = stream.next().unwrap().unwrap();
        assert_eq!((found.term, found.value), (want.term, &want.value[..]));
    }
    log.exchange_at_next_read();
    let mut found = 2;
    let error = loop {
        match stream.next() {
            Ok(Some(record)) => assert_eq!(record.term, log.old[found].term),
            Ok(None) => panic!("a stream of a truncated log came to its end"),
            Err(error) => break error,
        }
        found += 1;
    };
    assert!(matches!(error, ReadError::Truncated), "{error}");
    assert!(
        matches!(stream.next(), Err(ReadError::Truncated)),
        "for good"
    );
    assert_eq!(streamed(&reader), log.new, "a new stream begins anew");
}

#[test]
fn one_record_is_the_old_one_or_the_new_one() {
    for at in [0, 5, 11] {
        let log = Exchange::new();
        let reader = log.reader();
        log.exchange_at_next_read();
        let found = as_rec(&reader.read(1 + at as u64).unwrap());
        assert!(found == log.old[at] || found == log.new[at]);
        assert_eq!(as_rec(&reader.read(1 + at as u64).unwrap()), log.new[at]);
    }
}
