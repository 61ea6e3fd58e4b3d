//! Power cuts and failing calls, at every place of a workload.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Rec, append, by_chance, check, contents, every_crash_of, open, recs, small};
use laminarmq::test_util::faults::{Call, Fault, FaultEnv, Left};
use laminarmq::{
    AppendError, CrashPoint, FlushPolicy, IndexCache, Log, LogOptions, MemEnv, OpenError,
    SyncError, poll_ready,
};

const OPTIONS: LogOptions = LogOptions {
    initial_index: 1,
    segment_bytes: 900,
    auto_roll: true,
    record_bytes_max: 1 << 20,
    flush: FlushPolicy::OnRequest,
    index_cache: IndexCache::Recent,
    write_ahead: true,
};

/// What may be found after a crash.
#[derive(Debug, Clone)]
struct Expect {
    /// What the log held at some time since the last sync; the last one is what it holds now.
    versions: Vec<Vec<Rec>>,
    /// So many records of it are durable.
    durable: usize,
}

impl Expect {
    fn new() -> Self {
        Self {
            versions: vec![Vec::new()],
            durable: 0,
        }
    }

    fn now(&self) -> &Vec<Rec> {
        self.versions.last().unwrap()
    }

    fn settle(&mut self) {
        let now = self.now().clone();
        self.durable = now.len();
        self.versions = vec![now];
    }

    fn verify(&self, found: &[Rec], context: &str) {
        assert!(
            found.len() >= self.durable,
            "{context}: {} of {} left",
            found.len(),
            self.durable
        );
        assert_eq!(
            found[..self.durable],
            self.now()[..self.durable],
            "{context}"
        );
        let is_prefix = |version: &Vec<Rec>| version.starts_with(found);
        let keys = |records: &[Rec]| records.iter().map(|record| record.key).collect::<Vec<_>>();
        assert!(
            self.versions.iter().any(is_prefix),
            "{context}: {:?} is no prefix of one of {:?}",
            keys(found),
            self.versions
                .iter()
                .map(|version| keys(version))
                .collect::<Vec<_>>()
        );
    }
}

/// One step of the workload below. `Err` when an injected fault hit it.
fn step(log: &mut Log<MemEnv>, number: u64, expect: &mut Expect) -> Result<(), String> {
    let failed = |error: &dyn std::error::Error| Err(error.to_string());
    match number % 8 {
        0 | 1 | 3 | 6 => {
            let more = recs(number * 10..number * 10 + 1 + number % 5, 150);
            let mut next = expect.now().clone();
            next.extend(more.iter().cloned());
            match append(log, &more) {
                Ok(_) => expect.versions.push(next),
                Err(error) => {
                    // A stopped log may have taken a part of the batch, for which nobody was told an index.
                    if log.poisoned().is_some() {
                        expect.versions.insert(0, next);
                    }
                    return failed(&error);
                }
            }
        }
        2 | 5 => match poll_ready(log.sync()) {
            Ok(()) => expect.settle(),
            Err(error) => return failed(&error),
        },
        4 => {
            let Some(ticket) = log.sync_ticket() else {
                return Ok(());
            };
            match log.complete(ticket.run()) {
                Ok(durable) => {
                    assert_eq!(durable, log.end_index());
                    expect.settle();
                }
                Err(error) => return failed(&error),
            }
        }
        _ => {
            let held = expect.now().len() as u64;
            // Once above the durable index, once below, once across segments.
            let back = [1, 4, 9][usize::try_from(number / 8 % 3).unwrap()].min(held);
            let from = 1 + held - back;
            let kept = usize::try_from(from - 1).unwrap();
            let next = expect.now()[..kept].to_vec();
            expect.versions.push(next);
            let before = expect.durable;
            expect.durable = before.min(kept);
            match poll_ready(log.truncate_suffix(from)) {
                Ok(()) if kept < before => expect.settle(),
                Ok(()) => {}
                Err(error) => return failed(&error),
            }
        }
    }
    Ok(())
}

