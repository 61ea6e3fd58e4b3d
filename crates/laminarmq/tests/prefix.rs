//! Cutting the start and starting anew, with every call failing and the power going at every step.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{
    Rec, append, bases, check, check_searches, contents, every_crash_of, open, recs, small,
    try_open,
};
use laminarmq::retention::{self, Policy};
use laminarmq::{
    FileEnv, FlushPolicy, IndexCache, LogOptions, MemEnv, OpenError, Part, ReadError, SegmentEnv,
    TruncateError, poll_ready,
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

const COUNT: u64 = 30;

/// `COUNT` records in several segments, the last ones not durable.
fn filled(disk: &MemEnv) -> laminarmq::Log<MemEnv> {
    let mut log = open(disk.clone(), OPTIONS);
    append(&mut log, &recs(0..COUNT - 4, 150)).unwrap();
    poll_ready(log.sync()).unwrap();
    append(&mut log, &recs(COUNT - 4..COUNT, 150)).unwrap();
    assert!(log.segments().len() > 5);
    log
}

fn model_from(start: u64) -> Vec<Rec> {
    recs(0..COUNT, 150).split_off(usize::try_from(start - 1).unwrap())
}

#[test]
fn the_start_may_be_any_record_and_is_right_after_reopening() {
    let all = filled(&MemEnv::new());
    let bases: Vec<u64> = all.segments().map(|info| info.base_index).collect();
    for start in 1..=COUNT + 1 {
        let disk = MemEnv::new();
        let mut log = filled(&disk);
        poll_ready(log.truncate_prefix(start)).unwrap();
        let mut model = model_from(start);
        check(&log, start, &model);
        check_searches(&log, start, &model);
        let holder = *bases.iter().rfind(|base| **base <= start).unwrap();
        assert_eq!(log.segments().next().unwrap().base_index, holder);
        assert_eq!(disk.start_file().is_some(), !bases.contains(&start));
        for close in [false, true] {
            if close {
                poll_ready(log.close()).unwrap();
            } else {
                drop(log);
            }
            log = open(disk.clone(), OPTIONS);
            assert_eq!(log.recovery().is_clean(), close);
            check(&log, start, &model);
            check_searches(&log, start, &model);
        }
        // It goes on as ever, through both ends.
        append(&mut log, &recs(40..48, 150)).unwrap();
        model.extend(recs(40..48, 150));
        check(&log, start, &model);
        let from = (COUNT + 4).max(start);
        poll_ready(log.truncate_suffix(from)).unwrap();
        model.truncate(usize::try_from(from - start).unwrap());
        check(&log, start, &model);
        poll_ready(log.truncate_suffix(start)).unwrap();
        check(&log, start, &[]);
        append(&mut log, &recs(50..52, 10)).unwrap();
        drop(log);
        let log = open(disk, OPTIONS);
        check(&log, start, &recs(50..52, 10));
        check_searches(&log, start, &recs(50..52, 10));
    }
}

#[test]
fn starts_that_are_reached_already_or_lie_behind_the_end() {
    let disk = MemEnv::new();
    let mut log = filled(&disk);
    poll_ready(log.truncate_prefix(8)).unwrap();
    let (calls, syncs) = (disk.calls(), disk.syncs());
    for index in [0, 1, 7, 8] {
        poll_ready(log.truncate_prefix(index)).unwrap();
    }
    assert_eq!((disk.calls(), disk.syncs()), (calls, syncs));
    let refused = poll_ready(log.truncate_prefix(COUNT + 2));
    assert!(matches!(refused, Err(TruncateError::OutOfBounds(_))));
    assert!(matches!(
        poll_ready(log.truncate_suffix(7)),
        Err(TruncateError::OutOfBounds(_))
    ));
    assert!(matches!(
        poll_ready(log.read(7)),
        Err(ReadError::OutOfBounds(_))
    ));
    check(&log, 8, &model_from(8));
}

#[test]
fn a_segment_whose_records_are_all_gone_goes_once_another_follows() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 20));
    append(&mut log, &recs(0..5, 30)).unwrap();
    poll_ready(log.truncate_prefix(6)).unwrap();
    check(&log, 6, &[]);
    assert_eq!(bases(&disk), [1]);
    poll_ready(log.roll()).unwrap();
    append(&mut log, &recs(5..8, 30)).unwrap();
    check(&log, 6, &recs(5..8, 30));
    check_searches(&log, 6, &recs(5..8, 30));
    let copy = disk.copy();
    check(&open(copy.clone(), OPTIONS), 6, &recs(5..8, 30));
    assert_eq!(bases(&copy), [6]);
    poll_ready(log.truncate_prefix(6)).unwrap();
    assert_eq!(bases(&disk), [6]);
    check(&log, 6, &recs(5..8, 30));
}

