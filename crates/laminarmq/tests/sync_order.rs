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
