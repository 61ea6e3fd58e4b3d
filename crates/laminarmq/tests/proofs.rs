//! What a footer, or a chunk behind the place, proves about records that are gone: at the edges.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{FILE_HEADER, Rec, append, changed, check, open, recs, small, stored, try_open};
use laminarmq::limits::STREAM_CHUNK_BYTES;
use laminarmq::{Append, Damage, MemEnv, OpenError, Part, poll_ready};

fn is_damage_at(disk: &MemEnv, want: u64) -> bool {
    matches!(
        try_open(disk, small(1 << 30)),
        Err(OpenError::Damaged(Damage { segment: 1, index, .. })) if index == want
    )
}

/// The last record that is left whole has several chunks: the index does not have the checksum of its first.
#[test]
fn a_store_that_lost_its_end_behind_a_long_record_is_damaged() {
    let options = small(1 << 30);
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options);
    let mut long = poll_ready(log.record_writer(Append::default())).unwrap();
    poll_ready(long.write(&vec![7; 2 * STREAM_CHUNK_BYTES])).unwrap();
    poll_ready(long.write(b"and more")).unwrap();
    poll_ready(long.finish()).unwrap();
    append(&mut log, &recs(1..2, 30)).unwrap();
    poll_ready(log.close()).unwrap();
    let length = disk.file(1, Part::Store).unwrap().len();
    for lost in 1..60 {
        let short = changed(&disk, 1, Part::Store, |bytes| bytes.truncate(length - lost));
        assert!(is_damage_at(&short, 2), "{lost} bytes lost");
    }
}

/// Keys, terms and lengths are the same; only values tell the records of before the truncation from those after.
#[test]
fn an_index_from_before_a_truncation_does_not_vouch_for_other_values() {
    let options = small(1 << 20);
    let old = recs(0..12, 20);
    let new: Vec<Rec> = old
        .iter()
        .map(|record| Rec {
            value: record.value.iter().map(|byte| !byte).collect(),
            ..record.clone()
        })
        .collect();
    for (kept, end) in [(5, 10), (5, 7), (0, 2), (0, 11)] {
        let disk = stored(&old, options, true);
        let stale = disk.file(1, Part::Index).unwrap();
        let mut log = open(disk.clone(), options);
        poll_ready(log.truncate_suffix(1 + kept as u64)).unwrap();
        append(&mut log, &new[kept..end]).unwrap();
        poll_ready(log.close()).unwrap();
        disk.set_file(1, Part::Index, Some(stale));
        let mut want = old[..kept].to_vec();
        want.extend_from_slice(&new[kept..end]);
        let log = try_open(&disk, options).unwrap();
        assert_eq!(log.recovery().bytes_cut, 0, "kept {kept}, up to {end}");
        check(&log, 1, &want);
    }
}

/// The only proof is a record without a value: its chunk header is all that is left of the file there.
#[test]
fn a_header_at_the_very_end_of_a_store_proves_what_was_durable() {
    let options = small(1 << 20);
    let disk = MemEnv::new();
    let mut log = open(disk.clone(), options);
    append(&mut log, &recs(0..2, 20)).unwrap();
    poll_ready(log.sync()).unwrap();
    append(
        &mut log,
        &[Rec {
            key: 100,
            ..Rec::default()
        }],
    )
    .unwrap();
    drop(log);
    disk.set_file(1, Part::Index, None);
    for at in FILE_HEADER..FILE_HEADER + 70 {
        let flipped = changed(&disk, 1, Part::Store, |bytes| bytes[at] ^= 1);
        assert!(is_damage_at(&flipped, 1), "byte {at}");
    }
}

/// The search for proofs reads the store in windows: a header may lie across the border of two.
#[test]
fn a_header_across_the_border_of_two_windows_proves_what_was_durable() {
    const WINDOW: usize = 256 << 10;
    let options = small(1 << 30);
    for length in (WINDOW - 120..WINDOW).step_by(7) {
        let disk = MemEnv::new();
        let mut log = open(disk.clone(), options);
        let value = vec![0xaa; length];
        let long = Rec {
            value,
            ..Rec::default()
        };
        append(&mut log, &[long]).unwrap();
        poll_ready(log.sync()).unwrap();
        append(&mut log, &recs(1..2, 500)).unwrap();
        drop(log);
        disk.set_file(1, Part::Index, None);
        let flipped = changed(&disk, 1, Part::Store, |bytes| bytes[FILE_HEADER] ^= 1);
        assert!(is_damage_at(&flipped, 1), "a value of {length} bytes");
    }
}