/// Runs `change` with each call and then each sync failing, and cuts the power after each of them. `found`
/// judges what is there then: whether `change` returned, the start, and the records.
fn matrix(
    change: impl Fn(&mut laminarmq::Log<MemEnv>) -> Result<(), TruncateError>,
    found: impl Fn(bool, u64, &[Rec], &str),
) {
    for fail_sync in [false, true] {
        for nth in 0.. {
            let disk = MemEnv::new();
            let mut log = filled(&disk);
            if fail_sync {
                disk.fail_sync(Some(nth));
            } else {
                disk.fail_call(Some(nth));
            }
            let result = change(&mut log);
            let done = result.is_ok();
            let context = format!("call {nth} failed, sync {fail_sync}, done {done}");
            if let Err(TruncateError::StartFile { .. }) = result {
                let is_unchanged = contents(&log) == model_from(log.start_index());
                assert!(is_unchanged, "{context}");
            }
            assert_eq!(
                log.poisoned().is_some(),
                matches!(result, Err(TruncateError::Io { .. })),
                "{context}: {result:?}"
            );
            disk.fail_call(None);
            disk.fail_sync(None);
            every_crash_of(&disk, nth, &context, |disk, context| {
                // The open that finishes the work may be cut off as well.
                let mut steps = Vec::new();
                let steps_of_open = if context.ends_with("all lost") { 12 } else { 0 };
                for step in 0..steps_of_open {
                    let copy = disk.copy();
                    if step % 2 == 0 {
                        copy.fail_call(Some(step / 2));
                    } else {
                        copy.fail_sync(Some(step / 2));
                    }
                    if try_open(&copy, OPTIONS).is_err() {
                        steps.push(copy.crashed_copy(|_| false));
                        steps.push(copy.crashed_copy(|_| true));
                    }
                }
                steps.push(disk.copy());
                for disk in steps {
                    let mut log = try_open(&disk, OPTIONS)
                        .unwrap_or_else(|error| panic!("{context}: {error}"));
                    let (start, mut model) = (log.start_index(), contents(&log));
                    found(done, start, &model, context);
                    check(&log, start, &model);
                    append(&mut log, &recs(70..73, 100)).unwrap();
                    model.extend(recs(70..73, 100));
                    poll_ready(log.sync()).unwrap();
                    disk.crash();
                    check(&open(disk, OPTIONS), start, &model);
                }
            });
            if done {
                break;
            }
        }
    }
}

#[test]
fn a_truncated_start_survives_every_crash() {
    let bases: Vec<u64> = filled(&MemEnv::new())
        .segments()
        .map(|info| info.base_index)
        .collect();
    for index in [2, bases[1], bases[3], bases[3] + 1, COUNT - 1, COUNT + 1] {
        matrix(
            |log| poll_ready(log.truncate_prefix(index)),
            |done, start, records, context| {
                let allowed = start == 1 && !done
                    || start == index
                    || !done && start < index && bases.contains(&start);
                assert!(allowed, "{context}: starts at {start}");
                let all = model_from(start);
                assert!(all.starts_with(records), "{context}");
                let durable = (COUNT - 4).max(if done { index - 1 } else { 0 });
                let end = start - 1 + records.len() as u64;
                assert!(end >= durable, "{context}: ends at {end}");
            },
        );
    }
}

#[test]
fn two_truncations_in_a_row_survive_every_crash() {
    let bases: Vec<u64> = filled(&MemEnv::new())
        .segments()
        .map(|info| info.base_index)
        .collect();
    // Inside a segment, then to a base behind it, then inside again.
    let (first, second, third) = (bases[1] + 1, bases[3], bases[3] + 1);
    matrix(
        |log| {
            poll_ready(log.truncate_prefix(first))?;
            poll_ready(log.truncate_prefix(second))?;
            poll_ready(log.truncate_prefix(third))
        },
        |done, start, records, context| {
            let known = [1, first, second, third].contains(&start) || bases[..4].contains(&start);
            assert!(known && (!done || start == third), "{context}: {start}");
            assert!(model_from(start).starts_with(records), "{context}");
        },
    );
}

#[test]
fn retention_drops_whole_segments_and_never_the_last() {
    let disk = MemEnv::new();
    let mut log = filled(&disk);
    let infos: Vec<_> = log.segments().collect();
    let half = infos.iter().map(|info| info.store_bytes).sum::<u64>() / 2;
    for max_bytes in [u64::MAX, half, 0, 0] {
        let infos: Vec<_> = log.segments().collect();
        let policy = Policy {
            max_bytes: Some(max_bytes),
            max_age_ms: None,
        };
        let plan = retention::plan(&infos, 0, &policy);
        poll_ready(log.retain(&plan)).unwrap();
        assert_eq!(log.segments().len(), infos.len() - plan.segments);
        check(&log, plan.start_index, &model_from(plan.start_index));
    }
    assert_eq!(log.segments().len(), 1);
    assert!(log.end_index() > log.start_index());
    // A plan from before does not go back, and one that lies behind the end is refused.
    let start_index = log.start_index();
    poll_ready(log.retain(&retention::plan(&infos[..2], 0, &Policy::default()))).unwrap();
    assert_eq!(log.start_index(), start_index);
    let stale = retention::Plan {
        segments: 1,
        start_index: log.end_index() + 1,
        bytes: 0,
    };
    let refused = poll_ready(log.retain(&stale));
    assert!(matches!(refused, Err(TruncateError::OutOfBounds(_))));
}

