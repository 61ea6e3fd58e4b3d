//! Index files that were cut, lost, exchanged or forged behind the log's back.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{
    Rec, append, as_rec, bases, changed, check, check_searches, open, recs, small, stored, try_open,
};
use laminarmq::{
    CrashPoint, Damage, IndexCache, LogOptions, MemEnv, Part, ReadError, TruncateError, poll_ready,
};

#[test]
fn an_index_that_is_lost_or_cut_or_not_its_own_is_rebuilt() {
    let options = small(700);
    let model = recs(0..25, 40);
    let disk = stored(&model, options, true);
    let all = bases(&disk);
    assert!(all.len() > 3);
    let verify = |disk: &MemEnv| {
        let log = try_open(disk, options).unwrap();
        assert_eq!(
            (log.recovery().indexes_rebuilt, log.recovery().bytes_cut),
            (1, 0)
        );
        check(&log, 1, &model);
        check_searches(&log, 1, &model);
        poll_ready(log.close()).unwrap();
        let log = try_open(disk, options).unwrap();
        assert!(log.recovery().is_clean());
        check(&log, 1, &model);
    };
    for base in &all {
        let lost = disk.copy();
        lost.set_file(*base, Part::Index, None);
        verify(&lost);
        let length = disk.file(*base, Part::Index).unwrap().len();
        for cut in 0..length {
            verify(&changed(&disk, *base, Part::Index, |bytes| {
                bytes.truncate(cut);
            }));
        }
        // An entry too few for the footer, and bytes that are none.
        verify(&changed(&disk, *base, Part::Index, |bytes| {
            bytes.drain(64..64 + 48);
        }));
        verify(&changed(&disk, *base, Part::Index, |bytes| {
            let footer = bytes.len() - 128;
            bytes.splice(footer..footer, [0; 5]);
        }));
        let other = all.iter().find(|other| *other != base).unwrap();
        let foreign = disk.file(*other, Part::Index).unwrap();
        verify(&changed(&disk, *base, Part::Index, |bytes| {
            *bytes = foreign;
        }));
        // The same segment of another log.
        let other = MemEnv::new();
        other.set_now_ms(5);
        let mut log = open(other.clone(), options);
        append(&mut log, &recs(100..125, 40)).unwrap();
        poll_ready(log.close()).unwrap();
        let foreign = other.file(*base, Part::Index).unwrap();
        verify(&changed(&disk, *base, Part::Index, |bytes| {
            *bytes = foreign;
        }));
    }
}

#[test]
fn an_index_from_before_a_truncation_is_not_believed() {
    let options = small(1 << 20);
    // The replacement has the same lengths, so that every position fits.
    let old: Vec<Rec> = recs(0..12, 20);
    let new: Vec<Rec> = old
        .iter()
        .map(|record| Rec {
            term: 99,
            ..record.clone()
        })
        .collect();
    for (kept, added) in [(5, 7), (5, 3), (5, 6), (0, 12), (11, 1)] {
        let disk = stored(&old, options, true);
        let stale = disk.file(1, Part::Index).unwrap();
        let mut log = open(disk.clone(), options);
        poll_ready(log.truncate_suffix(1 + kept as u64)).unwrap();
        append(&mut log, &new[kept..kept + added]).unwrap();
        poll_ready(log.close()).unwrap();
        disk.set_file(1, Part::Index, Some(stale));
        let mut want = old[..kept].to_vec();
        want.extend_from_slice(&new[kept..kept + added]);
        let log = try_open(&disk, options).unwrap();
        assert_eq!(
            (log.recovery().indexes_rebuilt, log.recovery().bytes_cut),
            (1, 0)
        );
        check(&log, 1, &want);
    }
}

#[test]
fn a_footer_of_an_empty_segment_that_was_begun_anew_is_not_believed() {
    let options = small(1 << 20);
    let empty = |now| {
        let disk = MemEnv::new();
        disk.set_now_ms(now);
        let log = open(disk.clone(), options);
        poll_ready(log.close()).unwrap();
        disk
    };
    let (before, disk) = (empty(5), empty(6));
    let stale = before.file(1, Part::Index).unwrap();
    // The new header reached the media, and of the old file what stands behind it.
    let mixed = changed(&disk, 1, Part::Index, |bytes| {
        bytes.splice(64.., stale[64..].iter().copied());
    });
    let model = recs(0..3, 20);
    let mut log = open(mixed.clone(), options);
    append(&mut log, &model[..2]).unwrap();
    poll_ready(log.close()).unwrap();
    let mut log = open(mixed.clone(), options);
    append(&mut log, &model[2..]).unwrap();
    drop(log);
    let log = open(mixed, options);
    check(&log, 1, &model);
}

/// An index in which the second entry says of itself, with a right check, what the first one says.
fn forged(disk: &MemEnv, base: u64) -> MemEnv {
    changed(disk, base, Part::Index, |bytes| {
        let (first, second, third) = (64, 64 + 48, 64 + 2 * 48);
        bytes.copy_within(first..first + 46, second);
        let index = (base + 1).to_le_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&index), &bytes[second..second + 46]);
        bytes[second + 46..third].copy_from_slice(&crc.to_le_bytes()[..2]);
    })
}

