//! What has to be on the media before something else may be believed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{append, check, check_searches, open, recs, small, try_open};
use laminarmq::{CrashPoint, LogOptions, MemEnv, Part, poll_ready};

#[test]
fn a_ticket_makes_the_name_of_a_new_segment_durable() {
    let options = small(1 << 20);
    let model = recs(0..8, 30);
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options);
    append(&mut log, &model[..4]).unwrap();
    poll_ready(log.roll()).unwrap();
    append(&mut log, &model[4..]).unwrap();
    let done = log.sync_ticket().unwrap().run();
    assert_eq!(log.complete(done).unwrap(), 9);
    disk.crash();
    check(&open(disk, options), 1, &model);
}

/// A ticket that was taken before a roll makes the old segment's store durable, but not the index entries that
/// the roll wrote: its footer has to wait for a ticket that covers them.
#[test]
fn a_footer_waits_for_the_sync_of_entries_that_a_roll_wrote() {
    let options = LogOptions {
        auto_roll: false,
        ..small(1 << 20)
    };
    let model = recs(0..80, 1);
    let mut losses = 0;
    for sector in 0..8 {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        append(&mut log, &model[..79]).unwrap();
        let before = log.sync_ticket().unwrap();
        poll_ready(log.roll()).unwrap();
        assert_eq!(log.complete(before.run()).unwrap(), 80);
        // Writes the footers of what is durable.
        append(&mut log, &model[79..]).unwrap();
        drop(log);
        disk.crash_with(|point| {
            let is_lost = matches!(
                point,
                CrashPoint::Sector { part: Part::Index, sector: lost, .. } if lost == sector
            );
            losses += u32::from(is_lost);
            !is_lost
        });
        let log = try_open(&disk, options).unwrap();
        check(&log, 1, &model);
        check_searches(&log, 1, &model);
    }
    assert!(losses > 0, "no index sector was ever at risk");
}

/// The index was closed once, so that nothing of it waits for a sync when it goes on.
#[test]
fn a_footer_waits_for_the_entries_of_a_segment_that_goes_on() {
    let options = LogOptions {
        auto_roll: false,
        ..small(1 << 20)
    };
    let model = recs(0..80, 1);
    let mut losses = 0;
    for closed_at in [0, 1, 40] {
        for sector in 0..9 {
            let disk = MemEnv::new();
            let mut log = open(disk.clone(), options);
            append(&mut log, &model[..closed_at]).unwrap();
            poll_ready(log.close()).unwrap();
            let mut log = open(disk.clone(), options);
            append(&mut log, &model[closed_at..79]).unwrap();
            poll_ready(log.roll()).unwrap();
            poll_ready(log.sync()).unwrap();
            append(&mut log, &model[79..]).unwrap();
            drop(log);
            disk.crash_with(|point| {
                let is_lost = matches!(
                    point,
                    CrashPoint::Sector { part: Part::Index, sector: lost, .. } if lost == sector
                );
                losses += u32::from(is_lost);
                !is_lost
            });
            let log = try_open(&disk, options).unwrap();
            check(
                &log,
                1,
                &model[..usize::try_from(log.end_index() - 1).unwrap()],
            );
            assert!(log.end_index() >= 80);
            check_searches(
                &log,
                1,
                &model[..usize::try_from(log.end_index() - 1).unwrap()],
            );
        }
    }
    assert!(losses > 0, "no index sector was ever at risk");
}

/// Footers are written as segments become durable, so that a killed process costs the scan of one segment.
#[test]
fn after_a_sync_only_the_newest_segment_is_without_footer() {
    let options = small(700);
    let model = recs(0..40, 40);
    for with_ticket in [false, true] {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        append(&mut log, &model[..20]).unwrap();
        append(&mut log, &model[20..39]).unwrap();
        if with_ticket {
            let done = log.sync_ticket().unwrap().run();
            log.complete(done).unwrap();
            // Footers are written by the change that follows.
            append(&mut log, &model[39..]).unwrap();
        } else {
            append(&mut log, &model[39..]).unwrap();
            poll_ready(log.sync()).unwrap();
        }
        assert!(log.segments().len() > 4);
        drop(log);
        let log = open(disk, options);
        let recovery = log.recovery();
        assert_eq!(recovery.indexes_rebuilt, 1, "with a ticket: {with_ticket}");
        assert!(recovery.bytes_scanned <= 1000, "{recovery:?}");
        check(&log, 1, &model);
    }
}

