//! What was waited for, by many threads or by a policy, is on the media.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use common::{append, open, recs, small};
use laminarmq::{Append, FileEnv, FlushPolicy, Log, LogOptions, MemEnv, SharedLog, poll_ready};

const THREADS: u64 = 8;
const EACH: u64 = 60;

fn value(thread: u64, number: u64) -> Vec<u8> {
    format!("{thread}/{number}").into_bytes()
}

#[test]
fn what_was_waited_for_survives_a_power_cut_at_any_time() {
    let disk = MemEnv::new();
    let log = SharedLog::new(open(disk.clone(), small(3000)));
    let promised = Mutex::new(BTreeSet::new());
    thread::scope(|threads| {
        for thread in 0..THREADS {
            let (log, promised, disk) = (log.clone(), &promised, &disk);
            threads.spawn(move || {
                for number in 0..EACH {
                    let value = value(thread, number);
                    let record = Append {
                        value: &[&value],
                        ..Append::default()
                    };
                    let commit = log.append(record).unwrap();
                    let index = commit.wait().unwrap();
                    promised.lock().unwrap().insert((index, value));
                    if number % 20 == thread {
                        // What has been promised so far, first; then what a power cut would leave.
                        let so_far = promised.lock().unwrap().clone();
                        let left = open(disk.crashed_copy(|_| false), small(3000));
                        for (index, value) in so_far {
                            assert_eq!(poll_ready(left.read(index)).unwrap().value, value);
                        }
                    }
                }
            });
        }
    });
    let appended = THREADS * EACH;
    assert_eq!(promised.lock().unwrap().len() as u64, appended);
    assert_eq!(log.durable_index(), 1 + appended);
    assert!(disk.syncs() > 0);
    log.close().unwrap();
    assert!(open(disk, small(3000)).recovery().is_clean());
}

#[test]
fn on_files_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let log = SharedLog::new(Log::open(dir.path()).unwrap());
    thread::scope(|threads| {
        for thread in 0..4 {
            let log = &log;
            threads.spawn(move || {
                for number in 0..25 {
                    let value = value(thread, number);
                    let value = [&value[..]];
                    let record = Append {
                        value: &value,
                        ..Append::default()
                    };
                    log.append(record).unwrap().wait().unwrap();
                }
            });
        }
    });
    assert_eq!(log.durable_index(), 100);
    drop(log);
    let env = FileEnv::new(dir.path()).unwrap();
    let log = poll_ready(Log::open_with(env, LogOptions::default())).unwrap();
    assert_eq!(log.end_index(), 100);
}

#[test]
fn a_flush_policy_syncs_when_it_says() {
    let policy = |records, bytes, ms| LogOptions {
        flush: FlushPolicy::Every { records, bytes, ms },
        ..small(1 << 20)
    };
    let durable_after = |options: LogOptions, counts: &[u64]| {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        let mut durable = Vec::new();
        for (round, count) in (0..).zip(counts) {
            disk.set_now_ms(round * 10);
            append(
                &mut log,
                &recs(
                    round.unsigned_abs() * 100..round.unsigned_abs() * 100 + count,
                    44,
                ),
            )
            .unwrap();
            assert_eq!(
                open(disk.crashed_copy(|_| false), small(1 << 20)).end_index(),
                log.durable_index()
            );
            durable.push(log.durable_index() - 1);
        }
        durable
    };
    let none = None;
    assert_eq!(durable_after(small(1 << 20), &[5, 5, 5]), [0, 0, 0]);
    assert_eq!(
        durable_after(policy(Some(1), none, none), &[1, 2, 3]),
        [1, 3, 6]
    );
    assert_eq!(
        durable_after(policy(Some(4), none, none), &[3, 2, 3, 1]),
        [0, 5, 5, 9]
    );
    // 44 bytes and a header of 56.
    assert_eq!(
        durable_after(policy(none, Some(400), none), &[3, 1, 3, 2]),
        [0, 4, 4, 9]
    );
    assert_eq!(
        durable_after(policy(none, none, Some(20)), &[1, 1, 1, 1, 1]),
        [0, 0, 3, 3, 5]
    );
}