#[test]
fn an_index_that_points_to_another_record_yields_an_error() {
    let options = small(500);
    let model = recs(0..25, 40);
    let disk = forged(&stored(&model, options, true), 1);
    let log = try_open(&disk, options).unwrap();
    assert!(matches!(
        poll_ready(log.read(2)),
        Err(ReadError::Damaged(Damage {
            segment: 1,
            index: 2,
            ..
        }))
    ));
    assert!(poll_ready(log.plan(2..3, 1)).unwrap().read().is_err());
    assert_eq!(as_rec(&poll_ready(log.read(3)).unwrap()), model[2]);
}

#[test]
fn a_cached_index_is_checked_as_a_whole() {
    let options = LogOptions {
        index_cache: IndexCache::All,
        ..small(1 << 20)
    };
    let model = recs(0..25, 40);
    let disk = stored(&model, options, true);
    check(&try_open(&disk, options).unwrap(), 1, &model);
    let log = try_open(&forged(&disk, 1), options).unwrap();
    // The entries fit by themselves; only together they are not those that the footer names.
    let refused = poll_ready(log.read(3)).unwrap_err();
    assert!(
        refused.to_string().contains("its footer names"),
        "{refused}"
    );
}

#[test]
fn an_index_from_an_earlier_close_is_completed() {
    let options = small(1 << 20);
    let model = recs(0..12, 20);
    let disk = stored(&model[..7], options, true);
    let earlier = disk.file(1, Part::Index).unwrap();
    let mut log = open(disk.clone(), options);
    append(&mut log, &model[7..]).unwrap();
    poll_ready(log.close()).unwrap();
    disk.set_file(1, Part::Index, Some(earlier));
    let log = try_open(&disk, options).unwrap();
    assert_eq!(
        (log.recovery().indexes_rebuilt, log.recovery().bytes_cut),
        (1, 0)
    );
    check(&log, 1, &model);
}

/// Sectors reach the media in any order: a footer must not be there while an entry before it is not.
#[test]
fn a_footer_never_outlives_the_entries_before_it() {
    let options = LogOptions {
        auto_roll: false,
        ..small(1 << 20)
    };
    let model = recs(0..80, 1);
    let mut losses = 0;
    for sector in 0..8 {
        for closed in [false, true] {
            let disk = MemEnv::new();
            let mut log = open(disk.clone(), options);
            append(&mut log, &model[..79]).unwrap();
            poll_ready(log.roll()).unwrap();
            let done = log.sync_ticket().unwrap().run();
            log.complete(done).unwrap();
            // The append after the sync writes what had to wait for it.
            append(&mut log, &model[79..]).unwrap();
            poll_ready(log.sync()).unwrap();
            if closed {
                poll_ready(log.close()).unwrap();
            } else {
                drop(log);
            }
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
    }
    assert!(losses > 0, "no index sector was ever at risk");
}

/// Enough records for blocks of entries in the file while the segment is written.
#[test]
fn a_cut_index_goes_on_with_the_right_sum() {
    let options = LogOptions {
        index_cache: IndexCache::All,
        ..small(1 << 20)
    };
    let model = recs(0..4000, 1);
    for cut in [0, 1, 1365, 1366, 2000, 2731, 3999] {
        let disk = stored(&model, options, true);
        let mut log = open(disk.clone(), options);
        poll_ready(log.truncate_suffix(1 + cut as u64)).unwrap();
        append(&mut log, &model[cut..]).unwrap();
        poll_ready(log.close()).unwrap();
        let log = open(disk, options);
        assert!(log.recovery().is_clean());
        check(&log, 1, &model);
    }
}

#[test]
fn a_truncation_that_meets_a_damaged_entry_changes_nothing() {
    let options = small(1 << 20);
    let model = recs(0..12, 20);
    let disk = changed(&stored(&model, options, true), 1, Part::Index, |bytes| {
        bytes[64 + 3 * 48] ^= 1;
    });
    let files = |disk: &MemEnv| [Part::Store, Part::Index].map(|part| disk.file(1, part));
    let before = files(&disk);
    let mut log = try_open(&disk, options).unwrap();
    let cut = poll_ready(log.truncate_suffix(9));
    let damage = |index| matches!(index, Err(TruncateError::Read(ReadError::Damaged(Damage { index, .. }))) if index == 4);
    assert!(damage(cut));
    assert_eq!(log.poisoned(), None);
    assert!(files(&disk) == before);
    // What does not need the entry still works.
    append(&mut log, &recs(12..14, 20)).unwrap();
    poll_ready(log.sync()).unwrap();
    poll_ready(log.truncate_suffix(14)).unwrap();
    assert_eq!((log.end_index(), log.poisoned()), (14, None));
    let last = poll_ready(log.read(13)).unwrap();
    assert_eq!(as_rec(&last), recs(12..13, 20)[0]);
}