fn after_crash(disk: &MemEnv, expect: &Expect, context: &str) {
    let mut log = match poll_ready(Log::open_with(disk.clone(), OPTIONS)) {
        Ok(log) => log,
        Err(error) => panic!("{context}: {error}"),
    };
    let mut model = contents(&log);
    expect.verify(&model, context);
    check(&log, 1, &model);
    let more = recs(5000..5003, 100);
    append(&mut log, &more).unwrap();
    model.extend(more);
    drop(log);
    let log = open(disk.clone(), OPTIONS);
    assert_eq!(log.recovery().bytes_cut, 0, "{context}");
    check(&log, 1, &model);
}

fn every_crash(disk: &MemEnv, expect: &Expect, seed: u64, context: &str) {
    every_crash_of(disk, seed, context, |disk, context| {
        after_crash(disk, expect, context);
    });
}

#[test]
fn a_crash_between_any_two_steps() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), OPTIONS);
    let mut expect = Expect::new();
    for number in 0..64 {
        step(&mut log, number, &mut expect).unwrap();
        assert_eq!(log.durable_index(), 1 + expect.durable as u64);
        every_crash(&disk, &expect, number, &format!("after step {number}"));
    }
    assert!(log.segments().len() > 5 && disk.syncs() > 20);
}

/// Runs the workload until a fault hits it, or through where the log can do without what failed.
fn run_to_fault(fault: impl FnOnce(&MemEnv), context: &str) -> MemEnv {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), OPTIONS);
    let mut expect = Expect::new();
    fault(&disk);
    for number in 0..48 {
        let before = expect.now().clone();
        let Err(_) = step(&mut log, number, &mut expect) else {
            continue;
        };
        let context = format!("{context} in step {number}");
        if log.poisoned().is_none() {
            // The log is as it was, in memory and on disk, and goes on.
            check(&log, 1, &before);
            every_crash(&disk, &expect, number, &context);
            let mut retried = expect.clone();
            step(&mut log, number, &mut retried).unwrap();
            check(&log, 1, retried.now());
            every_crash(&disk, &retried, number, &context);
        } else {
            assert!(matches!(
                append(&mut log, &recs(0..1, 1)),
                Err(AppendError::Poisoned(_))
            ));
            assert!(matches!(
                poll_ready(log.sync()),
                Err(SyncError::Poisoned(_))
            ));
            assert!(log.sync_ticket().is_none());
            assert_eq!(
                log.durable_index().min(1 + expect.durable as u64),
                1 + expect.durable as u64
            );
            every_crash(&disk, &expect, number, &context);
        }
        return disk;
    }
    every_crash(&disk, &expect, 0, context);
    disk
}

#[test]
fn each_call_fails_once() {
    let calls = run_to_fault(|_| {}, "no fault").calls();
    assert!(calls > 60, "the workload makes {calls} calls");
    for call in 0..calls {
        run_to_fault(|disk| disk.fail_call(Some(call)), &format!("call {call}"));
    }
}

#[test]
fn each_sync_fails_once() {
    let syncs = run_to_fault(|_| {}, "no fault").syncs();
    assert!(syncs > 15, "the workload makes {syncs} syncs");
    for sync in 0..syncs {
        run_to_fault(|disk| disk.fail_sync(Some(sync)), &format!("sync {sync}"));
    }
}