#[test]
fn a_reset_is_all_or_nothing() {
    let bases: Vec<u64> = filled(&MemEnv::new())
        .segments()
        .map(|info| info.base_index)
        .collect();
    for index in [1, 2, bases[2], bases[2] + 1, COUNT + 1, 1 << 40] {
        matrix(
            |log| poll_ready(log.reset(index)),
            |done, start, records, context| {
                let is_new = start == index && records.is_empty();
                let is_old = start == 1 && model_from(1).starts_with(records);
                let is_whole = records.len() as u64 >= COUNT - 4;
                assert!(is_new || !done && is_old && is_whole, "{context}: {start}");
            },
        );
    }
}

#[test]
fn a_log_goes_on_after_a_reset() {
    for index in [1, 4, 7, 500] {
        let disk = MemEnv::new();
        let mut log = filled(&disk);
        poll_ready(log.truncate_prefix(9)).unwrap();
        let plan = poll_ready(log.plan(9..20, 10_000)).unwrap();
        let ticket = log.sync_ticket();
        poll_ready(log.reset(index)).unwrap();
        check(&log, index, &[]);
        assert_eq!(log.durable_index(), index);
        assert!(log.sync_ticket().is_none());
        assert!(matches!(plan.read(), Err(ReadError::Truncated)));
        append(&mut log, &recs(50..60, 150)).unwrap();
        if let Some(ticket) = ticket {
            let durable = log.complete(ticket.run()).unwrap();
            assert_eq!(durable, index, "a ticket from before says nothing");
        }
        check(&log, index, &recs(50..60, 150));
        let options = LogOptions {
            initial_index: 0,
            ..OPTIONS
        };
        check(&open(disk.copy(), options), index, &recs(50..60, 150));
        poll_ready(log.close()).unwrap();
        let log = open(disk, options);
        assert!(log.recovery().is_clean());
        check(&log, index, &recs(50..60, 150));
    }
}

#[test]
fn a_reset_takes_the_footer_of_the_same_base_along() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), OPTIONS);
    append(&mut log, &recs(0..2, 30)).unwrap();
    poll_ready(log.close()).unwrap();
    let mut log = open(disk.clone(), OPTIONS);
    poll_ready(log.reset(1)).unwrap();
    drop(log);
    every_crash_of(&disk, 1, "reset", |disk, _| {
        check(&open(disk.clone(), OPTIONS), 1, &[]);
    });
}

#[test]
fn a_lost_end_below_the_start_is_damage() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), small(1 << 20));
    append(&mut log, &recs(0..10, 30)).unwrap();
    poll_ready(log.truncate_prefix(8)).unwrap();
    drop(log);
    let mut bytes = disk.file(1, Part::Store).unwrap();
    bytes.truncate(common::borders(&recs(0..10, 30))[5]);
    disk.set_file(1, Part::Store, Some(bytes));
    match try_open(&disk, OPTIONS) {
        Err(OpenError::Damaged(damage)) => assert_eq!((damage.segment, damage.index), (1, 6)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_or_newer_start_file_is_refused() {
    let disk = MemEnv::new();
    let mut log = filled(&disk);
    poll_ready(log.truncate_prefix(4)).unwrap();
    drop(log);
    let whole = disk.start_file().unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        disk.set_start_file(Some(bytes));
        let before = bases(&disk);
        assert!(matches!(
            try_open(&disk, OPTIONS),
            Err(OpenError::StartDamaged)
        ));
        assert_eq!(bases(&disk), before);
    }
    let mut newer = whole;
    newer[8] = 9;
    let crc = crc32c::crc32c(&newer[..60]).to_le_bytes();
    newer[60..].copy_from_slice(&crc);
    disk.set_start_file(Some(newer));
    let refused = try_open(&disk, OPTIONS).unwrap_err();
    assert!(matches!(refused, OpenError::StartFormat { .. }));
    let text = refused.to_string();
    assert!(
        text.contains('9') && text.contains("reads version 1"),
        "{text}"
    );
}

#[test]
fn on_files_the_start_file_is_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let env = || FileEnv::new(dir.path()).unwrap();
    let mut log = open(env(), OPTIONS);
    append(&mut log, &recs(0..COUNT, 150)).unwrap();
    for start in [3, 8, 8, 21] {
        poll_ready(log.truncate_prefix(start)).unwrap();
        drop(log);
        // What a crash leaves of a replacement that did not happen is not looked at.
        std::fs::write(dir.path().join("log.start.new"), b"torn").unwrap();
        log = open(env(), OPTIONS);
        check(&log, start, &model_from(start));
        check_searches(&log, start, &model_from(start));
    }
    poll_ready(log.reset(5)).unwrap();
    append(&mut log, &recs(0..3, 20)).unwrap();
    drop(log);
    let mut env = env();
    assert_eq!(poll_ready(env.list()).unwrap(), [5]);
    check(&open(env, OPTIONS), 5, &recs(0..3, 20));
}