/// A close that stops anywhere: no footer without the entries that it vouches for.
#[test]
fn an_interrupted_close_leaves_no_footer_without_its_entries() {
    let options = small(1 << 20);
    let model = recs(0..80, 1);
    let mut interrupted = 0;
    for nth in 0..6 {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        append(&mut log, &model).unwrap();
        poll_ready(log.sync()).unwrap();
        disk.fail_sync(Some(nth));
        interrupted += u32::from(poll_ready(log.close()).is_err());
        for lost in 0..9 {
            let left = disk.crashed_copy(|point| {
                !matches!(
                    point,
                    CrashPoint::Sector { part: Part::Index, sector, .. } if sector == lost
                )
            });
            let log = try_open(&left, options).unwrap();
            check(&log, 1, &model);
            check_searches(&log, 1, &model);
        }
    }
    assert!(interrupted > 1, "a close makes several syncs");
}

#[test]
fn what_was_closed_needs_no_scan_after_a_power_cut_either() {
    let options = small(900);
    let model = recs(0..40, 40);
    let disk = MemEnv::new();
    for end in [10, 11, 11, 40] {
        let mut log = open(disk.clone(), options);
        let held = usize::try_from(log.end_index() - 1).unwrap();
        append(&mut log, &model[held..end]).unwrap();
        poll_ready(log.close()).unwrap();
        disk.crash();
        let log = open(disk.clone(), options);
        assert!(log.recovery().is_clean(), "{:?}", log.recovery());
        assert_eq!(log.recovery().bytes_scanned, 0);
        check(&log, 1, &model[..end]);
    }
}

/// A segment that was closed when it was full gets another footer, in the place of the first one.
#[test]
fn a_segment_that_is_sealed_after_a_close_needs_no_scan() {
    let options = small(900);
    let model = recs(0..40, 40);
    for end in 1..40 {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        append(&mut log, &model[..end]).unwrap();
        poll_ready(log.close()).unwrap();
        let mut log = open(disk.clone(), options);
        poll_ready(log.roll()).unwrap();
        append(&mut log, &model[end..]).unwrap();
        poll_ready(log.close()).unwrap();
        let log = open(disk, options);
        assert!(log.recovery().is_clean(), "{:?}", log.recovery());
        assert_eq!(log.recovery().bytes_scanned, 0, "closed at {end}");
        check(&log, 1, &model);
    }
}

/// Records that reached the media without the log's knowing are cut by the sync that follows a truncation.
#[test]
fn a_truncation_to_the_durable_index_is_durable_after_the_next_sync() {
    let options = small(1 << 20);
    let model = recs(0..6, 30);
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options);
    append(&mut log, &model[..3]).unwrap();
    poll_ready(log.sync()).unwrap();
    append(&mut log, &model[3..]).unwrap();
    drop(log.sync_ticket().unwrap().run());
    assert_eq!(log.durable_index(), 4);
    poll_ready(log.truncate_suffix(4)).unwrap();
    poll_ready(log.sync()).unwrap();
    disk.crash();
    check(&open(disk, options), 1, &model[..3]);
}

/// A footer says that its records had been durable. Where they are cut, it has to be gone before.
#[test]
fn a_truncation_after_a_close_takes_the_footer_along() {
    let options = small(1 << 20);
    let model = recs(0..12, 30);
    for kept in [0, 1, 11] {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        append(&mut log, &model).unwrap();
        poll_ready(log.close()).unwrap();
        let mut log = open(disk.clone(), options);
        assert!(log.recovery().is_clean());
        poll_ready(log.truncate_suffix(1 + kept as u64)).unwrap();
        drop(log);
        let crashed = disk.crashed_copy(|_| false);
        for disk in [disk, crashed] {
            let log = try_open(&disk, options).unwrap();
            check(&log, 1, &model[..kept]);
            check_searches(&log, 1, &model[..kept]);
        }
    }
}