#[test]
fn recovery_itself_may_be_interrupted() {
    for seed in 0..30 {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), OPTIONS);
        let mut expect = Expect::new();
        for number in 0..20 + seed {
            step(&mut log, number, &mut expect).unwrap();
        }
        let left = disk.crashed_copy(by_chance(seed));
        for fail_sync in [false, true] {
            for nth in 0.. {
                let disk = left.copy();
                if fail_sync {
                    disk.fail_sync(Some(nth));
                } else {
                    disk.fail_call(Some(nth));
                }
                match poll_ready(Log::open_with(disk.clone(), OPTIONS)) {
                    Ok(_) => break,
                    Err(OpenError::Io { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                let context = format!("seed {seed}, recovery failed at {nth}, syncs: {fail_sync}");
                every_crash(&disk, &expect, seed, &context);
            }
        }
    }
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 20));
    append(&mut log, &recs(0..3, 10)).unwrap();
    let ticket = log.sync_ticket().unwrap();
    disk.fail_sync(Some(0));
    let done = ticket.run();
    assert!(!done.is_ok());
    let poisoned = log.complete(done).unwrap_err();
    assert_eq!(log.poisoned(), Some(poisoned));
    assert_eq!(log.durable_index(), 1);
    let syncs = disk.syncs();
    poll_ready(log.sync()).unwrap_err();
    poll_ready(log.roll()).unwrap_err();
    poll_ready(log.truncate_suffix(1)).unwrap_err();
    append(&mut log, &recs(3..4, 10)).unwrap_err();
    assert_eq!(contents(&log), recs(0..3, 10), "it still reads");
    poll_ready(log.close()).unwrap_err();
    assert_eq!(disk.syncs(), syncs);
}

#[test]
fn a_ticket_from_before_a_failure_does_not_heal_the_log() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 20));
    append(&mut log, &recs(0..3, 10)).unwrap();
    let good = log.sync_ticket().unwrap().run();
    append(&mut log, &recs(3..5, 10)).unwrap();
    disk.fail_sync(Some(0));
    let bad = log.sync_ticket().unwrap().run();
    log.complete(bad).unwrap_err();
    log.complete(good).unwrap_err();
    assert_eq!(log.durable_index(), 1);
}

#[test]
fn a_ticket_covers_rolled_segments_and_their_names() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(400));
    let model = recs(0..20, 60);
    append(&mut log, &model).unwrap();
    let ticket = log.sync_ticket().unwrap();
    append(&mut log, &recs(20..30, 60)).unwrap();
    let durable = log.complete(ticket.run()).unwrap();
    assert_eq!(durable, 21);
    let log = open(disk.crashed_copy(|_| false), small(400));
    assert!(log.end_index() >= 21);
    assert_eq!(contents(&log)[..20], model);
}

#[test]
fn records_that_were_truncated_do_not_hide_the_next_segment() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 20));
    let old = recs(0..10, 30);
    append(&mut log, &old).unwrap();
    // On the media, but the log never learns of it.
    drop(log.sync_ticket().unwrap().run());
    poll_ready(log.truncate_suffix(6)).unwrap();
    poll_ready(log.roll()).unwrap();
    let new = recs(50..52, 30);
    append(&mut log, &new).unwrap();
    drop(log);
    // The cut is lost, what was written after it is not.
    let left = disk.crashed_copy(|point| match point {
        CrashPoint::Name { .. } | CrashPoint::Start => true,
        CrashPoint::Length { base_index, .. } | CrashPoint::Sector { base_index, .. } => {
            base_index == 6
        }
    });
    let mut want = old[..5].to_vec();
    want.extend(new);
    for round in 0..2 {
        let log = open(left.clone(), small(1 << 20));
        assert_eq!(log.recovery().bytes_cut > 0, round == 0);
        check(&log, 1, &want);
    }
}

#[test]
fn a_truncation_that_was_interrupted_does_not_come_back_after_opening() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 20));
    append(&mut log, &recs(0..3, 30)).unwrap();
    poll_ready(log.roll()).unwrap();
    append(&mut log, &recs(3..6, 30)).unwrap();
    poll_ready(log.sync()).unwrap();
    // The process dies between the removal of the second segment and the sync of the directory.
    disk.fail_sync(Some(0));
    poll_ready(log.truncate_suffix(2)).unwrap_err();
    drop(log);
    let mut log = open(disk.clone(), small(1 << 20));
    let mut want = contents(&log);
    assert_eq!(want, recs(0..3, 30));
    let new = recs(70..74, 30);
    append(&mut log, &new).unwrap();
    poll_ready(log.sync()).unwrap();
    want.extend(new);
    disk.crash();
    check(&open(disk, small(1 << 20)), 1, &want);
}

