//! Readers and syncs on other threads, beside the writer, on real files.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::mpsc::sync_channel;
use std::thread;

use common::{Rec, append, as_rec, contents, rec};
use laminarmq::{FileEnv, Log, LogOptions, ReadError, ReadPlan, SyncDone, SyncTicket, poll_ready};

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
