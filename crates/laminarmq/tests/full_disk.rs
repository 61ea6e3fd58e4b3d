//! A disk that is full: nothing is lost, nothing stops for good, and what is dropped makes room.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io::ErrorKind;

use common::{append, bases, check, open, recs, small, try_open};
use laminarmq::limits::STREAM_CHUNK_BYTES;
use laminarmq::{
    Append, AppendError, LogOptions, MemEnv, OpenError, Part, TruncateError, poll_ready,
};

const COUNT: u64 = 24;

fn options() -> LogOptions {
    small(900)
}

fn is_full(error: &AppendError) -> bool {
    matches!(error, AppendError::Io { source, .. } if source.kind() == ErrorKind::StorageFull)
}

fn used(disk: &MemEnv) -> u64 {
    let bytes = |base, part| disk.file(base, part).unwrap().len() as u64;
    let both = |base| bytes(base, Part::Store) + bytes(base, Part::Index);
    bases(disk).into_iter().map(both).sum()
}

#[test]
fn at_any_byte_the_log_is_as_before_and_goes_on_once_there_is_room() {
    let roomy = MemEnv::new();
    let mut log = open(roomy.clone(), options());
    append(&mut log, &recs(0..COUNT, 100)).unwrap();
    drop(log);
    let total = used(&roomy);
    for batch in [1, 5] {
        for capacity in (0..total).step_by(7) {
            let disk = MemEnv::new();
            disk.set_capacity(Some(capacity));
            let mut log = match try_open(&disk, options()) {
                Ok(log) => log,
                Err(OpenError::Io { source, .. }) if capacity < 128 => {
                    assert_eq!(source.kind(), ErrorKind::StorageFull);
                    disk.set_capacity(None);
                    check(&open(disk, options()), 1, &[]);
                    continue;
                }
                Err(error) => panic!("{capacity}: {error}"),
            };
            let mut model = Vec::new();
            for first in (0..COUNT).step_by(batch) {
                let more = recs(first..(first + batch as u64).min(COUNT), 100);
                if let Err(error) = append(&mut log, &more) {
                    assert!(is_full(&error), "{capacity}: {error}");
                    assert!(log.poisoned().is_none());
                    check(&log, 1, &model);
                    poll_ready(log.sync()).unwrap();
                    let left = disk.crashed_copy(|_| false);
                    left.set_capacity(None); // building an index again takes room
                    check(&open(left, options()), 1, &model);
                    disk.set_capacity(None);
                    append(&mut log, &more).unwrap();
                }
                model.extend(more);
            }
            check(&log, 1, &model);
            drop(log);
            let log = open(disk, options());
            assert_eq!(log.recovery().bytes_cut, 0);
            check(&log, 1, &model);
        }
    }
}

#[test]
fn dropping_whole_segments_makes_room_without_needing_any() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options());
    append(&mut log, &recs(0..COUNT, 100)).unwrap();
    poll_ready(log.sync()).unwrap();
    disk.set_capacity(Some(used(&disk)));
    assert!(is_full(
        &append(&mut log, &recs(COUNT..COUNT + 2, 100)).unwrap_err()
    ));
    let bases: Vec<u64> = log.segments().map(|info| info.base_index).collect();
    // A start inside a segment has to be written down, for which there is no room.
    let inside = poll_ready(log.truncate_prefix(bases[1] + 1));
    assert!(matches!(inside, Err(TruncateError::StartFile { .. })));
    check(&log, 1, &recs(0..COUNT, 100));
    poll_ready(log.truncate_prefix(bases[1])).unwrap();
    append(&mut log, &recs(COUNT..COUNT + 2, 100)).unwrap();
    let kept = usize::try_from(bases[1] - 1).unwrap();
    let model = recs(0..COUNT + 2, 100).split_off(kept);
    check(&log, bases[1], &model);
    drop(log);
    check(&open(disk, options()), bases[1], &model);
}

/// What is left of it must not become a record without its middle.
#[test]
fn a_record_of_which_a_piece_was_refused_is_given_up() {
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options());
    let mut model = recs(0..3, 100);
    append(&mut log, &model).unwrap();
    disk.set_capacity(Some(used(&disk) + 1000));
    let head = Append {
        key: 100,
        ..Append::default()
    };
    let long = vec![7; 2 * STREAM_CHUNK_BYTES + 1];
    for finish in [false, true] {
        let mut writer = poll_ready(log.record_writer(head)).unwrap();
        assert!(is_full(&poll_ready(writer.write(&long)).unwrap_err()));
        disk.set_capacity(None);
        let after = if finish {
            poll_ready(writer.finish()).map(drop)
        } else {
            poll_ready(writer.write(b"more"))
        };
        assert!(matches!(after, Err(AppendError::GivenUp)));
        assert!(log.poisoned().is_none());
        check(&log, 1, &model);
        disk.set_capacity(Some(used(&disk) + 1000));
    }
    let more = recs(20..21, 100);
    append(&mut log, &more).unwrap();
    model.extend(more);
    check(&log, 1, &model);
}