#[test]
fn a_segment_that_could_not_be_made_does_not_come_back_later() {
    let options = LogOptions {
        auto_roll: false,
        ..small(1 << 20)
    };
    let env = FaultEnv::new(MemEnv::new());
    let (disk, faults) = (env.inner().clone(), env.faults());
    let mut log = open(env, options);
    append(&mut log, &recs(0..6, 30)).unwrap();
    // The index, the names of the new files, and then their headers.
    faults.arm(Fault {
        left: Left::Nothing,
        ..Fault::nth(Call::Change, 3)
    });
    poll_ready(log.roll()).unwrap_err();
    assert_eq!(faults.counts().failed, 1);
    assert!(log.poisoned().is_none() && common::bases(&disk) == [1]);
    poll_ready(log.truncate_suffix(4)).unwrap();
    append(&mut log, &recs(10..20, 30)).unwrap();
    let mut model = recs(0..3, 30);
    model.extend(recs(10..20, 30));
    let synced_by_ticket = disk.copy();
    poll_ready(log.sync()).unwrap();
    drop(log);
    for kept in [false, true] {
        check(&open(disk.crashed_copy(|_| kept), options), 1, &model);
    }
    // Before that sync, the stray name is there if the media have it.
    let stray = synced_by_ticket.crashed_copy(|_| true);
    assert_eq!(common::bases(&stray), [1, 7]);
}

#[test]
fn a_footer_that_is_gone_though_cutting_it_failed_is_written_again() {
    let env = FaultEnv::new(MemEnv::new());
    let (disk, faults) = (env.inner().clone(), env.faults());
    let options = small(1 << 20);
    poll_ready(open(disk.clone(), options).close()).unwrap();
    let mut log = open(env, options);
    append(&mut log, &recs(0..1, 0)).unwrap();
    faults.arm(Fault {
        left: Left::All,
        ..Fault::nth(Call::Change, 0)
    });
    poll_ready(log.roll()).unwrap_err();
    assert_eq!(faults.counts().failed, 1);
    poll_ready(log.roll()).unwrap();
    poll_ready(log.close()).unwrap();
    let log = open(disk, options);
    assert!(log.recovery().is_clean(), "{:?}", log.recovery());
    check(&log, 1, &recs(0..1, 0));
}

#[test]
fn appends_between_rolls_make_one_call_each() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 20));
    append(&mut log, &recs(0..1, 10)).unwrap();
    let (calls, syncs) = (disk.calls(), disk.syncs());
    for number in 1..500 {
        append(&mut log, &recs(number * 10..number * 10 + 1, 10)).unwrap();
    }
    assert_eq!((disk.calls() - calls, disk.syncs() - syncs), (499, 0));
    append(&mut log, &recs(50_000..50_700, 10)).unwrap();
    assert_eq!(disk.calls() - calls, 500);
}

/// The media may have taken the name of the segment that a failed roll created, and not yet its removal. Its
/// header says what was durable then, which a truncation may have made untrue.
#[test]
fn a_segment_that_could_not_be_created_proves_nothing_after_a_truncation() {
    let options = LogOptions {
        auto_roll: false,
        ..small(1 << 20)
    };
    let model = recs(0..8, 20);
    let mut left = 0;
    for after in 0..8 {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        append(&mut log, &model).unwrap();
        poll_ready(log.sync()).unwrap();
        disk.fail_call(Some(after));
        if poll_ready(log.roll()).is_ok() {
            break;
        }
        disk.fail_call(None);
        poll_ready(log.truncate_suffix(3)).unwrap();
        // The name came back, with what had been written to the files or without.
        for with_bytes in [false, true] {
            let crashed = disk.crashed_copy(|point| match point {
                CrashPoint::Name { added, .. } => added,
                _ => with_bytes,
            });
            check(&open(crashed, options), 1, &model[..2]);
        }
        left += 1;
    }
    assert!(left > 2, "{left} rolls failed");
}
