//! Readers and syncs on other threads, beside the writer, on real files.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use common::{Rec, append, as_rec, contents, rec};
use laminarmq::{
    Append, FileEnv, Log, LogOptions, OpenFiles, ReadError, ReadPlan, SyncDone, SyncTicket,
    poll_ready,
};

fn model(count: u64) -> Vec<Rec> {
    (0..count)
        .map(|number| rec(number, usize::try_from(number * 13 % 900).unwrap()))
        .collect()
}

#[test]
fn plans_read_while_the_writer_appends_rolls_and_truncates() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 20_000,
        ..LogOptions::default()
    };
    let mut log = Log::open_dir(dir.path(), options).unwrap();
    let all = model(2000);
    let (plans, planned) = sync_channel::<(u64, ReadPlan<FileEnv>)>(8);
    let expected = all.clone();
    let reader = thread::spawn(move || {
        let (mut read, mut truncated) = (0, 0);
        for (start, plan) in planned {
            let from = usize::try_from(start).unwrap();
            match plan.read() {
                Ok(records) => {
                    let got: Vec<_> = records.iter().map(as_rec).collect();
                    assert_eq!(got, expected[from..from + got.len()]);
                    read += got.len();
                }
                Err(ReadError::Truncated) => truncated += 1,
                Err(error) => panic!("{error}"),
            }
        }
        (read, truncated)
    });
    for round in 0..200 {
        let held = usize::try_from(log.end_index()).unwrap();
        append(&mut log, &all[held..(held + 14).min(2000)]).unwrap();
        let start = log.end_index() * (round % 10) / 10;
        let plan = poll_ready(log.plan(start..u64::MAX, 30_000)).unwrap();
        plans.send((start, plan)).unwrap();
        if round % 7 == 6 {
            poll_ready(log.truncate_suffix(log.end_index() - 20)).unwrap();
        }
    }
    drop(plans);
    let (read, _) = reader.join().unwrap();
    assert!(read > 0);
    let held = contents(&log);
    assert_eq!(held, all[..held.len()]);
}

#[test]
fn another_thread_syncs_for_a_writer_that_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 20_000,
        ..LogOptions::default()
    };
    let mut log = Log::open_dir(dir.path(), options).unwrap();
    let all = model(1000);
    let (tickets, taken) = sync_channel::<SyncTicket<FileEnv>>(1);
    let (dones, done) = sync_channel::<SyncDone>(1);
    let flusher = thread::spawn(move || {
        for ticket in taken {
            dones.send(ticket.run()).unwrap();
        }
    });
    let mut in_flight = false;
    for record in all.chunks(3) {
        append(&mut log, record).unwrap();
        if !in_flight {
            tickets
                .send(log.sync_ticket().expect("something was appended"))
                .unwrap();
            in_flight = true;
        }
        if let Ok(done) = done.try_recv() {
            let up_to = done.up_to();
            assert_eq!(log.complete(done).unwrap(), up_to);
            in_flight = false;
        }
    }
    if in_flight {
        let done = done.recv().unwrap();
        log.complete(done).unwrap();
    }
    if let Some(ticket) = log.sync_ticket() {
        log.complete(ticket.run()).unwrap();
    }
    assert_eq!(log.durable_index(), 1000);
    drop(tickets);
    flusher.join().unwrap();
    drop(log);
    let log = Log::open_dir(dir.path(), options).unwrap();
    assert_eq!(contents(&log), all);
}

/// What a reader on another thread sees is what was appended, while the writer appends, rolls and cuts both
/// ends again and again.
#[test]
fn readers_beside_a_writer_that_cuts_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        segment_bytes: 8_000,
        ..LogOptions::default()
    };
    let env = FileEnv::sharing(dir.path(), &OpenFiles::at_most(3)).unwrap();
    let mut log = poll_ready(Log::open_with(env, options)).unwrap();
    let done = AtomicBool::new(false);
    // A record says its index and which writing of that index it is.
    let value = |index: u64, round: u64| {
        let length = usize::try_from(index * 7 % 300).unwrap() + 16;
        let mut value = vec![round.to_le_bytes()[0]; length];
        value[..8].copy_from_slice(&index.to_le_bytes());
        value[8..16].copy_from_slice(&round.to_le_bytes());
        value
    };
    let check = |index: u64, bytes: &[u8]| -> u64 {
        let round = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
        assert!(
            bytes == value(index, round),
            "record {index} of round {round}"
        );
        round
    };
    let read = thread::scope(|threads| {
        let mut readers = Vec::new();
        for number in 0..3u64 {
            let (reader, done) = (log.reader(), &done);
            readers.push(threads.spawn(move || {
                let mut read = 0u64;
                let mut from = 0;
                while !done.load(Ordering::Acquire) {
                    let (start, end) = (reader.start_index(), reader.end_index());
                    from = if (start..end).contains(&from) {
                        from
                    } else {
                        start
                    };
                    match number {
                        0 => match reader.read(from) {
                            Ok(record) => {
                                check(record.index, &record.value);
                                read += 1;
                            }
                            Err(ReadError::OutOfBounds(_) | ReadError::Truncated) => {}
                            Err(error) => panic!("{error}"),
                        },
                        1 => match reader.read_range(from..end, 5_000) {
                            Ok(records) => {
                                // Together they were in the log at one time: rounds never go down.
                                let mut last = 0;
                                for (record, index) in records.iter().zip(from..) {
                                    assert_eq!(record.index, index);
                                    let round = check(index, &record.value);
                                    assert!(round >= last, "{index}: {round} after {last}");
                                    last = round;
                                    read += 1;
                                }
                            }
                            Err(ReadError::OutOfBounds(_) | ReadError::Truncated) => {}
                            Err(error) => panic!("{error}"),
                        },
                        _ => {
                            let Ok(mut stream) = reader.stream(from..) else {
                                continue;
                            };
                            loop {
                                match stream.next() {
                                    Ok(Some(record)) => {
                                        check(record.index, record.value);
                                        read += 1;
                                    }
                                    Ok(None) | Err(ReadError::Truncated) => break,
                                    Err(ReadError::OutOfBounds(_)) => break,
                                    // The start was cut, and the file is gone.
                                    Err(ReadError::Io { .. }) if reader.start_index() > start => {
                                        break;
                                    }
                                    Err(error) => panic!("{error}"),
                                }
                            }
                        }
                    }
                    from += 3;
                }
                read
            }));
        }
        for round in 0..400u64 {
            for _ in 0..20 {
                let index = log.end_index();
                let value = value(index, round);
                let record = Append {
                    value: &[&value],
                    ..Append::default()
                };
                assert_eq!(poll_ready(log.append(record)).unwrap(), index);
            }
            let held = log.end_index() - log.start_index();
            match round % 9 {
                4 => poll_ready(log.truncate_suffix(log.end_index() - held.min(70))).unwrap(),
                6 => poll_ready(log.truncate_prefix(log.start_index() + held / 3)).unwrap(),
                7 => poll_ready(log.sync()).unwrap(),
                _ => {}
            }
        }
        done.store(true, Ordering::Release);
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(read.iter().all(|read| *read > 100), "{read:?}");
}
